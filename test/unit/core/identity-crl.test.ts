import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { sign, X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { buildCrl, checkCrl, concat, crlPem, isDoorwardError, readCrl } from '@doorward/core'
import type { CrlContents, PeerCertificate, RevocationList, RevokedSerial } from '@doorward/core'
import { importP256 } from '@doorward/sdk'
import {
  after,
  commonName,
  der,
  ecdsaSha256,
  extension,
  hexBytes,
  issue,
  makeAuthority,
  now,
  time,
} from './identity-fixture.ts'
import type { Authority } from './identity-fixture.ts'

let authority: Authority
let revoked: PeerCertificate
let standing: PeerCertificate

before(async () => {
  authority = await makeAuthority()
  revoked = await issue(authority, 'thief')
  standing = await issue(authority, 'planner')
})

function entry(serial: string, reason: RevokedSerial['reason'] = null): RevokedSerial {
  return { serial, revokedAt: after(-10), reason }
}

function listing(change: Partial<CrlContents> = {}): Promise<Uint8Array> {
  const contents: CrlContents = {
    issuer: authority.issuer,
    number: 7n,
    thisUpdate: after(-60),
    nextUpdate: after(3600),
    revoked: [entry(revoked.serial, 'key_compromise')],
  }
  return buildCrl({ ...contents, ...change }, authority.key.signKey)
}

function mustRead(bytes: Uint8Array): RevocationList {
  const list = readCrl(bytes)
  if ('code' in list) throw new Error(`${list.code}: ${list.message}`)
  return list
}

function verdict(bytes: Uint8Array, anchor = authority.certificate, at = now): string | null {
  const list = readCrl(bytes)
  if ('code' in list) return list.code
  return checkCrl(list, anchor, at, importP256)?.code ?? null
}

describe('RV-7: the revocation list of an authority', () => {
  test('says what was revoked, when and why, and is current and signed', async () => {
    const bytes = await listing()
    const list = mustRead(bytes)
    assert.equal(verdict(bytes), null)
    assert.equal(list.number, 7n)
    assert.equal(list.authorityKeyId, authority.issuer.keyId)
    assert.deepEqual([list.thisUpdate, list.nextUpdate], [after(-60), after(3600)])
    assert.deepEqual([...list.revoked], [[revoked.serial, entry(revoked.serial, 'key_compromise')]])
  })

  test('an empty list is a list', async () => {
    const bytes = await listing({ revoked: [] })
    assert.equal(verdict(bytes), null)
    assert.equal(mustRead(bytes).revoked.size, 0)
  })

  test('serials and numbers read back whatever their first bit', async () => {
    const serials = ['01', '7f', '80', 'ff', '0100', 'ff00', `7f${'ff'.repeat(19)}`, 'ff'.repeat(19)]
    const list = mustRead(await listing({ number: 2n ** 159n - 1n, revoked: serials.map((serial) => entry(serial)) }))
    assert.deepEqual([...list.revoked.keys()], serials)
    for (const number of [0n, 1n, 127n, 128n, 255n, 256n, 2n ** 64n, 2n ** 159n - 1n])
      assert.equal(mustRead(await listing({ number })).number, number)
  })

  test('several thousand serials read back', async () => {
    const serials = Array.from({ length: 5000 }, (_, index) => (index + 0x100000).toString(16))
    const list = mustRead(await listing({ revoked: serials.map((serial) => entry(serial, 'superseded')) }))
    assert.deepEqual([...list.revoked.keys()], serials)
  })

  test('is refused as contents when it could not be a list', async () => {
    const refused = (change: Partial<CrlContents>) =>
      assert.rejects(listing(change), (error) => isDoorwardError(error, 'crl_template_invalid'))
    await refused({ number: -1n })
    await refused({ number: 2n ** 159n })
    await refused({ nextUpdate: after(-60) })
    for (const serial of ['', '0', '00', '0001', 'FF', 'ff'.repeat(20), '01'.repeat(21)])
      await refused({ revoked: [entry(serial)] })
    await refused({ revoked: [entry('01'), entry('01', 'superseded')] })
  })

  test('the anchor may sign lists', () => {
    assert.equal(authority.certificate.extensions.keyUsage?.crlSign, true)
    assert.equal(authority.certificate.extensions.keyUsage.keyCertSign, true)
  })
})

describe('a list is no list of the anchor', () => {
  test('of another authority, or by another key under its name', async () => {
    const other = await makeAuthority()
    assert.equal(verdict(await listing(), other.certificate), 'crl_issuer')
    const forged = await buildCrl(
      { issuer: authority.issuer, number: 1n, thisUpdate: now, nextUpdate: after(60), revoked: [] },
      other.key.signKey,
    )
    assert.equal(verdict(forged), 'crl_signature')
  })
  test('by an anchor that may not sign lists, or that is past its end', async () => {
    const { certificate } = authority
    const { keyUsage } = certificate.extensions
    const forbidden = {
      ...certificate,
      extensions: { ...certificate.extensions, keyUsage: { ...keyUsage!, crlSign: false } },
    }
    assert.equal(verdict(await listing(), forbidden), 'crl_issuer')
    assert.equal(verdict(await listing(), certificate, after(604_801)), 'anchor_expired')
  })
  test('before its time and after it', async () => {
    const bytes = await listing({ thisUpdate: after(10), nextUpdate: after(20) })
    assert.equal(verdict(bytes, authority.certificate, after(9)), 'crl_not_yet_valid')
    assert.equal(verdict(bytes, authority.certificate, after(10)), null)
    assert.equal(verdict(bytes, authority.certificate, after(20)), null)
    assert.equal(verdict(bytes, authority.certificate, after(21)), 'crl_expired')
  })
})

interface ListParts {
  version: Uint8Array
  algorithm: Uint8Array
  nextUpdate: Uint8Array
  entries: Uint8Array
  number: Uint8Array
  authorityKeyId: Uint8Array
  more: Uint8Array
}

/** A list from its parts, each of which may be replaced by other bytes. */
function assembled(change: Partial<ListParts>): Uint8Array {
  const parts: ListParts = {
    version: der(0x02, Uint8Array.of(1)),
    algorithm: ecdsaSha256,
    nextUpdate: time('270115090000Z'),
    entries: der(0x30, revokedEntry('1234')),
    number: extension('14', false, der(0x02, Uint8Array.of(5))),
    authorityKeyId: extension('23', false, der(0x30, der(0x80, hexBytes(authority.issuer.keyId)))),
    more: new Uint8Array(),
    ...change,
  }
  const extensions = concat(parts.number, parts.authorityKeyId, parts.more)
  const tbs = der(
    0x30,
    parts.version,
    parts.algorithm,
    authority.certificate.subjectName,
    time('270115070000Z'),
    parts.nextUpdate,
    parts.entries,
    extensions.length === 0 ? extensions : der(0xa0, der(0x30, extensions)),
  )
  const signature = der(0x03, Uint8Array.of(0), new Uint8Array(sign('sha256', tbs, authority.key.privateKey)))
  return der(0x30, tbs, ecdsaSha256, signature)
}

function revokedEntry(serial: string, ...more: readonly Uint8Array[]): Uint8Array {
  return der(0x30, der(0x02, hexBytes(serial)), time('270115070000Z'), ...more)
}

const badLists: readonly (readonly [string, () => Uint8Array])[] = [
  ['no list number', () => assembled({ number: new Uint8Array() })],
  ['a critical list number', () => assembled({ number: extension('14', true, der(0x02, Uint8Array.of(5))) })],
  ['a negative list number', () => assembled({ number: extension('14', false, der(0x02, Uint8Array.of(0x85))) })],
  ['no key identifier', () => assembled({ authorityKeyId: new Uint8Array() })],
  [
    'an issuer named otherwise than by key identifier',
    () => assembled({ authorityKeyId: extension('23', false, der(0x30)) }),
  ],
  ['no end', () => assembled({ nextUpdate: new Uint8Array() })],
  ['version 1', () => assembled({ version: new Uint8Array() })],
  ['two different algorithms', () => assembled({ algorithm: der(0x30, hexBytes('06082a8648ce3d040303')) })],
  ['a list of changes alone', () => assembled({ more: extension('1b', true, der(0x02, Uint8Array.of(1))) })],
  ['a list of some certificates', () => assembled({ more: extension('1c', true, der(0x30)) })],
  ['a list of some certificates, unmarked', () => assembled({ more: extension('1c', false, der(0x30)) })],
  ['a critical extension nobody knows', () => assembled({ more: extension('7f', true, der(0x05)) })],
  ['an extension twice', () => assembled({ more: extension('14', false, der(0x02, Uint8Array.of(6))) })],
  ['an empty list of entries', () => assembled({ entries: der(0x30) })],
  ['a serial twice', () => assembled({ entries: der(0x30, revokedEntry('1234'), revokedEntry('1234')) })],
  ['a serial that is not minimal', () => assembled({ entries: der(0x30, revokedEntry('001234')) })],
  [
    'an entry of another issuer',
    () =>
      assembled({
        entries: der(
          0x30,
          revokedEntry('1234', der(0x30, extension('1d', true, der(0x30, der(0xa4, commonName('x')))))),
        ),
      }),
  ],
  [
    'a reason that is none',
    () =>
      assembled({
        entries: der(0x30, revokedEntry('1234', der(0x30, extension('15', false, der(0x0a, Uint8Array.of(7)))))),
      }),
  ],
  ['a cut end', () => assembled({}).subarray(0, -1)],
  ['trailing bytes', () => concat(assembled({}), Uint8Array.of(0))],
  ['nothing', () => new Uint8Array()],
]

describe('a list with one thing wrong is refused', () => {
  test('the list the others derive from is read', () => {
    assert.equal(verdict(assembled({})), null)
    assert.deepEqual([...mustRead(assembled({})).revoked.keys()], ['1234'])
  })
  for (const [what, make] of badLists) {
    test(what, () => assert.equal(verdict(make()), 'crl_malformed'))
  }
  test('a list of more than 8 MiB is refused unread', () => {
    assert.equal(verdict(new Uint8Array(8 * 1024 * 1024 + 1)), 'crl_too_large')
  })
})

/** Runs openssl in a folder with the list, the anchor and both leaves; null where it is not installed. */
async function withOpenssl(t: TestContext, run: (openssl: (...words: string[]) => RunResult) => void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'doorward-crl-'))
  try {
    const pem = ({ der: bytes }: PeerCertificate) => new X509Certificate(bytes).toString()
    writeFileSync(join(folder, 'anchor.pem'), pem(authority.certificate))
    writeFileSync(join(folder, 'revoked.pem'), pem(revoked))
    writeFileSync(join(folder, 'standing.pem'), pem(standing))
    writeFileSync(join(folder, 'list.pem'), crlPem(await listing()))
    const found = spawnSync('openssl', ['version'])
    if (found.error !== undefined && process.env['CI'] === undefined)
      return t.diagnostic('openssl is not installed: not compared')
    run((...words) => {
      const { status, stdout, stderr } = spawnSync('openssl', words, { cwd: folder, encoding: 'utf8' })
      return { status, output: `${stdout}${stderr}` }
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

interface RunResult {
  readonly status: number | null
  readonly output: string
}

describe('RV-7: OpenSSL and our list', () => {
  test('parses it, verifies its signature and reads the same from it', (t) =>
    withOpenssl(t, (openssl) => {
      const { status, output } = openssl('crl', '-in', 'list.pem', '-noout', '-text', '-CAfile', 'anchor.pem')
      assert.equal(status, 0, output)
      assert.match(output, /verify OK/)
      assert.match(output, /Version 2/)
      assert.match(output, new RegExp(`Serial Number: ${revoked.serial}`, 'i'))
      assert.match(output, /Key Compromise/)
      assert.match(output, /X509v3 CRL Number:\s+7/)
    }))

  test('refuses the revoked certificate by it, accepts the other, and trusts nobody without it', (t) =>
    withOpenssl(t, (openssl) => {
      const verify = (leaf: string, ...more: string[]) => {
        const given = ['-x509_strict', '-attime', String(now), '-CAfile', 'anchor.pem', '-crl_check', ...more]
        return openssl('verify', ...given, leaf)
      }
      const good = verify('standing.pem', '-CRLfile', 'list.pem')
      assert.equal(good.status, 0, good.output)
      const bad = verify('revoked.pem', '-CRLfile', 'list.pem')
      assert.notEqual(bad.status, 0)
      assert.match(bad.output, /certificate revoked/)
      assert.match(verify('standing.pem').output, /unable to get certificate CRL/)
      assert.equal(openssl('verify', '-attime', String(now), '-CAfile', 'anchor.pem', 'revoked.pem').status, 0)
    }))
})
