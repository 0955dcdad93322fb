/** Published path-validation cases minted again as SVIDs, with anchors and keys of the test's own. */

import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { concat, readCertificate } from '@doorward/core'
import { generateP256, sha256 } from '@doorward/sdk'
import type { P256KeyPair } from '@doorward/sdk'
import {
  YES,
  assemble,
  commonName,
  der,
  extension,
  goodAnchor,
  goodLeaf,
  hexBytes,
  leafVerdict,
  makeAuthority,
  purposes,
  time,
} from './identity-fixture.ts'
import type { Authority } from './identity-fixture.ts'
import {
  algorithmOf,
  anchorKeyCases,
  excluded,
  formCases,
  keyCases,
  keyPairOf,
  nameCases,
  nameConstraints,
  permitted,
  unknown,
  usageCases,
} from './limbo-svids.ts'
import type { Change, LeafCase } from './limbo-svids.ts'

let authority: Authority
let other: Authority
let leafKey: P256KeyPair

before(async () => {
  authority = await makeAuthority()
  other = await makeAuthority()
  leafKey = await generateP256()
})

const leafWith = (change: Change) =>
  assemble({ ...goodLeaf(authority, leafKey.privateKey), ...change }, authority.key.privateKey)
const anchorWith = (change: Change) => assemble({ ...goodAnchor(authority), ...change }, authority.key.privateKey)

/** The verdict on a leaf by exactly these anchors; one that cannot be read is no anchor. */
function verdict(leaf: Uint8Array, ...anchors: readonly Uint8Array[]): string | null {
  const read = anchors.flatMap((bytes) => {
    const anchor = readCertificate(bytes, { sha256 })
    return 'problem' in anchor ? [] : [anchor]
  })
  return leafVerdict(leaf, read)
}

const leafFamilies: readonly (readonly [family: string, cases: readonly LeafCase[]])[] = [
  ['X5-7: the form of a leaf', formCases],
  ['X5-4, X5-5: what a leaf may do', usageCases],
  ['X5-1, X5-2: who a leaf is', nameCases],
  ['X5-7: the key of a leaf', keyCases],
]

for (const [family, cases] of leafFamilies) {
  describe(family, () => {
    for (const [id, code, change] of cases) {
      test(`${id}: ${code ?? 'accepted'}`, () => assert.equal(verdict(leafWith(change()), anchorWith({})), code))
    }
  })
}

const ski = (critical = false, keyId = authority.issuer.keyId) => extension('0e', critical, der(0x04, hexBytes(keyId)))
const aki = (critical: boolean, ...content: readonly Uint8Array[]): Change => ({
  authorityKeyId: extension('23', critical, der(0x30, ...content)),
})
const ownKeyId = () => der(0x80, hexBytes(authority.issuer.keyId))
const issuerName = () => der(0xa1, der(0xa4, authority.certificate.subjectName))
const issuerSerial = () => der(0x82, hexBytes('1234567890'))
const constrained = (critical: boolean, subtrees: Uint8Array): Change => ({
  more: concat(ski(), nameConstraints(critical, subtrees)),
})

