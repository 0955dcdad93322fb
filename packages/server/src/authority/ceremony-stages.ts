/** When a stage of a ceremony is over. Pure: what is seen comes in, what follows comes out. */

import { MAX_DELEGATED_KEYS } from '@doorward/core'
import type { EpochMillis, SlotState } from '@doorward/core'
import type { Acknowledged } from './ceremony-audience.ts'
import { enteredAt, nothingSeen, stagesOf } from './ceremony.ts'
import type { Ceremony, CeremonySight, CeremonyStage } from './ceremony.ts'

/** Milliseconds. */
export interface CeremonyTimes {
  /** For every authority to do its part. */
  readonly answer: number
  /** For everyone to acknowledge a state. */
  readonly acknowledge: number
  /** A receiver that was not heard of for so long is not waited for. */
  readonly heard: number
  readonly reissue: number
  /** From the last new certificate on, for connections to move to it; and more for each follower, whose turns come together. */
  readonly move: number
  readonly moveEach: number
  readonly moveMost: number
  /** More where nothing hurries: a planned rotation cuts no call that is slow. */
  readonly moveCalm: number
  /** For anchors to become free of everything that depends on them. */
  readonly retire: number
  /** For the recovery root to sign. */
  readonly sign: number
  /** For the proof that nobody accepts the old keys. */
  readonly prove: number
}

export const ceremonyTimes: CeremonyTimes = {
  answer: 10_000,
  acknowledge: 5000,
  heard: 30_000,
  reissue: 30_000,
  move: 2000,
  moveEach: 5,
  moveMost: 10_000,
  moveCalm: 4000,
  retire: 120_000,
  sign: 3_600_000,
  prove: 60_000,
}

/** One authority that takes part, or may. */
export interface AuthoritySight {
  readonly instance: string
  readonly name: string
  readonly live: boolean
  /** How far its slots of this ceremony have come: the one that is behind. */
  readonly slots: SlotState | 'missing'
  /** It has added a key for trust state. */
  readonly contributed: boolean
  /** The newest delegation names the key that it uses. */
  readonly delegated: boolean
  /** It has a certificate of its own that is not by a replaced key. */
  readonly certified: boolean
}

export interface Sight {
  readonly now: EpochMillis
  /** Before the end of `prepare` whoever should take part and lives; then whoever takes part. */
  readonly authorities: readonly AuthoritySight[]
  /** The newest delegation names exactly the keys that were added, since that moment. */
  readonly delegatedSince: EpochMillis | null
  /** The newest state shows what this stage wants seen, since that moment. */
  readonly shownSince: EpochMillis | null
  /** Of that state. */
  readonly audience: Acknowledged
  /** Of the followers, who has a certificate under a new anchor. */
  readonly reissued: readonly string[]
  /** Since when all of them have. */
  readonly reissuedSince: EpochMillis | null
  /** Replaced anchors that are still in the bundle. */
  readonly remaining: number
}

export type Verdict =
  | { readonly verdict: 'wait' }
  | { readonly verdict: 'next'; readonly stage: CeremonyStage; readonly sight: CeremonySight }
  | { readonly verdict: 'fail'; readonly note: string }

const MAX_NAMED = 100
const wait: Verdict = { verdict: 'wait' }

/** Who has done what `prepare` asks for. */
export function prepared({ kind }: Pick<Ceremony, 'kind'>, { authorities }: Sight): readonly AuthoritySight[] {
  return authorities.filter(({ slots, contributed }) => slots !== 'missing' && (kind === 'rotate' || contributed))
}

/** Nobody is waited for who is not there, but without any authority that has done its part nothing goes on. */
export function judgeStage(ceremony: Ceremony, sight: Sight, times: CeremonyTimes): Verdict {
  if (needsNewKeys(ceremony) && isLost(sight))
    return { verdict: 'fail', note: 'the new keys are gone: they were revoked' }
  switch (ceremony.stage) {
    case 'prepare':
      return judgePrepare(ceremony, sight, times)
    case 'delegate':
      return judgeDelegate(ceremony, sight, times)
    case 'publish':
      return judgePublish(ceremony, sight, times)
    case 'activate':
      return judgeActivate(ceremony, sight, times)
    case 'reissue':
      return judgeReissue(ceremony, sight, times)
    case 'deny':
      return judgeDeny(ceremony, sight, times)
    case 'settle':
      return judgeSettle(ceremony, sight, times)
    case 'done':
    case 'failed':
      return wait
  }
}

/** Stages that would otherwise wait for ever. */
function needsNewKeys({ kind, stage }: Ceremony): boolean {
  return stage === 'publish' || stage === 'activate' || (stage === 'deny' && kind === 'recover')
}

/** Nobody who lives has its new keys any more: somebody has revoked them meanwhile, and what took their place is not ours to wait for. */
function isLost({ authorities }: Sight): boolean {
  const live = authorities.filter((one) => one.live)
  return live.length > 0 && live.every(({ slots }) => slots === 'missing' || slots === 'retired')
}

function judgePrepare(ceremony: Ceremony, sight: Sight, { answer }: CeremonyTimes): Verdict {
  const ready = prepared(ceremony, sight)
  const missing = names(sight.authorities.filter((one) => !ready.includes(one)))
  const complete = missing.length === 0 && ready.length > 0
  if (!complete && elapsed(ceremony, sight) < answer) return wait
  if (ready.length === 0) return { verdict: 'fail', note: 'no authority has made new keys' }
  if (ceremony.kind === 'recover' && ready.length > MAX_DELEGATED_KEYS)
    return { verdict: 'fail', note: `a delegation names at most ${MAX_DELEGATED_KEYS} keys, not ${ready.length}` }
  return next(ceremony, { ...behind(missing), note: missing.length === 0 ? '' : `without ${missing.join(', ')}` })
}

