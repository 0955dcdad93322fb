/**
 * A ceremony replaces keys in an order that nobody falls out of: planned rotation, or recovery from a compromise.
 *
 * It is a row in the store that every authority moves forward, stage by stage, whoever has started it; a stage that is
 * repeated after a crash changes nothing.
 */

import type { EpochMillis } from '@doorward/core'

/** `rotate` replaces anchors and token keys; `recover` the keys for trust state too, and denies what it replaces. */
export type CeremonyKind = 'rotate' | 'recover'

/**
 * `prepare` every authority makes its new keys · `delegate` the recovery root names the new keys for trust state
 * (recovery alone) · `publish` everyone acknowledges the new anchors · `activate` they sign · `reissue` everyone gets a new
 * certificate · `deny` the old keys are refused · `settle` everyone acknowledges that · `done`. `failed` ends one that
 * cannot go on.
 */
export type CeremonyStage =
  | 'prepare'
  | 'delegate'
  | 'publish'
  | 'activate'
  | 'reissue'
  | 'deny'
  | 'settle'
  | 'done'
  | 'failed'

export interface Ceremony {
  readonly id: string
  readonly kind: CeremonyKind
  readonly stage: CeremonyStage
  /** Denies first and re-issues afterwards: for keys that are being misused now. */
  readonly emergency: boolean
  /** Everyone gets a new certificate at once; always in a recovery. */
  readonly reissue: boolean
  readonly reason: string
  /** SPIFFE ID of who started it. */
  readonly by: string
  /** Key ids of the slots that it replaces. */
  readonly replaces: readonly string[]
  /** Names of authorities that get no new keys. */
  readonly excluded: readonly string[]
  /** The epoch from its denial on. */
  readonly epoch: number
  readonly startedAt: EpochMillis
  /** When each stage was entered, and what was seen at its end, for the report. */
  readonly stages: readonly CeremonyStep[]
}

export interface CeremonyStep {
  readonly stage: CeremonyStage
  readonly at: EpochMillis
  /** Receivers that had not acknowledged when the stage was left. */
  readonly stragglers: readonly string[]
  readonly note: string
}
