/** When streams of the Workload API tell of changes: what is added waits for a while, what is withdrawn for nothing. */

import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { parseSpiffeId } from '@doorward/core'
import { timerSleep } from '@doorward/sdk'
import type { Runtime } from '@doorward/sdk'
import type { HeldIdentities, UsableIdentity } from '../../../packages/server/src/apps/workload-api/held-identities.ts'
import type { JwtSvids } from '../../../packages/server/src/apps/workload-api/jwt-svids.ts'
import type { Peer } from '../../../packages/server/src/apps/workload-api/peer-facts.ts'
import { WorkloadCalls } from '../../../packages/server/src/apps/workload-api/workload-calls.ts'

interface State {
  readonly serial: string
  readonly anchors: readonly number[]
  readonly keys: readonly string[]
  readonly denied: readonly string[]
}

const first: State = { serial: '01', anchors: [1], keys: ['k1'], denied: [] }
const id = parseSpiffeId('spiffe://test.example/agent/a')

/** One stream of one identity, on a clock that stands until it is moved. */
class Stage {
  readonly waits: number[] = []
  readonly stop = new AbortController()
  readonly #answer: AsyncGenerator<Uint8Array, unknown>
  #state = first
  #now = 0
  #changed = Promise.withResolvers<void>()
  #slept = Promise.withResolvers<void>()

  constructor() {
    const runtime: Runtime = {
      wall: () => assert.fail('nothing here has a date'),
      monotonic: () => this.#now,
      chance: () => 0.5,
      sleep: (milliseconds, signal) => {
        this.waits.push(milliseconds)
        return Promise.race([
          this.#slept.promise,
          timerSleep(2 ** 31 - 1, AbortSignal.any([this.stop.signal, signal!])),
        ])
      },
    }
    const identities = {
      get: () => ({ name: 'agent/a', now: () => this.#usable() }),
      changed: () => this.#changed.promise,
    } as object as HeldIdentities
    const facts = { pid: 1, uid: 7, gid: 7, program: null }
    const peer = { credentials: facts, facts: async () => facts, isSame: async () => true } as object as Peer
    const calls = new WorkloadCalls({
      entries: [{ identity: 'agent/a', uid: 7 }],
      identities,
      jwtSvids: {} as JwtSvids,
      runtime,
      report: () => undefined,
      onProblem: (error) => assert.fail(String(error)),
    })
    const method = calls.forPeer(peer).methods.get('/SpiffeWorkloadAPI/FetchX509Bundles')
    this.#answer = method!(new Uint8Array(0), this.stop.signal)
  }

  #usable(): UsableIdentity {
    const { serial, anchors, keys, denied } = this.#state
    return {
      kind: 'usable',
      svid: { id, fingerprint: serial, certificate: { serial } },
      anchors: anchors.map((one) => Uint8Array.of(one)),
      trust: {
        delegation: 1,
        sequence: 1,
        jwtSvidKeys: keys.map((kid) => ({ kid, jwk: { kty: 'EC', crv: 'P-256', x: 'x', y: 'y' } })),
        denied: { serials: denied, authorities: [] },
      },
    } as object as UsableIdentity
  }

  told(): Promise<IteratorResult<Uint8Array, unknown>> {
    return this.#answer.next()
  }

  change(state: Partial<State>): void {
    this.#state = { ...this.#state, ...state }
    const changed = this.#changed
    this.#changed = Promise.withResolvers<void>()
    changed.resolve()
  }

  /** Lets everything that waits go on by so much. */
  pass(milliseconds: number): void {
    this.#now += milliseconds
    const slept = this.#slept
    this.#slept = Promise.withResolvers<void>()
    slept.resolve()
  }
}

let stage: Stage
beforeEach(async () => {
  stage = new Stage()
  assert.equal((await stage.told()).done, false)
})
afterEach(() => stage.stop.abort())

async function isWaiting(next: Promise<unknown>): Promise<boolean> {
  let waits = true
  void next.then(() => (waits = false))
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  return waits
}

test('WA-2: a renewal and what is added are told over a second, and whatever comes meanwhile with it', async () => {
  const next = stage.told()
  stage.change({ serial: '02' })
  assert.ok(await isWaiting(next))
  assert.equal(stage.waits.at(-1), 500)
  stage.pass(300)
  stage.change({ anchors: [1, 2], keys: ['k1', 'k2'] })
  assert.ok(await isWaiting(next))
  assert.equal(stage.waits.at(-1), 200)
  stage.pass(200)
  assert.ok(!(await isWaiting(next)))
  assert.ok(await isWaiting(stage.told()))
})

test('WA-2: an anchor or a key that is withdrawn is told at once, also while a renewal waits', async () => {
  for (const withdrawn of [{ anchors: [2] }, { keys: ['k2'] }]) {
    const next = stage.told()
    stage.change({ anchors: [1, 2], keys: ['k1', 'k2'] })
    assert.ok(await isWaiting(next))
    stage.change(withdrawn)
    assert.ok(!(await isWaiting(next)))
    const again = stage.told()
    stage.change(first)
    assert.ok(!(await isWaiting(again)))
  }
})

test('WA-2: a certificate that replaces a revoked one is told at once', async () => {
  const next = stage.told()
  stage.change({ serial: '02', denied: ['01'] })
  assert.ok(!(await isWaiting(next)))
  assert.deepEqual(stage.waits, [])
  // What was denied before is no reason to hurry.
  const renewed = stage.told()
  stage.change({ serial: '03' })
  assert.ok(await isWaiting(renewed))
})
