import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochSeconds, readCertificate } from '@doorward/core'
import type { EpochSeconds, PeerCertificate } from '@doorward/core'
import { serverProblem, sha256 } from '@doorward/sdk'
import { anchorsAlone } from '../../../packages/sdk/src/server-identity.ts'
import { VerifiedChains } from '../../../packages/sdk/src/verified-chains.ts'
import { countedKeys } from '../../fixtures/counted-keys.ts'
import { newAnchor, newLeaf, now, trustAnchorOf, TrustFixture } from '../../fixtures/trust-fixture.ts'
import type { TestSvid } from '../../fixtures/trust-fixture.ts'

const fixture = await TrustFixture.create()
const trust = anchorsAlone({ epoch: 1, anchors: [trustAnchorOf(fixture.anchor)] }, sha256)
const id = fixture.id('doorward', 'gateway', 'main')
const leaf = await newLeaf(fixture.anchor, id)

/** The certificate as the next connection brings it. */
function read({ certificate }: TestSvid): PeerCertificate {
  const again = readCertificate(certificate.der, { sha256 })
  assert.ok(!('problem' in again))
  return again
}

function stage() {
  const keys = countedKeys()
  const chains = new VerifiedChains()
  const { importP256 } = keys
  const judge = (svid: TestSvid, at: EpochSeconds = now(), by = trust, expected = svid.id) =>
    serverProblem(read(svid), { expected, trust: by, now: at, importP256, mirror: 'skip', chains })?.code ?? 'taken'
  return { keys, judge }
}

test('times are looked at again where signatures are not', () => {
  const { keys, judge } = stage()
  assert.equal(judge(leaf), 'taken')
  const { notBefore, notAfter } = leaf.certificate
  const anchor = trust.anchors[0]!
  assert.equal(judge(leaf, notAfter), 'taken')
  assert.equal(judge(leaf, epochSeconds(notAfter + 1)), 'server_expired')
  assert.equal(judge(leaf, epochSeconds(notBefore - 1)), 'server_expired')
  assert.equal(judge(leaf, epochSeconds(anchor.notAfter + 1)), 'server_expired')
  assert.equal(keys.verifications, 2)
})

test('a chain that held does not hold for another identity, another trust domain, or by other anchors', async () => {
  const { judge } = stage()
  assert.equal(judge(leaf), 'taken')
  assert.equal(judge(leaf, now(), trust, fixture.id('doorward', 'gateway', 'other')), 'server_identity')
  const foreign = (await TrustFixture.create('other.example')).id('doorward', 'gateway', 'main')
  assert.equal(judge(leaf, now(), trust, foreign), 'server_profile')
  const other = anchorsAlone({ epoch: 1, anchors: [trustAnchorOf(await newAnchor(fixture.trustDomain))] }, sha256)
  assert.equal(judge(leaf, now(), other), 'server_untrusted')
  assert.equal(judge(leaf), 'taken')
})

test('what did not hold is judged anew', async () => {
  const { keys, judge } = stage()
  const early = await newLeaf(fixture.anchor, id, { startsIn: 60 })
  assert.equal(judge(early), 'server_expired')
  assert.equal(keys.verifications, 0)
  assert.equal(judge(early, epochSeconds(now() + 61)), 'taken')
  const forged = await newLeaf({ ...fixture.anchor, keyPair: (await newAnchor(fixture.trustDomain)).keyPair }, id)
  for (let round = 0; round < 2; round++) assert.equal(judge(forged), 'server_untrusted')
  assert.equal(keys.verifications, 4)
})

test('the chains of 32 servers are remembered, the newest ones', async () => {
  const { keys, judge } = stage()
  const leaves = await Promise.all(Array.from({ length: 33 }, () => newLeaf(fixture.anchor, id)))
  for (const one of leaves) assert.equal(judge(one), 'taken')
  assert.equal(keys.verifications, 34)
  assert.equal(judge(leaves[1]!), 'taken')
  assert.equal(keys.verifications, 34)
  assert.equal(judge(leaves[0]!), 'taken')
  assert.equal(keys.verifications, 35)
})
