/**
 * Changes that are asked for together are committed together, so that they share one journey and one sync to disk. None
 * resolves before that; a verb that fails undoes only itself.
 */

import { setImmediate, setTimeout as delay } from 'node:timers/promises'
import { deadline, isOver, remaining } from './deadline.ts'
import type { Deadline } from './deadline.ts'
import { failureKind, outcomeUnknown, sayShortly, storeError, unavailable } from './failure.ts'
import type { FailureKind } from './failure.ts'
import type { Session } from './session.ts'
import type { SessionPool } from './session-pool.ts'
import { transactionOn } from './transaction.ts'
import type { Batch, Transaction, Verb } from './transaction.ts'

/**
 * `alone`: no other transaction of this store runs meanwhile, whatever process it is of, so that a verb may look and
 * then change. `beside`: others of the same kind may; such a verb locks the rows that it decides on.
 */
export type Company = 'alone' | 'beside'

type Result = { readonly value: unknown } | { readonly error: unknown }

interface Waiting {
  readonly batch: Batch<unknown, unknown>
  readonly input: unknown
  readonly company: Company
  readonly settle: (result: Result) => void
}

/** What was going on when it failed. */
type Stage = 'beginning' | 'changing' | 'committing'

/** How a try at a group went. `apart` asks for a savepoint around each verb; `again` for the same once more. */
type Attempt =
  | { readonly kind: 'committed'; readonly results: readonly Result[] }
  | { readonly kind: 'apart' }
  | { readonly kind: 'again'; readonly error: unknown; readonly backoff: boolean }
  | { readonly kind: 'failed'; readonly error: unknown }

/** Two numbers of our own; the lock ends with the transaction. */
const lock = '(1146569060, 2)'
const beginAlone = `BEGIN; SELECT pg_advisory_xact_lock${lock}`
const beginBeside = `BEGIN; SELECT pg_advisory_xact_lock_shared${lock}`

/** Batches of one group, and what all of them may take. */
const mostBatches = 64
const largestGroup = 512
const mostWaiting = 10_000
const mostAttempts = 5
const BACKOFF_MILLISECONDS = 20

export interface WriteGroupsParts {
  readonly pool: SessionPool
  readonly verbMilliseconds: number
  /** Runs first in every transaction; what it throws undoes all of it. */
  readonly guard: Verb<void>
}

export class WriteGroups {
  readonly #parts: WriteGroupsParts
  #waiting: Waiting[] = []
  #draining: Promise<void> | null = null

  constructor(parts: WriteGroupsParts) {
    this.#parts = parts
  }

  /** Resolves with the verb's result when that is durable. Throws `store_unavailable` in bounded time, and what the guard throws. */
  ask<T>(company: Company, verb: Verb<T>): Promise<T> {
    return this.#ask<T>({ company, batch: { run: async (transaction) => [await verb(transaction)] }, input: null })
  }

  /** As `ask` beside others, together with what else waits for the same batch. */
  askTogether<Input, Output>(batch: Batch<Input, Output>, input: Input): Promise<Output> {
    return this.#ask<Output>({ company: 'beside', batch, input })
  }