function judgeDelegate(ceremony: Ceremony, sight: Sight, { answer, sign }: CeremonyTimes): Verdict {
  const { delegatedSince, now, authorities } = sight
  if (delegatedSince === null)
    return elapsed(ceremony, sight) < sign
      ? wait
      : { verdict: 'fail', note: 'the recovery root has not signed the new delegation' }
  const missing = names(authorities.filter(({ live, delegated }) => live && !delegated))
  const someone = authorities.some(({ live, delegated }) => live && delegated)
  if (!someone || (missing.length > 0 && now - delegatedSince < answer)) return wait
  return next(ceremony, behind(missing))
}

function judgePublish(ceremony: Ceremony, sight: Sight, times: CeremonyTimes): Verdict {
  const published = unlessBehind(ceremony, sight, times, ({ slots }) => slots !== 'missing' && slots !== 'prepared')
  if (published.verdict !== 'next' || sight.shownSince === null) return wait
  if (ceremony.emergency) return published
  const heard = unlessUnheard(sight, times)
  return heard === null ? wait : next(ceremony, together(published.sight, heard))
}

/** Whoever is asked to renew has heard of the keys by which that goes on, and is not busy with them any more. */
function judgeActivate(ceremony: Ceremony, sight: Sight, times: CeremonyTimes): Verdict {
  const activated = unlessBehind(ceremony, sight, times, ({ slots, certified }) => slots === 'active' && certified)
  if (activated.verdict !== 'next' || ceremony.emergency) return activated
  const heard = unlessUnheard(sight, times)
  if (heard !== null) return next(ceremony, together(activated.sight, heard))
  return sight.shownSince === null && elapsed(ceremony, sight) >= times.answer ? activated : wait
}

function judgeReissue(ceremony: Ceremony, sight: Sight, times: CeremonyTimes): Verdict {
  const { reissue, move, moveEach, moveMost, moveCalm } = times
  const { followers } = sight.audience
  const moving = Math.min(moveMost, move + moveEach * followers.length) + (ceremony.kind === 'rotate' ? moveCalm : 0)
  const late = withoutNew(sight)
  if (sight.shownSince === null) return wait
  const over =
    sight.reissuedSince === null ? elapsed(ceremony, sight) >= reissue : sight.now - sight.reissuedSince >= moving
  if (!over) return wait
  return next(ceremony, { ...behind(late), followers: followers.length, reissued: followers.length - late.length })
}

function judgeDeny(ceremony: Ceremony, sight: Sight, { retire }: CeremonyTimes): Verdict {
  if (ceremony.kind === 'recover') return sight.shownSince === null ? wait : next(ceremony, nothingSeen)
  if (sight.remaining > 0 && elapsed(ceremony, sight) < retire) return wait
  const note = sight.remaining === 0 ? '' : `${sight.remaining} anchors are still needed and leave when they are not`
  return next(ceremony, { ...nothingSeen, note })
}

function judgeSettle(ceremony: Ceremony, sight: Sight, times: CeremonyTimes): Verdict {
  const heard = unlessUnheard(sight, times)
  if (heard === null) return wait
  const proof = ceremony.kind === 'rotate' || ceremony.report !== null
  if (!proof && elapsed(ceremony, sight) < times.acknowledge + times.prove) return wait
  return next(ceremony, { ...heard, note: proof ? '' : 'nobody has shown that the old keys are refused' })
}

/** Followers that have only certificates under replaced anchors. */
export function withoutNew({ audience, reissued }: Pick<Sight, 'audience' | 'reissued'>): readonly string[] {
  const renewed = new Set(reissued)
  return audience.followers.filter((id) => !renewed.has(id))
}

/** Whether a stage that everyone has to acknowledge has been, or long enough been waited for. */
export function isSettled(sight: Sight, times: CeremonyTimes): boolean {
  return unlessUnheard(sight, times) !== null
}

function unlessUnheard({ shownSince, audience, now }: Sight, { acknowledge }: CeremonyTimes): CeremonySight | null {
  const { followers, stragglers } = audience
  if (shownSince === null || (stragglers.length > 0 && now - shownSince < acknowledge)) return null
  return {
    ...behind(stragglers),
    followers: followers.length,
    acknowledged: followers.length - stragglers.length,
  }
}

function unlessBehind(
  ceremony: Ceremony,
  sight: Sight,
  { answer }: CeremonyTimes,
  isDone: (authority: AuthoritySight) => boolean,
): Verdict {
  const live = sight.authorities.filter((one) => one.live)
  const missing = names(live.filter((one) => !isDone(one)))
  if (!live.some(isDone) || (missing.length > 0 && elapsed(ceremony, sight) < answer)) return wait
  return next(ceremony, behind(missing))
}

function next(ceremony: Ceremony, sight: CeremonySight): Verdict {
  const stages = stagesOf(ceremony)
  return { verdict: 'next', stage: stages[stages.indexOf(ceremony.stage) + 1] ?? 'done', sight }
}

/** A clock that went back does not make a stage longer than it is by another clock. */
function elapsed(ceremony: Ceremony, { now }: Sight): number {
  return Math.abs(now - enteredAt(ceremony))
}

function names(authorities: readonly AuthoritySight[]): readonly string[] {
  return authorities.map(({ name }) => `authority ${name}`)
}

function behind(stragglers: readonly string[]): CeremonySight {
  return { ...nothingSeen, stragglers: stragglers.slice(0, MAX_NAMED), straggling: stragglers.length }
}

function together(a: CeremonySight, b: CeremonySight): CeremonySight {
  return {
    ...b,
    stragglers: [...a.stragglers, ...b.stragglers].slice(0, MAX_NAMED),
    straggling: a.straggling + b.straggling,
  }
}
