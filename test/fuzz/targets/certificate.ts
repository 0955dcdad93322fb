/** Certificates and their names: our reader of DER against that of OpenSSL, and nothing accepted that was not issued. */

import { X509Certificate } from 'node:crypto'
import { chainsToAnchor, checkSvidLeaf, readCertificate, readSpiffeId, utf8 } from '@doorward/core'
import type { PeerCertificate } from '@doorward/core'
import { importP256, sha256 } from '@doorward/sdk'
import {
  assemble,
  der,
  extension,
  goodLeaf,
  issue,
  makeAuthority,
  now,
  oid,
  time,
  trustDomain,
  uriNames,
} from '../../unit/core/identity-fixture.ts'
import { latin1, must } from './target.ts'
import type { FuzzTarget } from './target.ts'

const names = ['spiffe://example.org/agent/a', 'spiffe://example.org/agent/', 'spiffe://EXAMPLE.org/a', 'a.example']
const words = [
  uriNames('spiffe://example.org/agent/admin'),
  uriNames('spiffe://example.org/agent/a', 'spiffe://example.org/agent/b'),
  ...names.flatMap((text) => [der(0x86, utf8(text)), der(0x82, utf8(text))]),
  der(0x87, Uint8Array.of(127, 0, 0, 1)),
  extension('13', true, Uint8Array.of(0x30, 3, 1, 1, 0xff)),
  extension('0f', true, Uint8Array.of(3, 2, 1, 6)),
  oid('551d11'),
  oid('2a8648ce3d040302'),
  time('20501231235959Z'),
  Uint8Array.of(0x30, 0x80),
  Uint8Array.of(0, 0),
  Uint8Array.of(0x84, 0xff, 0xff, 0xff, 0xff),
  ...['%2f', '..', '//', '\0', '@', ':1', '?', '#', 'Ω'].map(utf8),
]

async function open(): ReturnType<FuzzTarget['open']> {
  const authority = await makeAuthority()
  const leaf = await issue(authority)
  const parts = { ...goodLeaf(authority, leaf.publicKeySpki), names: extension('11', false, mixedNames()) }
  const many = assemble(parts, authority.key.privateKey)
  const issued = [leaf.der, (await issue(authority, 'other')).der, many, authority.certificate.der]
  return {
    starts: [...issued, ...names.map(utf8)],
    words,
    judge(input) {
      judgeName(latin1(input.subarray(0, 300)))
      const read = readCertificate(input, { sha256 })
      if ('problem' in read) return withoutValues(read.message)
      const profile = checkSvidLeaf(read, trustDomain)
      if (profile !== null) return withoutValues(profile.message)
      sameAsOpenSsl(read, input)
      const anchor = chainsToAnchor(read, [authority.certificate], now, importP256)
      const isOurs = issued.some((one) => Buffer.compare(one, input) === 0)
      must('code' in anchor || isOurs, 'accepted, although nobody issued it')
      return 'code' in anchor ? anchor.code : 'accepted'
    },
  }
}

function withoutValues(message: string): string {
  return message.replaceAll(/".*"|\d+/g, '0').slice(0, 60)
}

function mixedNames(): Uint8Array {
  return der(
    0x30,
    der(0x86, utf8('spiffe://example.org/agent/a')),
    der(0x82, utf8('a.example')),
    der(0x87, Uint8Array.of(127, 0, 0, 1)),
  )
}

/**
 * What has the profile OpenSSL reads the same. It may refuse what we leave unread: the parts of the issuer's name, which has to be
 * that of an anchor to the last byte.
 */
function sameAsOpenSsl(read: PeerCertificate, input: Uint8Array): void {
  const other = readByOpenSsl(input)
  if (other === null) return
  const same = (what: string, ours: unknown, theirs: unknown) =>
    must(ours === theirs, `${what}: ${String(ours)} here, ${String(theirs)} by OpenSSL`)
  same('certificate authority', read.isCa, other.ca)
  same('not after', read.notAfter * 1000, Date.parse(other.validTo))
  same('not before', read.notBefore * 1000, Date.parse(other.validFrom))
  same('serial', BigInt(`0x${read.serial}`), BigInt(`0x${other.serialNumber}`))
  same('fingerprint', Buffer.from(read.fingerprint, 'base64url').toString('hex'), plain(other.fingerprint256))
  const written = [
    ...read.uris.map((uri) => `URI:${uri}`),
    ...read.dnsNames.map((name) => `DNS:${name}`),
    ...read.ipAddresses.map((address) => `IP Address:${address}`),
  ]
  const spoken = other.subjectAltName ?? ''
  // What needs no quotes, and addresses of four parts: the rest is written in other ways.
  const isPlain = written.every((name) => /^[A-Za-z0-9:/._ -]*$/.test(name)) && !spoken.includes('"')
  const isFour = read.ipAddresses.every((address) => !address.includes(':'))
  if (isPlain && isFour) same('names', written.toSorted().join(', '), spoken.split(', ').toSorted().join(', '))
}

function readByOpenSsl(input: Uint8Array): X509Certificate | null {
  try {
    return new X509Certificate(input)
  } catch {
    return null
  }
}

function plain(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toLowerCase()
}

/** One that is accepted has one spelling, which a parser of URLs leaves as it is. */
function judgeName(text: string): void {
  const id = readSpiffeId(text)
  if ('problem' in id) return
  const url = new URL(text)
  const same = url.protocol === 'spiffe:' && url.href === text && url.host === id.trustDomain
  must(same && url.search === '' && url.hash === '' && url.username === '', `${text} is ${url.href} elsewhere`)
  const isDots = (one: string) => one === '..' || one === '.'
  must(!url.pathname.split('/').some(isDots), `${text} has a segment of dots`)
}

export const certificate: FuzzTarget = {
  name: 'certificate',
  rule: 'what has the profile OpenSSL reads alike, a SPIFFE ID has one spelling, and nothing is accepted that was not issued',
  open,
}
