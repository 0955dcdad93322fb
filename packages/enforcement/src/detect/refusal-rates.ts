/** What refusals say about those who cause them: by address, by identity, and of all together. Only counts; looks are cheap too. */

import { denialTable } from '../denial.ts'
import type { Denial, DenialCode } from '../denial.ts'
import { allSubjects, otherSubjects } from './finding.ts'
import type { DetectorName, Found } from './finding.ts'
import { RateJump } from './rate-jump.ts'
import type { JumpThreshold } from './rate-jump.ts'
import { SubjectRate } from './subject-rate.ts'
import type { RateThreshold } from './subject-rate.ts'

export interface RefusalThresholds {
  /** Null where the detector is off. */
  readonly authenticationFailures: RateThreshold | null
  readonly limitExhausted: RateThreshold | null
  /** Of one identity, and of all. */
  readonly deniedRate: JumpThreshold | null
  readonly deniedRateAll: JumpThreshold | null
}

export interface RefusalRatesOptions extends RefusalThresholds {
  /** Under which an address is counted: itself, or its /64. */
  readonly sourceKey: (address: string) => string
  /** 32 random bits. */
  readonly random: () => number
  /** Milliseconds that never go back. */
  readonly monotonic: () => number
}

/** `own`: nothing that the caller has done; `upstream` likewise. */
type RefusalClass = 'authentication' | 'limit' | 'limit_all' | 'refusal' | 'own'

const ownCodes: ReadonlySet<DenialCode> = new Set<DenialCode>([
  'trust_reduced',
  'trust_stale',
  'policy_unavailable',
  'record_unavailable',
  'limits_unavailable',
  'store_unavailable',
  'authority_unready',
  'upstream_unavailable',
  'upstream_invalid',
  'upstream_timeout',
  'internal',
])
const limitCodes: ReadonlySet<DenialCode> = new Set<DenialCode>([
  'limit_ip',
  'limit_user',
  'limit_concurrency',
  'limit_bytes',
  'session_limit',
  'stream_limit',
])
const notSomebody = /^(certificate|token|identity)_|^(session_resumed|join_refused|instance_locked|proof_invalid)$/

function classOf(code: DenialCode): RefusalClass {
  if (ownCodes.has(code)) return 'own'
  if (limitCodes.has(code)) return 'limit'
  if (code === 'limit_global') return 'limit_all'
  return notSomebody.test(code) ? 'authentication' : 'refusal'
}

const classes = new Map((Object.keys(denialTable) as DenialCode[]).map((code) => [code, classOf(code)] as const))

const handshakeLimits: ReadonlySet<string> = new Set(['handshake_rate', 'connection_limit_address'])
const handshakeLimitsOfAll: ReadonlySet<string> = new Set([
  'connection_limit',
  'connection_idle',
  'handshake_limit',
  'overloaded',
  'memory_limit',
])
const handshakeFailure = /^certificate_|^tls_resumed$/

/** Strangers choose addresses; identities are registered. */
const SOURCES = 16_384
const IDENTITIES = 2048

interface Rates {
  readonly sources: SubjectRate
  readonly identities: SubjectRate
}

export class RefusalRates {
  readonly #options: RefusalRatesOptions
  readonly #failures: Rates | null
  readonly #limits: Rates | null
  readonly #denied: RateJump | null
  readonly #deniedAll: RateJump | null

  constructor(options: RefusalRatesOptions) {
    const { authenticationFailures, limitExhausted, deniedRate, deniedRateAll, random, monotonic } = options
    const jump = (threshold: JumpThreshold | null, width: number) =>
      threshold === null ? null : new RateJump({ ...threshold, width, seed: random() }, monotonic())
    const rates = (threshold: RateThreshold | null): Rates | null =>
      threshold === null
        ? null
        : {
            sources: new SubjectRate({ ...threshold, width: SOURCES, seed: random() }),
            identities: new SubjectRate({ ...threshold, width: IDENTITIES, seed: random() }),
          }
    this.#options = options
    this.#failures = rates(authenticationFailures)
    this.#limits = rates(limitExhausted)
    this.#denied = jump(deniedRate, IDENTITIES)
    this.#deniedAll = jump(deniedRateAll, 2)
  }

