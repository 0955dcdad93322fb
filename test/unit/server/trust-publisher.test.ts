/** A trust state is signed under one delegation, whatever the authority takes up meanwhile. */

import { equal, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { epochMillis, epochSeconds, openTrustState, parseTrustMessage, signDelegation, toSeconds } from '@doorward/core'
import { importP256, sha256 } from '@doorward/sdk'
import { newTrustKey, storeDelegation } from '../../../packages/server/src/authority/delegation.ts'
import type { HeldDelegation } from '../../../packages/server/src/authority/delegation.ts'
import { sharedGround, trustDomain } from '../../fixtures/authority/one-store.ts'
import type { SharedAuthority, SharedGround } from '../../fixtures/authority/one-store.ts'

let ground: SharedGround
let authority: SharedAuthority
before(async () => {
  ground = await sharedGround()
  authority = await ground.open('a')
})
after(() => ground.remove())

/** What the root signs when somebody has lost all trust in the keys of before. */
async function delegateToNewKey(): Promise<HeldDelegation> {
  const { context, trust } = authority
  const { jwk } = await newTrustKey(context)
  const now = toSeconds(ground.now())
  const version = trust.publisher.delegation.stored.version + 1
  const delegation = { trustDomain, version, keys: [jwk], issuedAt: now, expiresAt: epochSeconds(now + 86_400) }
  await storeDelegation(context, await signDelegation(delegation, ground.root.key, ground.root.jwk))
  return trust.delegateAgain()
}

/** The newest state in the store, judged as every receiver does. */
async function newestState(scope: 'full' | 'callers') {
  const stored = await ground.store.trust.newest()
  const message = parseTrustMessage((scope === 'full' ? stored?.message : stored?.callers.message) ?? '')
  ok(!('code' in message) && message.kind === 'trust-state')
  const now = toSeconds(epochMillis(ground.now()))
  const { fingerprint: rootFingerprint } = ground.root
  const opened = openTrustState(message, { rootFingerprint, trustDomain, scope, now, importP256, sha256 })
  ok(!('code' in opened), JSON.stringify(opened))
  return opened.state
}

for (const signature of [1, 2])
  test(`RV-1: a delegation that is taken up with signature ${signature} of a state is that of the next state, not of this one`, async () => {
    const { publisher } = authority.trust
    const held = publisher.delegation
    const next = await delegateToNewKey()
    let signed = 0
    const key = {
      ...held.key!,
      sign: (data: Uint8Array) => {
        if (++signed === signature) publisher.useDelegation(next)
        return held.key!.sign(data)
      },
    }
    publisher.useDelegation({ ...held, key })
    await publisher.publish()
    ok(signed >= signature)
    equal((await newestState('full')).delegation, next.stored.version)
    await newestState('callers')
  })
