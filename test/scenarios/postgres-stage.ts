/** A store under steady load while its database has a fault. */

import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { epochSeconds, isDoorwardError } from '@doorward/core'
import { openPostgresAuthorityStore } from '../../packages/server/src/storage/postgres/authority-store.ts'
import type { PostgresAuthorityStore } from '../../packages/server/src/storage/postgres/authority-store.ts'
import type { PostgresOptions } from '../../packages/server/src/storage/postgres/options.ts'
import { binding, registration } from '../contract/authority-store/values.ts'
import type { PostgresServer } from '../fixtures/postgres.ts'
import { storeOptions } from '../fixtures/postgres-store.ts'

const id = 'spiffe://t/a'
const at = epochSeconds
/** More than a verb may take, and less than a test may. */
const SETTLE_MILLISECONDS = 8000
const RECOVER_MILLISECONDS = 10_000
const connections = 4
/** Half of the defaults: faults are waited for often. */
const quick = { verbMilliseconds: 1500, connectMilliseconds: 1000, statementMilliseconds: 1000 }
let stages = 0

export class StoreStage {
  readonly store: PostgresAuthorityStore
  readonly applicationName: string
  /** Serials whose denial was acknowledged. */
  readonly #kept: string[] = []
  #count = 0
  #mostSessions = 0

  private constructor(store: PostgresAuthorityStore, applicationName: string) {
    this.store = store
    this.applicationName = applicationName
  }

  static async open(server: PostgresServer, more: Partial<PostgresOptions> = {}): Promise<StoreStage> {
    const database = await server.createDatabase()
    const applicationName = `doorward stage ${++stages}`
    const options = storeOptions(server, { database, applicationName, connections, times: quick, ...more })
    const store = await openPostgresAuthorityStore(options, { create: true })
    await store.registrations.add(registration(id), 10)
    await store.instances.bind(id, binding('i', 'M'))
    return new StoreStage(store, applicationName)
  }

  /** One call of each sort that there is. How many of them succeeded; anything but success and `store_unavailable` throws. */
  async calls(): Promise<number> {
    const serial = `${++this.#count}`
    const denial = { kind: 'serial', value: serial, issuedBefore: at(1), lapsesAt: at(9999), reason: 'test' } as const
    const asked = [
      this.store.denials.deny(denial).then(() => this.#kept.push(serial)),
      this.store.instances.present('i', null, at(60)),
      this.store.registrations.find(id),
      this.store.trust.newestVersion(),
      this.store.registrations.list(),
    ]
    const settled = await within(SETTLE_MILLISECONDS, Promise.allSettled(asked))
    this.#mostSessions = Math.max(this.#mostSessions, this.store.sessions)
    for (const result of settled)
      if (result.status === 'rejected')
        assert.ok(isDoorwardError(result.reason, 'store_unavailable'), String(result.reason))
    return settled.filter(({ status }) => status === 'fulfilled').length
  }

  /** Many rounds of calls at once; how many calls succeeded. */
  async burst(rounds: number): Promise<number> {
    const succeeded = await Promise.all(Array.from({ length: rounds }, () => this.calls()))
    return succeeded.reduce((sum, each) => sum + each, 0)
  }

  /** Everything succeeds again, without a restart and without a session too many, and nothing acknowledged is missing. */
  async recovered(server: PostgresServer): Promise<void> {
    const end = Date.now() + RECOVER_MILLISECONDS
    while ((await this.calls()) < 5) {
      assert.ok(Date.now() < end, 'the store has not recovered')
      await delay(100)
    }
    assert.equal(await this.burst(10), 50)
    const there = new Set((await this.store.denials.list(at(2))).map(({ value }) => value))
    assert.deepEqual(
      this.#kept.filter((serial) => !there.has(serial)),
      [],
    )
    assert.ok(this.#mostSessions <= connections)
    assert.ok((await server.sessions(this.applicationName)) <= connections)
  }

  close(): Promise<void> {
    return within(SETTLE_MILLISECONDS, this.store.close())
  }
}

/** What takes longer is a fault of its own. */
export async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  const late = new AbortController()
  const timer = delay(milliseconds, undefined, { signal: late.signal }).then(() => {
    throw new Error(`nothing has come of it within ${milliseconds} ms`)
  })
  try {
    return await Promise.race([promise, timer])
  } finally {
    late.abort()
    timer.catch(() => undefined)
  }
}
