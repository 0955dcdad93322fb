import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import {
  buildCertificate,
  chainsToAnchor,
  equalBytes,
  hex,
  isDoorwardError,
  newSerial,
  parseSpiffeId,
  parseTrustDomain,
  selfSignedForKey,
  svidTemplate,
  workloadId,
} from '@doorward/core'
import type { PeerCertificate } from '@doorward/core'
import { generateP256, importP256, randomBytes } from '@doorward/sdk'
import type { P256KeyPair } from '@doorward/sdk'
import {
  after,
  assemble,
  extension,
  goodLeaf,
  issue,
  makeAuthority,
  mustRead,
  now,
  trustDomain,
  uriNames,
  leafVerdict,
  spkiOf,
} from './identity-fixture.ts'
import type { Authority, LeafParts } from './identity-fixture.ts'

let authority: Authority
let leafKey: P256KeyPair

before(async () => {
  authority = await makeAuthority()
  leafKey = await generateP256()
})

function verdict(bytes: Uint8Array, anchors: readonly PeerCertificate[] = [authority.certificate]): string | null {
  return leafVerdict(bytes, anchors)
}

function leafWith(change: Partial<LeafParts>): Uint8Array {
  return assemble({ ...goodLeaf(authority, leafKey.privateKey), ...change }, authority.key.privateKey)
}

describe('the chain', () => {
  test('a leaf of another authority with the same key id and name is refused by its signature', async () => {
    const thief = await generateP256()
    const forged = assemble(goodLeaf(authority, leafKey.privateKey), thief.privateKey)
    assert.equal(verdict(forged), 'chain_signature')
  })
  test('X5-8, TB-3: an authority that is not among the anchors is unknown, and without anchors everybody is', async () => {
    const other = await makeAuthority()
    const leaf = await issue(other)
    assert.equal(verdict(leaf.der), 'chain_issuer_unknown')
    assert.equal(verdict(leaf.der, []), 'chain_issuer_unknown')
    assert.equal(verdict(leaf.der, [authority.certificate, other.certificate]), null)
  })
  test('an anchor past its end verifies nothing', async () => {
    const leaf = await issue(authority)
    const at = after(604_801)
    const long = { ...leaf, notAfter: after(700_000) }
    const answer = chainsToAnchor(long, [authority.certificate], at, importP256)
    assert.equal('code' in answer && answer.code, 'anchor_expired')
  })
  test('X5-3: a leaf is not an anchor', async () => {
    const leaf = await issue(authority)
    const below = { ...(await issue(authority, 'below')), authorityKeyId: 'aa', issuerName: leaf.subjectName }
    const answer = chainsToAnchor(below, [{ ...leaf, subjectKeyId: 'aa' }], now, importP256)
    assert.equal('code' in answer && answer.code, 'chain_anchor_profile')
  })
  test('an anchor that did not sign itself verifies nothing', async () => {
    const leaf = await issue(authority)
    const other = await makeAuthority()
    const renamed = { ...authority.certificate, issuerName: other.certificate.subjectName }
    const resigned = { ...authority.certificate, signature: other.certificate.signature }
    for (const anchor of [renamed, resigned]) {
      const answer = chainsToAnchor(leaf, [anchor], now, importP256)
      assert.equal('code' in answer && answer.code, 'chain_anchor_profile')
    }
  })
  test('SID-7, X5-8: a signing certificate of another trust domain does not issue here', async () => {
    const foreign = await makeAuthority(parseTrustDomain('evil.example'))
    const leaf = await issue(foreign)
    assert.equal(verdict(leaf.der, [foreign.certificate]), 'chain_trust_domain')
  })
  test('X5-3: a signing certificate never authenticates', () => {
    assert.equal(verdict(authority.certificate.der), 'svid_ca')
  })
  test('X5-7: validity is inclusive at both ends', async () => {
    const leaf = await issue(authority)
    const at = (time: number) => chainsToAnchor(leaf, [authority.certificate], after(time), importP256)
    assert.ok(!('code' in at(3600)) && !('code' in at(-60)))
    assert.ok('code' in at(3601) && 'code' in at(-61))
  })
})

