/** When keys are prepared, published, activated and removed. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochSeconds } from '@doorward/core'
import fc from 'fast-check'
import type { KeySlot } from '../../../packages/server/src/authority/ports.ts'
import { isDead, nextStep, plannedStep } from '../../../packages/server/src/authority/slot-schedule.ts'
import type { SlotSchedule, SlotStanding } from '../../../packages/server/src/authority/slot-schedule.ts'

const schedule: SlotSchedule = { lifetimeSeconds: 600, publishedSeconds: 15, signedLifetimeSeconds: 60 }
const jwk = { kty: 'EC', crv: 'P-256', x: 'x', y: 'y' } as const
const undisturbed: SlotStanding = { denied: new Set(), epoch: 1, ceremony: null }

/** The store's transitions without a store. */
function take(slots: readonly KeySlot[], now: number, standing = undisturbed): readonly KeySlot[] | null {
  const due = nextStep(slots, schedule, epochSeconds(now), standing)
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
        epoch: standing.epoch,
        ceremony: null,
        reissue: false,
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

function settle(slots: readonly KeySlot[], now: number, standing = undisturbed): readonly KeySlot[] {
  let settled = slots
  for (let steps = 0; steps < 20; steps++) {
    const next = take(settled, now, standing)
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

test('FD-7: whenever it is looked at, one living key signs, and in steady state none signs that was not published before', () => {
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

/** As a ceremony makes them. */
function asked(slots: readonly KeySlot[], state: KeySlot['state'], ceremony = 'c'): readonly KeySlot[] {
  const moments = { preparedAt: epochSeconds(0), publishedAt: state === 'prepared' ? null : epochSeconds(0) }
  const [slot] = settle([], 0)
  return [...slots, { ...slot!, ...moments, activatedAt: null, keyId: 'asked', keyName: 'asked', state, ceremony }]
}

test('CA-2: a key that is denied is dead at once, even while it is active: a successor signs in the same moment', () => {
  const slots = settle([], 0)
  const standing = { ...undisturbed, denied: new Set(slots.map(({ keyId }) => keyId)) }
  const after = settle(slots, 10, standing)
  assert.deepEqual(states(after), ['active'])
  assert.notEqual(after[0]?.keyId, slots[0]?.keyId)
})

test('RV-6: a key of an earlier epoch is dead, and its successor is of the new one', () => {
  const standing = { ...undisturbed, epoch: 2 }
  const after = settle(settle([], 0), 10, standing)
  assert.deepEqual(
    after.map(({ state, epoch }) => [state, epoch]),
    [['active', 2]],
  )
})

test('CA-2: the schedule leaves the slots of an open ceremony alone while another key can sign', () => {
  const ceremony = { id: 'c', kind: 'rotate', stage: 'publish' } as const
  for (const state of ['prepared', 'published'] as const) {
    const slots = asked(settle([], 0), state)
    assert.deepEqual(settle(slots, 100, { ...undisturbed, ceremony }), slots)
    // Time for a successor: one of its own.
    assert.deepEqual(states(settle(slots, 300, { ...undisturbed, ceremony })), ['active', state, 'published'])
    const planned = plannedStep(slots[1]!, slots, schedule, {
      now: epochSeconds(0),
      standing: { ...undisturbed, ceremony },
    })
    assert.equal(planned, null)
  }
})

test('CA-2: with nothing else that can sign, the slot of an open ceremony signs at once', () => {
  const ceremony = { id: 'c', kind: 'recover', stage: 'prepare' } as const
  for (const state of ['prepared', 'published'] as const)
    assert.deepEqual(states(settle(asked([], state), 100, { ...undisturbed, ceremony })), ['active'])
})

test('CA-2: slots of a ceremony that is done are ordinary successors, those of a failed or forgotten one go', () => {
  const slots = asked(settle([], 0), 'prepared')
  const done = { ...undisturbed, ceremony: { id: 'c', kind: 'rotate', stage: 'done' } as const }
  assert.deepEqual(states(settle(slots, 100, done)), ['active', 'published'])
  for (const ceremony of [
    { id: 'c', kind: 'rotate', stage: 'failed' } as const,
    { id: 'later', kind: 'rotate', stage: 'prepare' } as const,
  ])
    assert.deepEqual(states(settle(slots, 100, { ...undisturbed, ceremony })), ['active'])
})

test('what an open recovery replaces is kept until it has ended', () => {
  const ceremony = { id: 'c', kind: 'recover', stage: 'settle' } as const
  const [old] = settle([], 0)
  const retired = { ...old!, state: 'retired', retiredAt: epochSeconds(1) } as const
  const standing = { ...undisturbed, denied: new Set([retired.keyId]), ceremony }
  assert.equal(isDead(retired, epochSeconds(100), standing), true)
  const slots = [retired, { ...asked([], 'prepared')[0]!, state: 'active' as const }]
  assert.deepEqual(states(settle(slots, 100, standing)), ['retired', 'active'])
  const ended = { ...standing, ceremony: { ...ceremony, stage: 'done' as const } }
  assert.deepEqual(states(settle(slots, 100, ended)), ['active'])
})

test('what comes next for a slot is told with its time', () => {
  const slots = settle(settle([], 0), 300)
  const planned = (slot: KeySlot) =>
    plannedStep(slot, slots, schedule, { now: epochSeconds(300), standing: undisturbed })
  assert.deepEqual(slots.map(planned), [
    { step: 'retire', at: 500 },
    { step: 'activate', at: 500 },
  ])
  const retired = { ...slots[0]!, state: 'retired', retiredAt: epochSeconds(500) } as const
  assert.deepEqual(planned(retired), { step: 'remove', at: 560 })
})
