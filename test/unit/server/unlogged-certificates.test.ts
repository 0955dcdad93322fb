/** What the log of an authority knows of its certificates, for as long as anybody is told of them. */

import { deepEqual, equal, rejects } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { epochMillis, epochSeconds } from '@doorward/core'
import type { Issued } from '@doorward/core'
import { UnloggedCertificates } from '../../../packages/server/src/authority/detect/unlogged-certificates.ts'
import { Ledger } from '../../../packages/server/src/authority/ledger.ts'
import type { IssuedFact } from '../../../packages/server/src/authority/log-fact.ts'
import { sharedGround } from '../../fixtures/authority/one-store.ts'
import type { SharedAuthority, SharedGround } from '../../fixtures/authority/one-store.ts'

let ground: SharedGround
let authority: SharedAuthority
before(async () => {
  ground = await sharedGround()
  authority = await ground.open('a')
})
after(() => ground.remove())

const over = epochSeconds(1_800_000_000)
const id = 'spiffe://test.example/agent/a'

function fact(fingerprint: string): IssuedFact {
  return { fact: 'issued', id, serial: fingerprint, fingerprint, notAfter: over, at: epochMillis(1_799_999_000_000) }
}

function listed(...fingerprints: readonly string[]): { readonly issued: readonly Issued[] } {
  return { issued: fingerprints.map((fingerprint) => ({ fingerprint, id, notAfter: over })) }
}

/** Of one authority, whose store is asked for what its log does not know. */
function watched(ledger: Ledger) {
  const asked: string[] = []
  const findByFingerprint = async (fingerprint: string) => {
    asked.push(fingerprint)
    throw new Error('asked')
  }
  const { store } = authority.context
  const context = { ...authority.context, store: { ...store, issuance: { ...store.issuance, findByFingerprint } } }
  const certificates = new UnloggedCertificates(context, ledger)
  return { certificates, asked, prune: () => ledger.prune(over, (fingerprint) => certificates.lists(fingerprint)) }
}

test('DT-6: a certificate that is over is known for as long as the trust state speaks of it, after a restart too', async () => {
  const ledger = new Ledger()
  const { certificates, asked, prune } = watched(ledger)
  ledger.take(fact('told'))
  ledger.take(fact('untold'))
  // Its log is not read as a whole yet.
  equal(await certificates.sweep(listed('told')), false)
  prune()
  deepEqual([ledger.hasIssued('told'), ledger.hasIssued('untold')], [true, false])
  ledger.completed()
  equal(await certificates.sweep(listed('told')), false)
  deepEqual(asked, [])
  await certificates.sweep(listed())
  prune()
  equal(ledger.hasIssued('told'), false)
})

test('DT-6: what the log does not know is looked up, over or not', async () => {
  const ledger = new Ledger()
  const { certificates, asked, prune } = watched(ledger)
  ledger.completed()
  prune()
  await rejects(certificates.sweep(listed('forged')), /asked/)
  deepEqual(asked, ['forged'])
})
