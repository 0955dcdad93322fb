/** Planned rotations whose new keys are revoked while they go on. */

import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { revoke } from '../../../packages/server/src/authority/revoke.ts'
import {
  assertSound,
  begin,
  expectDone,
  follow,
  newest,
  operator,
  runToEnd,
} from '../../fixtures/authority/ceremony-run.ts'
import { sharedGround } from '../../fixtures/authority/one-store.ts'
import type { SharedAuthority, SharedGround } from '../../fixtures/authority/one-store.ts'

let ground: SharedGround
let a: SharedAuthority
let b: SharedAuthority

beforeEach(async () => {
  ground = await sharedGround()
  a = await ground.open('a')
  b = await ground.open('b')
  for (const authority of [a, b]) await authority.turn()
})
afterEach(() => ground.remove())

const both = () => [a, b]

async function denied(keyId: string): Promise<void> {
  const by = { name: 'ann', id: operator, serial: '01' }
  const parts = { context: a.context, settleKeys: async () => false, publish: async () => undefined }
  expectDone(await revoke(parts, { subject: { kind: 'authority', keyId }, reason: 'lost', by }))
}

test('a rotation fails when its new keys are revoked on the way, instead of waiting for them', async () => {
  const { id } = await begin(a, { kind: 'rotate' })
  const ended = await runToEnd(ground, both, async () => {
    const made = (await ground.store.slots.list()).filter(({ ceremony }) => ceremony === id)
    if ((await newest(ground)).stage === 'publish')
      for (const { keyId } of made.filter(({ purpose }) => purpose === 'anchor')) await ground.store.slots.remove(keyId)
  })
  assert.deepEqual([ended.stage, ended.stages.at(-1)?.note], ['failed', 'the new keys are gone: they were revoked'])
  await assertSound(ground, both())
})

test('a rotation comes to its end when its new keys are revoked after they have signed and everybody has started again', async () => {
  const { id } = await begin(a, { kind: 'rotate' })
  let again = false
  const ended = await runToEnd(ground, both, async () => {
    await follow(ground, 'spiffe://test.example/agent/slow', { delegation: 1, sequence: 1 })
    if (again || (await newest(ground)).stage !== 'settle') return
    again = true
    for (const { keyId, ceremony } of await ground.store.slots.list()) if (ceremony === id) await denied(keyId)
    a = await ground.open('a')
    b = await ground.open('b')
  })
  assert.deepEqual([again, ended.stage], [true, 'done'])
  await assertSound(ground, both())
})
