/**
 * The authority watches itself: every ten seconds it looks for everything that cannot be right (reference ids DT-4 … DT-8).
 * What a look finds is on record and an alarm once, when it begins, and on record again when it is over.
 */

import { isDoorwardError } from '@doorward/core'
import type { EpochMillis } from '@doorward/core'
import { timerSleep } from '@doorward/sdk'
import { nowSeconds } from '../authority/context.ts'
import type { AuthorityContext } from '../authority/context.ts'
import type { Canaries } from '../authority/detect/canary.ts'
import { Findings } from '../authority/detect/finding.ts'
import type { Finding } from '../authority/detect/finding.ts'
import { denyForeignKeys } from '../authority/detect/foreign-keys.ts'
import type { IssuanceRate } from '../authority/detect/issuance-rate.ts'
import { clockFindings, longLifetimes, slotContradictions } from '../authority/detect/lint.ts'
import { dueDelegation, lateWorkloads, overdueSlots, staleLists } from '../authority/detect/rotation-lag.ts'
import { UnloggedCertificates, unregisteredHolders } from '../authority/detect/unlogged-certificates.ts'
import { endDetection, raiseDetection, refreshAlarm } from '../authority/detection.ts'
import type { Fitness } from '../authority/fitness.ts'
import { slotStanding } from '../authority/key-slots.ts'
import { mostTtlSeconds } from '../authority/lint.ts'
import type { KeySlot } from '../authority/ports.ts'
import { exposedFiles } from './authority-files.ts'
import type { WatchedFiles } from './authority-files.ts'
import type { Memory } from './authority-memory.ts'
import type { OpenedTrust } from './authority-trust.ts'

export interface WatchParts extends Pick<OpenedTrust, 'slots' | 'publisher' | 'audience'> {
  readonly context: AuthorityContext
  readonly memory: Memory
  readonly rate: IssuanceRate
  readonly canaries: Canaries
  readonly fitness: Fitness
  readonly files: WatchedFiles
  /** Between looks. */
  readonly pauseMilliseconds: number
  /** Replaces keys of ours that are denied, and publishes. */
  readonly settleKeys: () => Promise<unknown>
  readonly onProblem: (error: unknown) => void
}

export const defaultPauseMilliseconds = 10_000
const MAX_LATE = 1000
const MAX_LONG = 100
/** An alarm that lasts is refreshed once a minute. */
const looksPerRefresh = 6
/** Our keys are entered into the log twice a day, so that no start has to read further back than that. */
const carryMilliseconds = 43_200_000

export class AuthorityWatch {
  readonly #parts: WatchParts
  readonly #certificates: UnloggedCertificates
  readonly #findings = new Findings()
  #looks = 0
  #carriedAt: EpochMillis | null = null

  constructor(parts: WatchParts) {
    this.#parts = parts
    this.#certificates = new UnloggedCertificates(parts.context, parts.memory.ledger)
  }

  /** Looks until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { memory, onProblem, pauseMilliseconds } = this.#parts
    const reading = memory.readOn(signal).catch(onProblem)
    while (!signal.aborted) {
      await this.look()
      await timerSleep(pauseMilliseconds, signal)
    }
    await reading
  }

  /** One look at everything. Never rejects: what fails keeps nothing else back, and is tried again with the next. */
  async look(): Promise<void> {
    const { context, fitness, onProblem, canaries, memory } = this.#parts
    const found = await this.#all([
      async () => clockFindings(fitness.clock.problems()),
      () => exposedFiles(this.#parts.files),
      () => this.#keys(),
      () => this.#issued(),
      () => this.#lifetimes(),
      () => this.#workloads(),
      () => this.#parts.rate.findings(context, this.#parts.publisher.current().state.issued.length),
    ])
    await canaries.refresh().catch(onProblem)
    await this.#carryKeys().catch(onProblem)
    memory.ledger.prune(nowSeconds(context), (fingerprint) => this.#certificates.lists(fingerprint))
    await this.#tell(found)
    this.#looks += 1
  }

