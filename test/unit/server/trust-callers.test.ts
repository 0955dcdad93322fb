/** When callers hear of a change: of what takes something away at once, of additions together, and of those in any case. */

import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'
import { epochSeconds, parseTrustMessage, toSeconds } from '@doorward/core'
import { sharedGround } from '../../fixtures/authority/one-store.ts'
import type { SharedAuthority, SharedGround } from '../../fixtures/authority/one-store.ts'

const FOLLOWERS = 1000
const grounds: SharedGround[] = []
after(() => Promise.all(grounds.map((ground) => ground.remove())))

let ground: SharedGround
let authority: SharedAuthority
let told: number
const caller = { instance: '', scope: 'callers' } as const

beforeEach(async () => {
  ground = await sharedGround()
  grounds.push(ground)
  authority = await ground.open('a')
  told = 0
  for (let i = 0; i < FOLLOWERS; i++)
    authority.trust.audience.subscribe({ ...caller, id: `spiffe://test.example/agent/${i}` }, ({ kind }) => {
      if (i === 0 && kind === 'state') told++
    })
  // What callers hear of now, they hear of first: the next addition comes a moment after it.
  await authority.context.store.denials.deny(denialOf('01'))
  await authority.trust.publisher.publish()
  assert.equal(told, 1)
})

const denialOf = (value: string) => ({
  kind: 'serial' as const,
  value,
  issuedBefore: toSeconds(ground.now()),
  lapsesAt: epochSeconds(toSeconds(ground.now()) + 3600),
  reason: 'test',
})

/** A new anchor and token key, published. */
async function add(): Promise<void> {
  const { slots, publisher } = authority.trust
  const now = toSeconds(ground.now())
  await slots.prepareFor({ id: 'addition', epoch: 1 }, now)
  await slots.publishFor('addition', now)
  await publisher.publish()
}

const anchorsOf = (one: SharedAuthority) => {
  const { state, callers } = one.trust.publisher.current()
  return [state.anchors.length, callers.state.anchors.length]
}

async function until(holds: () => boolean): Promise<void> {
  for (const end = performance.now() + 10_000; !holds();) {
    assert.ok(performance.now() < end, 'not in time')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test('an addition that comes right after another change is told to callers a moment later', async () => {
  await add()
  assert.deepEqual([anchorsOf(authority), told], [[2, 1], 1])
  await until(() => told === 2)
  assert.deepEqual(anchorsOf(authority), [2, 2])
})

test('RV-1: a denial is told at once, and what was kept back with it', async () => {
  await add()
  await authority.context.store.denials.deny(denialOf('02'))
  await authority.trust.publisher.publish()
  const { callers } = authority.trust.publisher.current()
  assert.deepEqual([told, anchorsOf(authority), callers.state.denied.serials], [2, [2, 2], ['01', '02']])
  const message = parseTrustMessage(callers.text)
  assert.ok(!('code' in message) && message.kind === 'trust-state')
})

test('what an authority keeps back and dies with, another one tells with its next beat', async () => {
  const other = await ground.open('b')
  for (const one of [authority, other, authority]) await one.turn()
  // Callers have just heard of something.
  await authority.context.store.denials.deny(denialOf('03'))
  await authority.trust.publisher.publish()
  await add()
  // Before its moment has come; whatever it does later finds its store closed.
  authority.close()
  await other.trust.publisher.adopt()
  assert.deepEqual(anchorsOf(other).at(0), (anchorsOf(other).at(1) ?? 0) + 1)
  await other.trust.publisher.beat()
  const [full, callers] = anchorsOf(other)
  assert.equal(full, callers)
})
