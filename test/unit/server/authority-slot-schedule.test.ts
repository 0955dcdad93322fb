/** When keys are prepared, published, activated and removed. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochSeconds } from '@doorward/core'
import fc from 'fast-check'
import type { KeySlot } from '../../../packages/server/src/authority/ports.ts'
import { nextStep } from '../../../packages/server/src/authority/slot-schedule.ts'
import type { SlotSchedule } from '../../../packages/server/src/authority/slot-schedule.ts'

const schedule: SlotSchedule = { lifetimeSeconds: 600, publishedSeconds: 15, signedLifetimeSeconds: 60 }
const jwk = { kty: 'EC', crv: 'P-256', x: 'x', y: 'y' } as const

/** The store's transitions without a store. */
function take(slots: readonly KeySlot[], now: number): readonly KeySlot[] | null {
  const due = nextStep(slots, schedule, epochSeconds(now))
  if (due === null) return null
  const at = epochSeconds(now)
  if (due.step === 'prepare') {
    const keyId = `key-${slots.length}-${now}`
    const moments = { preparedAt: at, publishedAt: null, activatedAt: null, retiredAt: null }
    const times = { notAfter: epochSeconds(now + schedule.lifetimeSeconds), ...moments }
    return [
      ...slots,
      {
        purpose: 'anchor',
        keyId,
        keyName: keyId,
        authority: 'one',
        state: 'prepared',
        jwk,
        certificate: null,
        ...times,
      },
    ]
  }
  const { keyId } = due.slot
  if (due.step === 'remove') return slots.filter((slot) => slot.keyId !== keyId)
  return slots.map((slot): KeySlot => {
    if (slot.keyId === keyId) {
      return due.step === 'publish'
        ? { ...slot, state: 'published', publishedAt: at }
        : { ...slot, state: 'active', activatedAt: at }
    }
    return due.step === 'activate' && slot.state === 'active' ? { ...slot, state: 'retired', retiredAt: at } : slot
  })
}

function settle(slots: readonly KeySlot[], now: number): readonly KeySlot[] {
  let settled = slots
  for (let steps = 0; steps < 20; steps++) {
    const next = take(settled, now)
    if (next === null) return settled
    settled = next
  }
  return assert.fail('the schedule does not settle')
}

function states(slots: readonly KeySlot[]): readonly string[] {
  return slots.map(({ state }) => state)
}

test('without any key one is active at once', () => {
  assert.deepEqual(states(settle([], 0)), ['active'])
})

test('a successor is published from half of the lifetime on and signs when a sixth is left', () => {
  let slots = settle([], 0)
  assert.deepEqual(states((slots = settle(slots, 299))), ['active'])
  assert.deepEqual(states((slots = settle(slots, 300))), ['active', 'published'])
  assert.deepEqual(states((slots = settle(slots, 499))), ['active', 'published'])
  assert.deepEqual(states((slots = settle(slots, 500))), ['retired', 'active'])
  assert.deepEqual(states((slots = settle(slots, 559))), ['retired', 'active'])
  assert.deepEqual(states(settle(slots, 560)), ['active'])
})

test('a successor that is late signs only after it has been published for 15 s', () => {
  const slots = settle(settle([], 0), 550)
  assert.deepEqual(states(slots), ['active', 'published'])
  assert.deepEqual(states(settle(slots, 564)), ['active', 'published'])
  assert.deepEqual(states(settle(slots, 565)), ['retired', 'active'])
})

test('an authority that slept past every expiry has a key that signs at once and drops the dead', () => {
  const slots = settle(settle(settle([], 0), 300), 10_000)
  assert.deepEqual(states(slots), ['active'])
  assert.ok(slots.every(({ notAfter }) => notAfter > 10_000))
})

test('whenever it is looked at, one living key signs, and in steady state none signs that was not published before', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 80 }), { maxLength: 60 }), (waits) => {
      let now = 0
      let slots = settle([], now)
      for (const wait of waits) {
        now += wait
        slots = settle(slots, now)
        const active = slots.filter(({ state, notAfter }) => state === 'active' && notAfter > now)
        assert.equal(active.length, 1)
        const [key] = active
        if (key?.preparedAt !== 0)
          assert.ok(Number(key?.activatedAt) - Number(key?.publishedAt) >= schedule.publishedSeconds)
      }
    }),
  )
})
