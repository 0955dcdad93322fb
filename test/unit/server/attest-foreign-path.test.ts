/** Certificates of other authorities: every rule next to a chain that is good but for it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { commonNames, epochSeconds, foreignPath } from '@doorward/core'
import { signedByForeignKey } from '../../../packages/server/src/authority/attest/foreign-key.ts'
import { clientAuth, extension, foreign, foreignKey, serverAuth } from '../../fixtures/foreign-certificates.ts'
import type { Foreign, ForeignParts } from '../../fixtures/foreign-certificates.ts'

const rootKey = foreignKey('p256')
const root = foreign({ subject: ['Root'], key: rootKey, ca: true })
const middleKey = foreignKey('p256')
const leafKey = foreignKey('p256')
const middle = (parts: Partial<ForeignParts> = {}, issuer: Foreign = root) =>
  foreign({ subject: ['Middle'], key: middleKey, ca: true, ...parts }, issuer)
const leaf = (parts: Partial<ForeignParts> = {}, issuer: Foreign = middle()) =>
  foreign({ subject: ['device-7'], key: leafKey, ca: false, dns: ['device-7.acme.example'], ...parts }, issuer)

function codeOf(chain: readonly Foreign[], anchors: readonly Foreign[] = [root], secondsFromNow = 0): string {
  const now = epochSeconds(Math.floor(Date.now() / 1000) + secondsFromNow)
  const path = foreignPath(
    chain.map(({ read }) => read),
    anchors.map(({ read }) => read),
    { now, signedBy: signedByForeignKey },
  )
  return 'code' in path ? path.code : 'good'
}

test('a leaf directly below an anchor, below an issuer, and with the anchor sent along', () => {
  assert.equal(codeOf([leaf({}, root)]), 'good')
  assert.equal(codeOf([leaf(), middle()]), 'good')
  assert.equal(codeOf([leaf(), middle(), root]), 'good')
  assert.equal(codeOf([leaf({ purposes: [serverAuth, clientAuth] }), middle()]), 'good')
  assert.equal(codeOf([leaf({ usage: null }), middle({ usage: null })]), 'good')
})

test('a subordinate authority may be the anchor, without its root', () => {
  assert.equal(codeOf([leaf({}, middle())], [middle()]), 'good')
})

test('RSA up to 4096 bits, P-384 and Ed25519 may issue; RSA with 1024 bits may not', () => {
  for (const kind of ['rsa2048', 'p384', 'ed25519'] as const) {
    const anchor = foreign({ subject: [kind], key: foreignKey(kind), ca: true })
    assert.equal(codeOf([leaf({}, anchor)], [anchor]), 'good', kind)
  }
  const weak = foreign({ subject: ['weak'], key: foreignKey('rsa1024'), ca: true })
  assert.equal(codeOf([leaf({}, weak)], [weak]), 'chain_signature')
})

test('a signature over SHA-1 counts for nothing', () => {
  const anchor = foreign({ subject: ['old'], key: foreignKey('rsa2048'), ca: true })
  assert.equal(codeOf([leaf({ signature: 'sha1' }, anchor)], [anchor]), 'chain_signature')
})

test('none, too many, out of order, unlinked and foreign chains are refused', () => {
  assert.equal(codeOf([]), 'chain_length')
  assert.equal(codeOf([root]), 'chain_length')
  assert.equal(codeOf([leaf(), middle(), middle(), middle(), middle()]), 'chain_length')
  assert.equal(codeOf([middle(), leaf()]), 'foreign_leaf_profile')
  assert.equal(codeOf([leaf()]), 'chain_issuer_unknown')
  assert.equal(codeOf([leaf({}, root), middle()]), 'chain_issuer_unknown')
  const other = foreign({ subject: ['Other'], key: foreignKey('p256'), ca: true })
  assert.equal(codeOf([leaf({}, other)]), 'chain_issuer_unknown')
})

test('an issuer of the anchor’s name with another key has not signed', () => {
  const twin = foreign({ subject: ['Root'], key: foreignKey('p256'), ca: true })
  assert.equal(codeOf([leaf({}, twin)]), 'chain_signature')
  assert.equal(codeOf([leaf({}, middle({}, twin)), middle({}, twin)]), 'chain_signature')
  assert.equal(codeOf([leaf({}, twin)], [root, twin]), 'good')
})

test('everything on the path is valid now', () => {
  assert.equal(codeOf([leaf({ until: -60 }), middle()]), 'certificate_expired')
  assert.equal(codeOf([leaf({ from: 60 }), middle()]), 'certificate_not_yet_valid')
  assert.equal(codeOf([leaf(), middle({ until: -60 })]), 'certificate_expired')
  const ended = foreign({ subject: ['Ended'], key: rootKey, ca: true, until: -60 })
  assert.equal(codeOf([leaf({}, ended)], [ended]), 'chain_signature')
  assert.equal(codeOf([leaf(), middle()], [root], 7200), 'certificate_expired')
})

test('a leaf is an end entity for clients with a key for signatures, and has nothing critical that is not understood', () => {
  const bad: readonly Partial<ForeignParts>[] = [
    { ca: true },
    { usage: 0x84 },
    { usage: 0x20 },
    { purposes: [serverAuth] },
    { more: [extension('1.2.3.4', true, Uint8Array.of(5, 0))] },
  ]
  for (const parts of bad) assert.equal(codeOf([leaf(parts), middle()]), 'foreign_leaf_profile', JSON.stringify(parts))
})

test('an issuer is an authority that may sign this far down, and restricts nothing that is not evaluated', () => {
  const end = foreign({ subject: ['Middle'], key: middleKey, ca: false }, root)
  assert.equal(codeOf([leaf({}, end), end]), 'foreign_issuer_profile')
  const bad: readonly Partial<ForeignParts>[] = [
    { usage: 0x80 },
    { purposes: [serverAuth] },
    { more: [extension('2.5.29.30', true, Uint8Array.of(0x30, 0))] },
    { more: [extension('2.5.29.30', false, Uint8Array.of(0x30, 0))] },
  ]
  for (const parts of bad)
    assert.equal(codeOf([leaf({}, middle(parts)), middle(parts)]), 'foreign_issuer_profile', JSON.stringify(parts))
})

test('a path length is kept', () => {
  const short = foreign({ subject: ['Short'], key: rootKey, ca: true, pathLength: 0 })
  assert.equal(codeOf([leaf({}, short)], [short]), 'good')
  const below = foreign({ subject: ['Below'], key: middleKey, ca: true }, short)
  assert.equal(codeOf([leaf({}, below), below], [short]), 'chain_signature')
})

test('common names are read from DER: every one, and no text that only looks like one', () => {
  assert.deepEqual(commonNames(leaf().read.subjectName), ['device-7'])
  assert.deepEqual(commonNames(leaf({ subject: ['a', 'CN=b, O=c'] }).read.subjectName), ['a', 'CN=b, O=c'])
  assert.deepEqual(commonNames(leaf({ subject: [] }).read.subjectName), [])
})
