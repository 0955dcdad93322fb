/** What an authority needs to know, what it tells, and how it is reached: plain values. */

import type { Advertised } from './reached-at.ts'
import type { Clock, CompiledPolicy, EpochSeconds, Secret, StalenessLimits, TrustDomain } from '@doorward/core'
import type { ConnectionLimits, Quota, Rate } from '@doorward/enforcement'
import type { Runtime } from '@doorward/sdk'
import type { RateThresholds } from '../authority/detect/issuance-rate.ts'
import type { Detection } from '../authority/detection-port.ts'
import type { Operators } from '../authority/operators.ts'
import type { NewRegistration } from '../authority/registrations.ts'
import type { AlertPlace, ExportPlace } from '../config/audit-exports.ts'
import type { DetectionSettings } from '../config/detections.ts'
import type { FrontSettings } from '../config/front-settings.ts'
import type { IssuerSettings } from '../config/issuer-settings.ts'
import type { PolicyReading } from '../config/policy-reading.ts'
import type { ListenAddress, ListenerName, ListenerSettings } from './authority-listeners.ts'
import type { StatePlaces } from './authority-state.ts'
import type { VoucherSettings } from './authority-vouchers.ts'
import type { RetentionSettings } from './log-retention.ts'
import type { PolicyOutcome } from './policy-reload-entries.ts'

/** Plain values; the configuration maps to them. */
export interface AuthoritySettings extends StatePlaces {
  readonly trustDomain: TrustDomain
  /** Issuer of tokens, and the audience of the authority's own APIs. */
  readonly publicUrl: string
  readonly listeners: Readonly<Record<ListenerName, ListenAddress>>
  /** `host:port` at which workloads reach this authority; the listeners' own addresses by default. */
  readonly advertise?: Advertised
  /** Audiences for which tokens are given, beside `publicUrl`. */
  readonly allowedAudience: (audience: string) => boolean
  /** Audiences outside the trust domain for which JWT-SVIDs are given; none by default. */
  readonly jwtSvidAudiences?: readonly string[]
  readonly policy: CompiledPolicy
  /** To compare with, as `PolicyReading` has it; none by default. */
  readonly candidate?: PolicyReading['candidate']
  /** Roles of `policy` that may do whatever the admin API offers; `admin` by default. */
  readonly operatorRoles?: readonly string[]
  readonly staleness: StalenessLimits
  /** Where its log is exported to; nowhere by default. */
  readonly exports?: readonly ExportPlace[]
  /** From when on what is counted is a finding; as the configuration has it by default. */
  readonly detections?: DetectionSettings
  /** Who hears of findings; nobody by default. */
  readonly alerts?: readonly AlertPlace[]
  /** What of its log may expire; nothing by default. */
  readonly retention?: RetentionSettings
  /** How long a revocation list for outsiders is good; 3600 by default. */
  readonly crlSeconds?: number
  /** Who may vouch for workloads that join, beside join tokens and registered keys; nobody by default. */
  readonly vouchers?: VoucherSettings
  /** Where people sign in; nowhere by default. */
  readonly issuers?: readonly IssuerSettings[]
  /** What clients of people are given tokens by; nobody is by default. */
  readonly front?: FrontSettings
  /** From when on issuance is unusual (DT-4). */
  readonly detect?: RateThresholds
  readonly security: {
    readonly cipherSuites: readonly string[]
    readonly headers: Readonly<Record<string, string>>
    readonly connectionLimits: ConnectionLimits
    readonly perUser: Rate
    readonly quotas: readonly Quota[]
    readonly listenerLimits?: ListenerSettings['limits']
    /** Addresses that say whom their connections are from, by listener; none by default. */
    readonly proxies?: ListenerSettings['proxies']
  }
}

export type AuthorityEvent =
  /** Shown to the operator, loudly. */
  | { readonly type: 'warning'; readonly code: string; readonly text: string }
  /** Something failed that is tried again. */
  | { readonly type: 'problem'; readonly error: unknown }
  /** A sign of misuse: on record, and among the alarms. */
  | { readonly type: 'detection'; readonly detection: Detection }

export interface AuthorityOptions {
  /** Stops the authority. */
  readonly signal: AbortSignal
  readonly report: (event: AuthorityEvent) => void
  /** Reads the policy anew; without it the policy of the start stays. */
  readonly rereadPolicy?: () => Promise<PolicyReading>
  /** The machine's clock by default. */
  readonly clock?: Clock
  /** Milliseconds that pass whatever is done to the clock, and while the machine sleeps; the machine's by default. */
  readonly elapsed?: () => number
  /** Puts a store right that is older than the log of this authority, and serves then; false by default. */
  readonly afterRestore?: boolean
  /** Chance and pauses of orders of certificates for the front; the machine's by default. */
  readonly runtime?: Pick<Runtime, 'monotonic' | 'chance' | 'sleep'>
  /** Pause between looks for what cannot be right; 10,000 by default. */
  readonly lookMilliseconds?: number
  /** Pause between looks for findings by rate and state; 1000 by default. */
  readonly findMilliseconds?: number
}

export interface JoinInvitation {
  readonly joinString: Secret
  /** Null for one without a token. */
  readonly expiresAt: EpochSeconds | null
}

export interface RunningAuthority {
  readonly addresses: Readonly<Record<ListenerName, ListenAddress>>
  /** Absent where there is no front. */
  readonly front?: ListenAddress
  /** RFC 7638 thumbprint of the recovery root. */
  readonly rootFingerprint: string
  readonly recoveryRoot: {
    readonly path: string
    /** False once it has left this machine. */
    readonly present: boolean
    /** Made by this start: tell where it is, and that it should leave. */
    readonly created: boolean
  }
  /** Origin and verifier key of the authority's log. */
  readonly record: { readonly origin: string; readonly verifierKey: string }
  /** Registers the workload or brings its registration in line. In process, on record as `by`. Throws the refusal's code. */
  registerWorkload(registration: NewRegistration, by: string): Promise<void>
  /** A join string for a registered workload. In process, on record as `by`. Throws the refusal's code. */
  createJoinString(id: string, by: string): Promise<JoinInvitation>
  /** Who can act as operator, and inviting one from this machine. */
  readonly operators: Pick<Operators, 'standing' | 'invite'>
  /** Replaces the authority's own certificate now, however young it is; connections that are open go on. Throws `own_identity`. */
  renew(): Promise<void>
  /** Reads the policy anew and decides by it, on record as `by`; null when another reading waits already. */
  reloadPolicy(by: string): Promise<PolicyOutcome | null>
  /** Resolves when everything is closed; rejects with `lease_lost` when another process has taken the lease. */
  readonly stopped: Promise<void>
}