/** One thing wrong with the anchor; its leaf is right. */
const anchorCases: readonly (readonly [id: string, code: string | null, change: () => Change])[] = [
  ['rfc5280::aki::self-signed-root-missing-aki', null, () => ({ authorityKeyId: new Uint8Array() })],
  ['rfc5280::aki::critical-aki', 'chain_issuer_unknown', () => aki(true, ownKeyId())],
  ['rfc5280::ski::critical-ski', 'chain_issuer_unknown', () => ({ more: ski(true) })],
  ['rfc5280::ski::root-missing-ski', 'chain_issuer_unknown', () => ({ more: new Uint8Array() })],
  ['rfc5280::validity::expired-root', 'anchor_expired', () => ({ validity: span('270114080000Z', '270115075959Z') })],
  ['rfc5280::unknown-critical-extension-root', 'chain_anchor_profile', () => ({ more: concat(ski(), unknown(true)) })],
  ['rfc5280::root-missing-basic-constraints', 'chain_anchor_profile', () => ({ basicConstraints: new Uint8Array() })],
  [
    'rfc5280::root-non-critical-basic-constraints',
    'chain_anchor_profile',
    () => ({ basicConstraints: extension('13', false, der(0x30, YES)) }),
  ],
  ['rfc5280::root-inconsistent-ca-extensions', 'chain_anchor_profile', () => ({ keyUsage: usage(0x02, 1) })],
  ['rfc5280::ica-ku-keycertsign', 'chain_anchor_profile', () => ({ keyUsage: usage(0x80, 7) })],
  ['rfc5280::intermediate-ca-without-ca-bit', 'chain_anchor_profile', () => ({ basicConstraints: basic() })],
  ['webpki::aki::root-with-aki-missing-keyidentifier', 'chain_anchor_profile', () => aki(false)],
  [
    'webpki::aki::root-with-aki-authoritycertissuer',
    'chain_anchor_profile',
    () => aki(false, ownKeyId(), issuerName()),
  ],
  [
    'webpki::aki::root-with-aki-authoritycertserialnumber',
    'chain_anchor_profile',
    () => aki(false, ownKeyId(), issuerSerial()),
  ],
  [
    'webpki::aki::root-with-aki-all-fields',
    'chain_anchor_profile',
    () => aki(false, ownKeyId(), issuerName(), issuerSerial()),
  ],
  [
    'webpki::aki::root-with-aki-ski-mismatch',
    'chain_anchor_profile',
    () => aki(false, der(0x80, hexBytes('11'.repeat(20)))),
  ],
  [
    'webpki::eku::root-has-eku',
    'chain_anchor_profile',
    () => ({ extendedKeyUsage: extension('25', false, purposes('01', '02')) }),
  ],
  ['rfc5280::nc::permitted-dns-match', 'chain_anchor_profile', () => constrained(true, permitted('example.org'))],
  ['rfc5280::nc::permitted-dns-mismatch', 'chain_anchor_profile', () => constrained(true, permitted('evil.example'))],
  ['rfc5280::nc::excluded-dns-match', 'chain_anchor_profile', () => constrained(true, excluded('example.org'))],
  [
    'rfc5280::nc::permitted-dns-match-noncritical',
    'chain_anchor_profile',
    () => constrained(false, permitted('example.org')),
  ],
  [
    'webpki::nc::permitted-dns-match-noncritical',
    'chain_anchor_profile',
    () => constrained(false, permitted('example.org')),
  ],
  [
    'rfc5280::nc::excluded-match-permitted-and-excluded',
    'chain_anchor_profile',
    () => constrained(true, concat(permitted('example.org'), excluded('example.org'))),
  ],
]

const span = (from: string, to: string) => der(0x30, time(from), time(to))
const usage = (bits: number, unused: number) => extension('0f', true, Uint8Array.of(3, 2, unused, bits))
const basic = () => extension('13', true, der(0x30))

describe('X5-3, X5-6, X5-7: the anchor of a leaf', () => {
  test('the anchor that the others derive from issues', () => assert.equal(verdict(leafWith({}), anchorWith({})), null))
  for (const [id, code, change] of anchorCases) {
    test(`${id}: ${code ?? 'accepted'}`, () => assert.equal(verdict(leafWith({}), anchorWith(change())), code))
  }
  for (const [id, code, kind] of anchorKeyCases) {
    test(`${id}: ${code}`, () => {
      const { publicKey, privateKey } = keyPairOf(kind)
      const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }))
      const anchor = assemble({ ...goodAnchor(authority), ...algorithmOf(kind), spki }, privateKey)
      const leaf = assemble({ ...goodLeaf(authority, leafKey.privateKey), ...algorithmOf(kind) }, privateKey)
      assert.equal(verdict(leaf, anchor), code)
    })
  }
  test('rfc5280::ca-empty-subject: svid_issuer', () => {
    const nameless = { subject: der(0x30), issuer: der(0x30) }
    assert.equal(verdict(leafWith({ issuer: der(0x30) }), anchorWith(nameless)), 'svid_issuer')
  })
  test('rfc5280::aki::cross-signed-root-missing-aki: chain_anchor_profile', () => {
    const change = { authorityKeyId: new Uint8Array(), issuer: other.certificate.subjectName }
    const crossSigned = assemble({ ...goodAnchor(authority), ...change }, other.key.privateKey)
    assert.equal(verdict(leafWith({}), crossSigned), 'chain_anchor_profile')
    const renamed = assemble({ ...goodAnchor(authority), ...change }, authority.key.privateKey)
    assert.equal(verdict(leafWith({}), renamed), 'chain_anchor_profile')
  })
  test('rfc5280::chain-untrusted-root: chain_issuer_unknown', () =>
    assert.equal(verdict(leafWith({}), other.certificate.der), 'chain_issuer_unknown'))
  test('rfc5280::unknown-critical-extension-unrelated-root: accepted', () => {
    const unrelated = assemble({ ...goodAnchor(other), more: unknown(true) }, other.key.privateKey)
    assert.equal(verdict(leafWith({}), unrelated, anchorWith({})), null)
  })
  test('pathological::nc-dos-1: certificate_too_large', () => {
    const names = der(0x30, der(0x86, concat(...Array.from({ length: 2048 }, () => hexBytes('61626364')))))
    assert.equal(verdict(leafWith({ names: extension('11', true, names) }), anchorWith({})), 'certificate_too_large')
  })
})

