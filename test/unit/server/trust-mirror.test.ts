import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { epochSeconds } from '@doorward/core'
import type { EpochSeconds, Issued, RegisteredWorkload } from '@doorward/core'
import type { TrustMark, TrustMaterial } from '../../../packages/server/src/authority/ports.ts'
import { TrustMirror } from '../../../packages/server/src/authority/trust-mirror.ts'

/** A store whose readings may repeat what was released before the mark, as concurrent transactions make them. */
class FakeStore {
  readonly released: { readonly entry: Issued; readonly mark: number }[] = []
  readonly readings: ('whole' | 'part')[] = []
  workloads: readonly RegisteredWorkload[] = []
  registry = 0
  repeats = 0

  async material(now: EpochSeconds, since?: TrustMark): Promise<TrustMaterial> {
    this.readings.push(since === undefined ? 'whole' : 'part')
    const from = since === undefined ? 0 : Number(since.released) - this.repeats
    const issued = this.released.filter(({ entry, mark }) => mark >= from && entry.notAfter > now)
    return {
      epoch: 1,
      authorities: [],
      slots: [],
      denials: [],
      workloads: this.registry === since?.registry ? null : this.workloads.map((one) => ({ ...one })),
      issued: issued.map(({ entry }) => ({ ...entry })),
      mark: { released: String(this.released.length), registry: this.registry },
    }
  }

  release(seconds: number): void {
    const mark = this.released.length
    // Not in the order of their release.
    const fingerprint = `${(mark * 7919) % 1009}-${mark}`
    this.released.push({ entry: { fingerprint, id: 'spiffe://t/a', notAfter: epochSeconds(seconds) }, mark })
  }

  register(roles: readonly string[]): void {
    this.workloads = [...this.workloads.slice(-2), { id: `spiffe://t/${this.registry++}`, roles }]
  }
}

type Step =
  | { readonly kind: 'release'; readonly after: number }
  | { readonly kind: 'register'; readonly roles: readonly string[] }
  | { readonly kind: 'time'; readonly seconds: number }
  | { readonly kind: 'forget' | 'read' }

const constant = (kind: 'forget' | 'read') => fc.constant<Step>({ kind })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: -5, max: 40 }).map((after): Step => ({ kind: 'release', after })) },
  { weight: 1, arbitrary: fc.subarray(['x', 'y']).map((roles): Step => ({ kind: 'register', roles })) },
  { weight: 2, arbitrary: fc.integer({ min: -20, max: 30 }).map((seconds): Step => ({ kind: 'time', seconds })) },
  { weight: 1, arbitrary: constant('forget') },
  { weight: 4, arbitrary: constant('read') },
)

test('readings that go on from one another amount to what whole readings give', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.nat(5), async (steps, repeats) => {
      const store = new FakeStore()
      store.repeats = repeats
      const mirror = new TrustMirror(store)
      let now = 1000
      for (const one of [...steps, { kind: 'read' } as const]) {
        if (one.kind === 'release') store.release(now + one.after)
        if (one.kind === 'register') store.register(one.roles)
        if (one.kind === 'time') now = Math.max(0, now + one.seconds)
        if (one.kind === 'forget') mirror.forget()
        if (one.kind !== 'read') continue
        const kept = await mirror.read(epochSeconds(now))
        const whole = await new TrustMirror(store).read(epochSeconds(now))
        assert.deepEqual(kept, whole)
      }
    }),
    { numRuns: 500 },
  )
})

test('entries that stay are the same values, also after a whole reading', async () => {
  const store = new FakeStore()
  store.release(2000)
  store.register(['x'])
  const mirror = new TrustMirror(store)
  const first = await mirror.read(epochSeconds(1000))
  store.release(1500)
  store.register(['y'])
  mirror.forget()
  const second = await mirror.read(epochSeconds(1001))
  assert.ok(second.issued.includes(first.issued[0]!))
  assert.ok(second.workloads.includes(first.workloads[0]!))
})

test('everything is read at first, after a minute, when the clock went back, and when that is asked for', async () => {
  const store = new FakeStore()
  const mirror = new TrustMirror(store)
  for (const seconds of [1000, 1000, 1059, 1060, 1061, 1060, 1061]) await mirror.read(epochSeconds(seconds))
  mirror.forget()
  await mirror.read(epochSeconds(1062))
  assert.deepEqual(store.readings, ['whole', 'part', 'part', 'whole', 'part', 'whole', 'part', 'whole'])
})