  /** Bytes of all counts: as many as at the start, whoever comes. */
  get bytes(): number {
    const parts = [this.#failures, this.#limits].flatMap((rates) =>
      rates === null ? [] : [rates.sources, rates.identities],
    )
    return [...parts, this.#denied, this.#deniedAll].reduce((sum, part) => sum + (part?.bytes ?? 0), 0)
  }

  refused(address: string, { code, caller }: Pick<Denial, 'code' | 'caller'>): void {
    const what = classes.get(code) ?? 'refusal'
    if (what === 'own') return
    const now = this.#options.monotonic()
    const who = caller === null ? null : 'presenter' in caller ? caller.presenter.uri : caller.id
    if (what === 'limit_all') return this.#limits?.identities.add(allSubjects, now)
    if (what === 'limit') return count(this.#limits, code === 'limit_ip' ? null : who, this.#source(address), now)
    if (what === 'authentication') count(this.#failures, who, this.#source(address), now)
    if (who !== null) this.#denied?.add(who, now)
    this.#deniedAll?.add(allSubjects, now)
  }

  /** A connection that did not come about, for a reason of the handshake or of the limits before it. */
  handshakeRefused(address: string, reason: string): void {
    const now = this.#options.monotonic()
    if (handshakeLimits.has(reason)) this.#limits?.sources.add(this.#source(address), now)
    else if (handshakeLimitsOfAll.has(reason)) this.#limits?.identities.add(allSubjects, now)
    else if (handshakeFailure.test(reason)) {
      this.#failures?.sources.add(this.#source(address), now)
      this.#deniedAll?.add(allSubjects, now)
    }
  }

  #source(address: string): string {
    return this.#options.sourceKey(address)
  }

  look(): readonly Found[] {
    const now = this.#options.monotonic()
    const { authenticationFailures, limitExhausted, deniedRate, deniedRateAll } = this.#options
    return [
      ...often(this.#failures, now, (seen) => ({
        detector: 'authentication_failures',
        severity: 'high',
        detail: `${seen} failed to say who they are within ${authenticationFailures?.seconds} s`,
      })),
      ...often(this.#limits, now, (seen) => ({
        detector: 'limit_exhausted',
        severity: 'medium',
        detail: `${seen} refusals by a limit within ${limitExhausted?.seconds} s`,
      })),
      ...jumps(this.#denied, now, deniedRate?.seconds ?? 0),
      ...jumps(this.#deniedAll, now, deniedRateAll?.seconds ?? 0),
    ]
  }
}

/** An identity is counted by its name and by where it comes from. */
function count(rates: Rates | null, who: string | null, source: string, now: number): void {
  if (rates === null) return
  if (who !== null) rates.identities.add(who, now)
  rates.sources.add(source, now)
}

type Described = Omit<Found, 'subject'> & { readonly detector: DetectorName }

function often(rates: Rates | null, now: number, describe: (seen: number) => Described): readonly Found[] {
  if (rates === null) return []
  const named = (part: SubjectRate, what: string) =>
    part.look(now).map(({ subject, seen }) => ({
      subject: subject === otherSubjects ? `other ${what}` : subject,
      ...describe(seen),
    }))
  return [...named(rates.sources, 'addresses'), ...named(rates.identities, 'identities')]
}

function jumps(rates: RateJump | null, now: number, seconds: number): readonly Found[] {
  if (rates === null) return []
  return rates.look(now).map(({ subject, seen, usual, tooMany }) => {
    const before = usual === null ? '' : `, ${Math.round(usual * 10) / 10} in the hour before`
    const named = subject === otherSubjects ? 'other identities' : subject
    const severity = tooMany ? 'high' : 'medium'
    return {
      detector: 'denied_rate',
      subject: named,
      severity,
      detail: `${seen} refusals within ${seconds} s${before}`,
    }
  })
}