describe('CA-1: a leaf below an intermediate is of nobody', () => {
  /** A signing certificate of the trust domain, itself signed by the anchor. */
  const intermediate = (change: Change = {}) => {
    const issuer = authority.certificate.subjectName
    const basicConstraints = extension('13', true, der(0x30, YES))
    return assemble(
      { ...goodAnchor(other), issuer, basicConstraints, ...aki(false, ownKeyId()), ...change },
      authority.key.privateKey,
    )
  }
  const leafBelow = () => assemble(goodLeaf(other, leafKey.privateKey), other.key.privateKey)
  test('pathlen::ee-with-intermediate-pathlen-0: chain_issuer_unknown', () =>
    assert.equal(verdict(leafBelow(), anchorWith({})), 'chain_issuer_unknown'))
  test('rfc5280::root-and-intermediate-swapped: chain_anchor_profile', () =>
    assert.equal(verdict(leafBelow(), anchorWith({}), intermediate()), 'chain_anchor_profile'))
  test('rfc5280::intermediate-ca-missing-basic-constraints: a leaf signs nothing', () => {
    const signingLeaf = intermediate({ basicConstraints: new Uint8Array(), subject: commonName('leaf') })
    const below = assemble({ ...goodLeaf(other, leafKey.privateKey), issuer: commonName('leaf') }, other.key.privateKey)
    assert.equal(verdict(below, anchorWith({})), 'chain_issuer_unknown')
    assert.equal(verdict(below, anchorWith({}), signingLeaf), 'chain_anchor_profile')
  })
  test('an intermediate itself is no SVID', () => assert.equal(verdict(intermediate(), anchorWith({})), 'svid_ca'))
})

test('every family of cases is minted again', (t) => {
  const file = join(import.meta.dirname, '../../../../shared/vectors/limbo.json')
  if (!existsSync(file)) return t.diagnostic('no vectors: not compared')
  const { testcases } = JSON.parse(readFileSync(file, 'utf8')) as { readonly testcases: readonly { id: string }[] }
  const known = new Set(testcases.map(({ id }) => id))
  const minted = [...leafFamilies.flatMap(([, cases]) => cases), ...anchorCases, ...anchorKeyCases].map(([id]) => id)
  assert.deepEqual(
    minted.filter((id) => !known.has(id)),
    [],
  )
  // Lists are another matter (identity-crl.test.ts), and so is what the web has of chains that were online.
  const families = new Set([...known].map(familyOf).filter((family) => !/^(crl|online|cve|pathological)/.test(family)))
  const covered = new Set(minted.map(familyOf))
  assert.deepEqual(
    [...families].filter((family) => !covered.has(family)),
    [],
  )
})

/** The first two parts of an id where there are three, else the first. */
function familyOf(id: string): string {
  const parts = id.split('::')
  return parts.slice(0, Math.max(1, parts.length - 1)).join('::')
}

test('keys that are not the certificate’s own sign nothing for it', () => {
  const spki = new Uint8Array(createPublicKey(other.key.privateKey).export({ type: 'spki', format: 'der' }))
  assert.equal(verdict(leafWith({}), anchorWith({ spki })), 'chain_anchor_profile')
})