  #ask<T>(asked: Omit<Waiting, 'settle'>): Promise<T> {
    if (this.#waiting.length >= mostWaiting) return Promise.reject(unavailable('too many changes wait for the store'))
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        ...asked,
        settle: (result) => {
          clearTimeout(timer)
          if ('value' in result) resolve(result.value as T)
          else reject(storeError(result.error))
        },
      }
      const timer = setTimeout(() => this.#giveUp(waiting, reject), this.#parts.verbMilliseconds)
      this.#waiting.push(waiting)
      this.#draining ??= this.#drain()
    })
  }

  /** Resolves when nothing waits and nothing is under way. */
  async settled(): Promise<void> {
    await this.#draining
  }

  /** A change that is under way may still be kept. */
  #giveUp(waiting: Waiting, reject: (error: Error) => void): void {
    const index = this.#waiting.indexOf(waiting)
    if (index >= 0) this.#waiting.splice(index, 1)
    reject(index >= 0 ? unavailable('the store did not come to it in time') : outcomeUnknown('no answer in time'))
  }

  async #drain(): Promise<void> {
    // What is asked for in this turn belongs together.
    await setImmediate()
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, groupLength(this.#waiting))
      const outcome = await this.#commit(group)
      for (const [index, { settle }] of group.entries()) {
        settle('error' in outcome ? outcome : (outcome.results[index] ?? { error: unavailable('no result') }))
      }
    }
    this.#draining = null
  }

  async #commit(
    group: readonly Waiting[],
  ): Promise<{ readonly results: readonly Result[] } | { readonly error: unknown }> {
    const end = deadline(this.#parts.verbMilliseconds)
    let apart = false
    for (let attempt = 1; ; attempt++) {
      const tried = await this.#attempt(group, { apart, end })
      switch (tried.kind) {
        case 'committed':
          return tried
        case 'apart':
          apart = true
          break
        case 'again':
          if (attempt >= mostAttempts || isOver(end)) return { error: tried.error }
          if (tried.backoff) await delay(attempt * BACKOFF_MILLISECONDS)
          break
        case 'failed':
          return { error: tried.error }
      }
    }
  }

  async #attempt(
    group: readonly Waiting[],
    { apart, end }: { readonly apart: boolean; readonly end: Deadline },
  ): Promise<Attempt> {
    let session: Session
    try {
      session = await this.#parts.pool.take(remaining(end))
    } catch (error) {
      return { kind: 'failed', error }
    }
    const timer = setTimeout(() => session.destroy(), remaining(end))
    try {
      return await this.#transact(session, group, apart)
    } finally {
      clearTimeout(timer)
      this.#parts.pool.giveBack(session)
      if (!session.usable) this.#parts.pool.doubtIdle()
    }
  }

  async #transact(session: Session, group: readonly Waiting[], apart: boolean): Promise<Attempt> {
    let stage: Stage = 'beginning'
    try {
      const begun = session.command(group.every(({ company }) => company === 'beside') ? beginBeside : beginAlone)
      const transaction = transactionOn(session)
      await Promise.all([begun, this.#parts.guard(transaction)])
      stage = 'changing'
      const results = apart ? await eachInSavepoint(session, group) : await together(transaction, group)
      stage = 'committing'
      if ((await session.command('COMMIT')) !== 'COMMIT') return { kind: 'failed', error: unavailable('undone') }
      return { kind: 'committed', results }
    } catch (error) {
      const kind = failureKind(error)
      if (kind === 'session') session.destroy()
      else await session.command('ROLLBACK').catch(() => session.destroy())
      return judge({ error, kind, stage, alone: apart || group.length === 1 })
    }
  }
}

/** From the first on, so that none waits for ever. */
function groupLength(waiting: readonly Waiting[]): number {
  const batches = new Set<Batch<unknown, unknown>>()
  const end = waiting.findIndex(({ batch }, index) => batches.add(batch).size > mostBatches || index >= largestGroup)
  return end < 0 ? waiting.length : end
}

async function together(transaction: Transaction, group: readonly Waiting[]): Promise<readonly Result[]> {
  const results: Result[] = []
  for (const [batch, members] of Map.groupBy(group.keys(), (index) => group[index]?.batch)) {
    const outputs = await batch?.run(
      transaction,
      members.map((index) => group[index]?.input),
    )
    for (const [place, index] of members.entries()) results[index] = { value: outputs?.[place] }
  }
  return results
}

async function eachInSavepoint(session: Session, group: readonly Waiting[]): Promise<readonly Result[]> {
  const results: Result[] = []
  for (const { batch, input } of group) {
    results.push(await inSavepoint(session, async (transaction) => (await batch.run(transaction, [input]))[0]))
  }
  return results
}

async function inSavepoint(session: Session, verb: Verb<unknown>): Promise<Result> {
  await session.command('SAVEPOINT verb')
  try {
    const value = await verb(transactionOn(session))
    await session.command('RELEASE verb')
    return { value }
  } catch (error) {
    if (failureKind(error) !== 'statement') throw error
    await session.command('ROLLBACK TO verb; RELEASE verb')
    return { error }
  }
}

interface Failed {
  readonly error: unknown
  readonly kind: FailureKind
  readonly stage: Stage
  /** Whether the error can be of one verb only. */
  readonly alone: boolean
}

function judge({ error, kind, stage, alone }: Failed): Attempt {
  if (kind === 'conflict') return { kind: 'again', error, backoff: true }
  switch (stage) {
    case 'beginning':
      // A connection that has died since it was used last has cost nothing.
      return kind === 'session' ? { kind: 'again', error, backoff: false } : { kind: 'failed', error }
    case 'changing':
      return kind === 'session' || alone ? { kind: 'failed', error } : { kind: 'apart' }
    case 'committing':
      return { kind: 'failed', error: kind === 'session' ? outcomeUnknown(sayShortly(error)) : error }
  }
}