describe('what the authority issues', () => {
  test('SID-6, X5-3: the anchor is named by the trust domain alone, and may sign certificates and lists', () => {
    const { certificate } = authority
    assert.equal(certificate.spiffeId?.uri, `spiffe://${trustDomain}`)
    assert.deepEqual(certificate.spiffeId.segments, [])
    assert.deepEqual(certificate.uris, [`spiffe://${trustDomain}`])
    assert.equal(certificate.isCa, true)
    assert.deepEqual(certificate.extensions.basicConstraints, { critical: true, ca: true, pathLength: 0 })
    assert.deepEqual(certificate.extensions.keyUsage, {
      critical: true,
      digitalSignature: false,
      keyCertSign: true,
      crlSign: true,
    })
    assert.equal(certificate.extensions.extendedKeyUsage, null)
  })

  test('X5-1, X5-2, X5-4, X5-5: a leaf has the profile of an SVID and nothing beside it', async () => {
    const { uris, subjectName, extensions, isCa, spiffeId } = await issue(authority)
    assert.deepEqual(uris, ['spiffe://example.org/agent/planner'])
    assert.deepEqual(spiffeId?.segments, ['agent', 'planner'])
    assert.equal(hex(subjectName), '3000')
    assert.equal(isCa, false)
    assert.deepEqual(
      { ...extensions, authorityKey: null },
      {
        keyUsage: { critical: true, digitalSignature: true, keyCertSign: false, crlSign: false },
        extendedKeyUsage: ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'],
        basicConstraints: { critical: true, ca: false, pathLength: null },
        subjectAltNames: { critical: true, uris, dnsNames: [], ipAddresses: [] },
        subjectKeyId: null,
        authorityKey: null,
        unknownCritical: [],
      },
    )
  })

  test('reads the same to Node’s own parser', async () => {
    const leaf = await issue(authority)
    const theirs = new X509Certificate(leaf.der)
    assert.equal(theirs.subjectAltName, `URI:${leaf.spiffeId?.uri}`)
    assert.equal(theirs.serialNumber.toLowerCase(), leaf.serial)
    assert.equal(
      theirs.fingerprint256.replaceAll(':', '').toLowerCase(),
      Buffer.from(leaf.fingerprint, 'base64url').toString('hex'),
    )
    assert.equal(theirs.ca, false)
    assert.equal(Date.parse(theirs.validTo) / 1000, leaf.notAfter)
    assert.equal(Date.parse(theirs.validFrom) / 1000, leaf.notBefore)
    assert.ok(equalBytes(new Uint8Array(theirs.publicKey.export({ type: 'spki', format: 'der' })), leaf.publicKeySpki))
    assert.ok(theirs.verify(new X509Certificate(authority.certificate.der).publicKey))
    assert.ok(theirs.checkIssued(new X509Certificate(authority.certificate.der)))
    assert.equal(new X509Certificate(authority.certificate.der).ca, true)
  })

  test('TR-5, TR-6: what Node’s parser says of names and usage is never what decides', () => {
    const names = extension('11', true, uriNames('spiffe://example.org/a', 'spiffe://example.org/b'))
    const two = leafWith({ names })
    assert.equal(new X509Certificate(two).subjectAltName, 'URI:spiffe://example.org/a, URI:spiffe://example.org/b')
    assert.deepEqual(mustRead(two).uris, ['spiffe://example.org/a', 'spiffe://example.org/b'])
    assert.equal(mustRead(two).spiffeId, null)
    assert.equal(verdict(two), 'svid_uri')
    // Node calls the purposes key usage, and tells neither the usage nor whether it is critical.
    const signing = leafWith({ keyUsage: extension('0f', false, Uint8Array.of(3, 2, 2, 0x84)) })
    const purposesOf = (bytes: Uint8Array) => new X509Certificate(bytes).keyUsage
    assert.deepEqual(purposesOf(signing), purposesOf(leafWith({})))
    assert.equal(verdict(signing), 'svid_key_usage')
  })

  test('X5-7: passes strict OpenSSL for both purposes', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'doorward-certificate-'))
    try {
      writeFileSync(join(folder, 'anchor.pem'), new X509Certificate(authority.certificate.der).toString())
      writeFileSync(join(folder, 'leaf.pem'), new X509Certificate(leafWith({})).toString())
      for (const purpose of ['sslclient', 'sslserver']) {
        const options = ['-x509_strict', '-purpose', purpose, '-attime', String(now)]
        const run = spawnSync('openssl', ['verify', ...options, '-CAfile', 'anchor.pem', 'leaf.pem'], { cwd: folder })
        if (run.error !== undefined) {
          if (process.env['CI'] !== undefined) throw run.error
          t.skip('openssl is not installed')
          return
        }
        assert.equal(run.status, 0, run.stderr.toString())
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test('carries the names that were asked for', async () => {
    const template = svidTemplate({
      spiffeId: workloadId(trustDomain, 'doorward', 'gateway', 'main'),
      publicKey: leafKey.spki,
      serial: newSerial(randomBytes),
      notBefore: after(-60),
      notAfter: after(3600),
      issuer: authority.issuer,
      dnsNames: ['localhost'],
      ipAddresses: ['127.0.0.1', '::1'],
    })
    const leaf = mustRead(await buildCertificate(template, authority.key.signKey))
    assert.deepEqual(leaf.dnsNames, ['localhost'])
    assert.deepEqual(leaf.ipAddresses, ['127.0.0.1', '0:0:0:0:0:0:0:1'])
    assert.equal(verdict(leaf.der), null)
  })

  test('is refused as a template when it could not be a leaf', () => {
    const contents = {
      spiffeId: parseSpiffeId('spiffe://example.org/a'),
      publicKey: leafKey.spki,
      serial: '01',
      notBefore: after(-60),
      notAfter: after(3600),
      issuer: authority.issuer,
    }
    const refused = (change: Partial<typeof contents>) =>
      assert.throws(
        () => svidTemplate({ ...contents, ...change }),
        (error) => isDoorwardError(error, 'certificate_template_invalid'),
      )
    assert.ok(svidTemplate(contents))
    refused({ spiffeId: parseSpiffeId('spiffe://example.org') })
    refused({ serial: '' })
    refused({ serial: '00' })
    refused({ serial: '0001' })
    refused({ serial: 'ff' })
    refused({ serial: '1' })
    refused({ serial: '01'.repeat(21) })
    refused({ notAfter: after(-60) })
    refused({ publicKey: spkiOf('p384') })
  })

  test('serial numbers are positive, of 16 octets, and differ', () => {
    const serials = Array.from({ length: 200 }, () => newSerial(randomBytes))
    assert.equal(new Set(serials).size, 200)
    assert.ok(serials.every((serial) => /^[4-7][0-9a-f]{31}$/.test(serial)))
    assert.match(
      newSerial((length) => new Uint8Array(length)),
      /^40(00){15}$/,
    )
    assert.match(
      newSerial((length) => new Uint8Array(length).fill(255)),
      /^7f(ff){15}$/,
    )
  })

  test('an enrolment certificate proves a key and is no SVID', async () => {
    const contents = {
      publicKey: leafKey.spki,
      serial: newSerial(randomBytes),
      notBefore: after(-60),
      notAfter: after(600),
    }
    const bytes = await buildCertificate(selfSignedForKey(contents), leafKey.signKey)
    const certificate = mustRead(bytes)
    assert.equal(certificate.spiffeId, null)
    assert.deepEqual(certificate.publicJwk, leafKey.jwk)
    const theirs = new X509Certificate(bytes)
    assert.ok(theirs.verify(theirs.publicKey))
    assert.notEqual(verdict(bytes), null)
  })

  test('what is read does not change with the caller’s buffer', async () => {
    const { der: bytes } = await issue(authority)
    const buffer = bytes.slice()
    const certificate = mustRead(buffer)
    buffer.fill(0)
    assert.equal(hex(certificate.der), hex(bytes))
    assert.notEqual(hex(certificate.tbs.subarray(0, 4)), '00000000')
  })
})
