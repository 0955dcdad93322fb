/** An authority that is started again and again is not kept from starting by the certificates of its former selves. */

import { equal, ok } from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { after, before, test } from 'node:test'
import { isAuthorityRefusal } from '../../../packages/server/src/authority/refusal.ts'
import { issuanceLimits } from '../../../packages/server/src/authority/issue.ts'
import { sharedGround } from '../../fixtures/authority/one-store.ts'
import type { SharedAuthority, SharedGround } from '../../fixtures/authority/one-store.ts'

let ground: SharedGround
let authority: SharedAuthority
before(async () => {
  ground = await sharedGround()
  authority = await ground.open('a')
  await authority.turn()
})
after(() => ground.remove())

function newKey(): Uint8Array {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }))
}

test('its own certificates may be more than those of a workload', async () => {
  const issued = await Promise.all(
    Array.from({ length: issuanceLimits.perIdentity + 1 }, () => authority.trust.authority.issueOwn(newKey())),
  )
  ok(!issued.some(isAuthorityRefusal))
  equal(issued.length, 257)
})