  async #all(looks: readonly (() => Promise<readonly Finding[]>)[]): Promise<readonly Finding[]> {
    const found: Finding[] = []
    for (const look of looks) found.push(...(await look().catch((error: unknown) => this.#failed(error))))
    return found
  }

  #failed(error: unknown): readonly Finding[] {
    this.#parts.onProblem(error)
    return []
  }

  /** Slots, while none of them is moved. */
  async #keys(): Promise<readonly Finding[]> {
    const { context, slots, publisher, memory, settleKeys } = this.#parts
    const { store, sha256, instance } = context
    const { delegation } = publisher
    const trustKey = delegation.key?.jwk ?? null
    const parts = { context, ledger: memory.ledger, trustKey }
    if (await slots.undisturbed(() => denyForeignKeys(parts))) await settleKeys()
    return slots.undisturbed(async () => {
      const now = nowSeconds(context)
      const own = (await store.slots.list()).filter(({ authority }) => authority === instance)
      const standing = await slotStanding(context, now)
      return [
        ...overdueSlots(own, now, standing),
        ...slotContradictions(own, now, sha256),
        ...dueDelegation(delegation, now),
      ]
    })
  }

  async #issued(): Promise<readonly Finding[]> {
    const { context, publisher } = this.#parts
    const { state } = publisher.current()
    if (await this.#certificates.sweep(state)) await publisher.publish()
    const lists = await context.store.crls.list()
    return [...unregisteredHolders(state), ...staleLists(lists, state, nowSeconds(context))]
  }

  async #lifetimes(): Promise<readonly Finding[]> {
    const { context, slots } = this.#parts
    const active: KeySlot | null = slots.anchor(nowSeconds(context))?.slot ?? null
    if (active === null) return []
    const { registrations } = context.store
    return longLifetimes(await registrations.longerThan(mostTtlSeconds(active), MAX_LONG), active)
  }

  async #workloads(): Promise<readonly Finding[]> {
    const { context, audience } = this.#parts
    const now = nowSeconds(context)
    const followers = new Set([...audience.followers('callers'), ...audience.followers('full')])
    return lateWorkloads(await context.store.issuance.late(now, MAX_LATE), followers, now)
  }

  /** Once everything is known that a start may have to know. */
  async #carryKeys(): Promise<void> {
    const { context, memory } = this.#parts
    const now = context.clock()
    const isDue = this.#carriedAt === null || now - this.#carriedAt >= carryMilliseconds
    if (!memory.ledger.complete || !isDue || context.unfit() !== null) return
    const own = (await context.store.slots.list()).filter(({ authority }) => authority === context.instance)
    const key_ids = own.map(({ keyId }) => keyId).filter((keyId) => memory.ledger.hasKey(keyId))
    await context.log.append({ kind: 'trust', body: { change: 'keys', key_ids } })
    this.#carriedAt = now
  }

  async #tell(found: readonly Finding[]): Promise<void> {
    const { context, fitness, onProblem } = this.#parts
    const { begun, lasting, ended } = this.#findings.replace(found)
    const stopping = this.#findings.stopping()
    if (stopping === null) fitness.release(held)
    else fitness.hold(held, `${stopping.detector} ${stopping.subject}: ${stopping.detail}`)
    for (const finding of begun) await raiseDetection(context, finding).catch(onProblem)
    for (const finding of ended) await endDetection(context, finding).catch(onProblem)
    if (this.#looks % looksPerRefresh !== 0) return
    for (const finding of lasting) await refreshAlarm(context, finding).catch(onProblem)
  }
}

/** Under this name the fitness knows what a look has found. */
const held = 'misconfigured'

/** A store that went back is never followed: whoever has seen more may not sign by less. */
export function holdWhenStoreWentBack(fitness: Fitness, error: unknown): boolean {
  if (!isDoorwardError(error, 'store_went_back')) return false
  const known = fitness.isHeld(error.code)
  fitness.hold(error.code, `${error.message}: expected ${error.expected}, got ${error.got}; ${error.next}`)
  return !known
}
