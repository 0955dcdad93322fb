/**
 * A ceremony replaces keys in an order that nobody falls out of: planned rotation, or recovery from a compromise.
 *
 * It is a row in the store that every authority moves forward, stage by stage, whoever has started it; a stage that is
 * repeated after a crash changes nothing.
 */

import type { EpochMillis, P256Jwk } from '@doorward/core'

/** `rotate` replaces anchors and token keys; `recover` the keys for trust state too, and denies what it replaces. */
export type CeremonyKind = 'rotate' | 'recover'

/**
 * `prepare` every authority makes its new keys · `delegate` the recovery root names the new keys for trust state
 * (recovery alone) · `publish` everyone acknowledges the new anchors · `activate` they sign · `reissue` everyone gets a new
 * certificate · `deny` the old keys are refused, or leave the bundle · `settle` everyone acknowledges that · `done`.
 * `failed` ends one that cannot go on.
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
  /** Denies at once and lets everyone prove themselves anew afterwards: for keys that are being misused now. */
  readonly emergency: boolean
  /** Everyone gets a new certificate at once; always in a recovery that is no emergency. */
  readonly reissue: boolean
  /** Anchors that a rotation has replaced leave the bundle as soon as nothing depends on them. */
  readonly retire: boolean
  readonly reason: string
  /** SPIFFE ID of who started it. */
  readonly by: string
  /** The only authority that takes part; null for all. */
  readonly only: string | null
  /** Authorities that get no new keys and do not come back, those of earlier recoveries with them. */
  readonly excluded: readonly CeremonyAuthority[]
  /** Who takes part, from the end of `prepare` on. */
  readonly authorities: readonly CeremonyAuthority[]
  /** Key ids of the slots that it replaces, from the end of `prepare` on. */
  readonly replaces: readonly string[]
  /** Of the new keys; the trust domain's from the denial on. */
  readonly epoch: number
  readonly startedAt: EpochMillis
  /** When each stage was entered, and what was seen at its end, for the report. */
  readonly stages: readonly CeremonyStep[]
  /** The old keys sign once more, to show that nobody accepts it; null until somebody asks. */
  readonly canary: CanaryRequest | null
  /** Signed note of what was shown; null before. */
  readonly report: string | null
}

export interface CeremonyAuthority {
  readonly instance: string
  readonly name: string
}

export interface CeremonyStep extends CeremonySight {
  readonly stage: CeremonyStage
  readonly at: EpochMillis
}

/** What was seen when a stage was left. */
export interface CeremonySight {
  /** Receivers and authorities that had not done their part; the first hundred. */
  readonly stragglers: readonly string[]
  readonly straggling: number
  /** Receivers of trust state that were there. */
  readonly followers: number
  readonly acknowledged: number
  /** Of the followers, who had a certificate under a new anchor. */
  readonly reissued: number
  readonly note: string
}

export const nothingSeen: CeremonySight = {
  stragglers: [],
  straggling: 0,
  followers: 0,
  acknowledged: 0,
  reissued: 0,
  note: '',
}

/** What somebody wants signed by the old keys, each being refused by then. */
export interface CanaryRequest {
  readonly askedAt: EpochMillis
  /** For a certificate: a key of the asker's. */
  readonly publicKey: P256Jwk
  /** For tokens: as whom, and bound to which certificate. */
  readonly subject: string
  readonly fingerprint: string
  readonly audiences: readonly string[]
  readonly signed: readonly Canary[]
}

/** What one old key has signed. */
export type Canary =
  | {
      readonly kind: 'certificate'
      readonly authority: string
      readonly keyId: string
      /** DER, base64. */
      readonly certificate: string
    }
  | {
      readonly kind: 'token'
      readonly authority: string
      readonly keyId: string
      readonly audience: string
      readonly token: string
    }

/** The stages of a ceremony, in order. */
export function stagesOf({ kind, emergency, reissue, retire }: CeremonyShape): readonly CeremonyStage[] {
  const renewed: readonly CeremonyStage[] = reissue ? ['reissue'] : []
  if (kind === 'rotate') {
    const removed: readonly CeremonyStage[] = retire ? ['deny'] : []
    return ['prepare', 'publish', 'activate', ...renewed, ...removed, 'settle', 'done']
  }
  return ['prepare', 'delegate', 'publish', 'activate', ...(emergency ? [] : renewed), 'deny', 'settle', 'done']
}

export type CeremonyShape = Pick<Ceremony, 'kind' | 'emergency' | 'reissue' | 'retire'>

/** Whether the ceremony is at that stage or past it. */
export function hasReached(ceremony: Ceremony, stage: CeremonyStage): boolean {
  const stages = stagesOf(ceremony)
  const at = stages.indexOf(ceremony.stage)
  const wanted = stages.indexOf(stage)
  return wanted >= 0 && at >= wanted
}

/** Whether an authority takes part, as far as who has started it decides. */
export function isChosen({ only, excluded }: Pick<Ceremony, 'only' | 'excluded'>, one: CeremonyAuthority): boolean {
  return (only === null || only === one.name) && !excluded.some(({ instance }) => instance === one.instance)
}

export function isOpen(ceremony: Pick<Ceremony, 'stage'> | null): boolean {
  return ceremony !== null && ceremony.stage !== 'done' && ceremony.stage !== 'failed'
}

/** When a stage was entered, the present one by default. */
export function enteredAt({ stages, startedAt }: Ceremony, stage?: CeremonyStage): EpochMillis {
  const step = stage === undefined ? stages.at(-1) : stages.findLast((one) => one.stage === stage)
  return step?.at ?? startedAt
}
