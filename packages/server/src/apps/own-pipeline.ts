/** The decision path as authority and gateway have it. */

import type { Clock, StalenessLimits } from '@doorward/core'
import {
  CallPlaces,
  KnownIdentities,
  LoadShedding,
  MemoryRateLimiter,
  Pipeline,
  RefusalCounter,
} from '@doorward/enforcement'
import type {
  Approvals,
  ConnectionLimits,
  DecisionPort,
  EdgeRules,
  KeptContent,
  PipelineWatch,
  Quota,
  Rate,
  Record as AuditRecord,
  TrustHolder,
} from '@doorward/enforcement'
import { importP256 } from '@doorward/sdk'

export interface OwnPipeline {
  /** Of tokens. */
  readonly issuer: string
  readonly staleness: StalenessLimits
  readonly security: {
    readonly connectionLimits: ConnectionLimits
    readonly perUser: Rate
    readonly quotas: readonly Quota[]
  }
  readonly trust: TrustHolder
  readonly decisions: DecisionPort
  readonly log: AuditRecord
  readonly clock: Clock
  readonly watch: PipelineWatch
  /** What goes into entries of arguments and results; nothing by default. */
  readonly kept?: KeptContent | null
  /** Whoever has no certificate; nobody by default. */
  readonly edge?: EdgeRules | null
  /** By whom calls are approved; nobody by default. */
  readonly approvals?: Approvals
}

const MIRROR_WAIT_MILLISECONDS = 1000

export function openPipeline(own: OwnPipeline): Pipeline {
  const { issuer, staleness, security, trust, decisions, log, clock, watch, kept = null, edge = null, approvals } = own
  const { perUser, connectionLimits, quotas } = security
  const load = new LoadShedding()
  return new Pipeline({
    trust,
    limiter: new MemoryRateLimiter({ monotonic: () => performance.now() }),
    importP256,
    known: new KnownIdentities(),
    settings: { issuer, staleness, perUser, mirrorWaitMilliseconds: MIRROR_WAIT_MILLISECONDS },
    decisions,
    log,
    refusals: new RefusalCounter({ record: log, clock }),
    connectionLimits: { ...connectionLimits, load },
    load,
    quotas,
    places: new CallPlaces(),
    watch,
    ...(kept === null ? {} : { kept }),
    ...(edge === null ? {} : { edge }),
    ...(approvals === undefined ? {} : { approvals }),
  })
}
