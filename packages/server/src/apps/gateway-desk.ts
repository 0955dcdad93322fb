/** The detectors of a gateway put together: what is counted on the way of calls, what is looked at, and who hears of it. */

import { toSeconds } from '@doorward/core'
import type { Clock } from '@doorward/core'
import { FailingServers, findingKey } from '@doorward/enforcement'
import type { Found, RefusalRates } from '@doorward/enforcement'
import { systemElapsed } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import type { ExportState } from '../audit/export/state.ts'
import { defaultDetections } from '../config/detections.ts'
import type { DetectionSettings } from '../config/detections.ts'
import { findingDocument, identityDetectors, maxDetections } from '../transports/detections-route.ts'
import { notSentCodes } from './gateway-metrics.ts'
import type { CallReport } from '../transports/streamable-http.ts'
import { DetectionDesk } from './detection-desk.ts'
import type { Look } from './detection-desk.ts'
import type { EdgeCertificates } from './edge-certificate-source.ts'
import { keepFindings, readFindings } from './detection-file.ts'
import { refusalRates, warnOfOff } from './detection-thresholds.ts'
import {
  clockLook,
  configurationLook,
  listenerCertificateLook,
  policyLook,
  recordLook,
  renewalLook,
  trustLook,
  upstreamLook,
  witnessLook,
} from './detection-looks.ts'
import type { GatewaySettings } from './gateway-settings.ts'
import type { GatewayState } from './gateway-state.ts'
import { GatewayTelling, notTaken } from './gateway-telling.ts'
import type { Mistakes } from './policy-reload-entries.ts'
import type { ActivePolicy } from './policy-reload.ts'

type Counted = Pick<GatewaySettings, 'detections' | 'servers' | 'backends'>

/** Counted while calls pass. */
export class GatewayCounts {
  #thresholds: DetectionSettings
  #rates: RefusalRates
  #servers: FailingServers | null

  constructor(settings: Counted) {
    this.#thresholds = settings.detections ?? defaultDetections
    this.#rates = refusalRates(this.#thresholds)
    this.#servers = failingServers(this.#thresholds, calledNames(settings))
  }

  get thresholds(): DetectionSettings {
    return this.#thresholds
  }

  get rates(): RefusalRates {
    return this.#rates
  }

  get servers(): FailingServers | null {
    return this.#servers
  }

  /** Under other thresholds counting begins anew. */
  take(settings: Counted): void {
    const { detections = defaultDetections } = settings
    if (JSON.stringify(detections) === JSON.stringify(this.#thresholds)) {
      this.#servers?.follow(calledNames(settings))
      return
    }
    this.#thresholds = detections
    this.#rates = refusalRates(detections)
    this.#servers = failingServers(detections, calledNames(settings))
  }
}

/** Names of servers and services. */
export function calledNames({
  servers,
  backends = {},
}: Pick<GatewaySettings, 'servers' | 'backends'>): readonly string[] {
  return [...Object.keys(servers), ...Object.keys(backends)]
}

function failingServers({ upstream }: DetectionSettings, names: readonly string[]): FailingServers | null {
  return upstream === null ? null : new FailingServers(names, upstream)
}

const monotonic = () => performance.now()

const upstreamFailures: ReadonlySet<string> = new Set(['upstream_unavailable', 'upstream_invalid', 'upstream_timeout'])

/** A call that reached a server has ended. One that its caller has cancelled says nothing. */
export function countCall({ servers }: Pick<GatewayCounts, 'servers'>, { server, code, outcome }: CallReport): void {
  if (servers === null || server === null || outcome === null || outcome.status === 'cancelled') return
  if (notSentCodes.has(code)) return
  servers.ended(server, upstreamFailures.has(code), monotonic())
}

export interface GatewayDeskParts {
  readonly settings: GatewaySettings
  readonly state: GatewayState
  readonly counts: GatewayCounts
  readonly policy: Pick<ActivePolicy, 'refusal'>
  /** What servers show otherwise than approved. */
  readonly definitions: { look(): readonly Found[] }
  /** Of the edge; null where there is none. */
  readonly certificates: Pick<EdgeCertificates, 'current' | 'problem'> | null
  /** Why the newest reload of the configuration was refused; null when it was not. */
  readonly refusedReload: () => Mistakes | null
  readonly exports: () => readonly ExportState[]
  readonly clock: Clock
  readonly warn: (code: string, text: string) => void
  readonly onProblem: (error: unknown) => void
  /** Between looks; a second by default. */
  readonly pauseMilliseconds?: number | undefined
}

export interface GatewayDesk {
  readonly desk: DetectionDesk
  /** Tells the authority of findings about identities. */
  readonly telling: GatewayTelling
}

/** Says loudly which detectors are off. A file of findings that cannot be read is told, and begun anew. */
export async function openGatewayDesk(parts: GatewayDeskParts): Promise<GatewayDesk> {
  const { settings, state, counts, warn, onProblem, clock } = parts
  const { origin } = state.record.stats()
  const looks = looksBy(counts, () => looksOf(parts))
  warnOfOff(counts.thresholds, warn)
  const before = await readFindings(settings.stateDir).catch((error: unknown) => {
    onProblem(error)
    return null
  })
  const bodyOf = (findings: readonly object[]) => ({ v: 2, findings })
  const telling = new GatewayTelling({
    send: detectionSender(state.identity),
    bodyOf,
    most: maxDetections,
    onProblem,
  })
  const desk = new DetectionDesk({
    get looks() {
      return looks()
    },
    before: before?.findings ?? [],
    enter: (body) => state.record.append({ kind: 'detection', body }),
    covered: () => state.record.stats().checkpointSize,
    onTold: (finding, phase) => {
      const isAboutIdentity = identityDetectors.some((name) => name === finding.detector)
      if (!isAboutIdentity || !finding.subject.startsWith('spiffe://') || phase === 'lasting') return
      telling.tell(`${findingKey(finding)} ${phase}`, findingDocument(finding, phase === 'ended'))
    },
    keep: (findings) => keepFindings(settings.stateDir, { origin, pid: process.pid, at: clock(), findings }),
    warn,
    onProblem,
    clock,
    monotonic,
    pauseMilliseconds: parts.pauseMilliseconds ?? 1000,
  })
  return { desk, telling }
}

/** Made anew where thresholds are others than before. */
function looksBy(counts: Pick<GatewayCounts, 'thresholds'>, make: () => readonly Look[]): () => readonly Look[] {
  let by = counts.thresholds
  let made = make()
  return () => {
    if (by !== counts.thresholds) {
      by = counts.thresholds
      made = make()
    }
    return made
  }
}

function looksOf(parts: GatewayDeskParts): readonly Look[] {
  const { settings, state, counts, policy, definitions, certificates, refusedReload, exports, clock } = parts
  const { thresholds, rates, servers } = counts
  const { identity, record, witnessed } = state
  const { trust, credentials } = identity
  const own = () => credentials.peek()?.certificate ?? null
  return [
    () => rates.look(),
    upstreamLook(servers, monotonic),
    renewalLook(identity.id.uri, thresholds.renewalPercent, own, () => toSeconds(trust.now())),
    listenerCertificateLook(thresholds.renewalPercent, certificates, {
      listener: 'edge',
      now: () => trust.now(),
      monotonic,
    }),
    recordLook(thresholds.recordLagSeconds, { stats: () => record.stats(), exports, clock, monotonic }),
    trustLook(thresholds.trustPercent, settings.staleness, {
      isThere: () => trust.current() !== null,
      ageSeconds: () => trust.ageSeconds(),
    }),
    clockLook(thresholds.clockSeconds, clock, systemElapsed),
    policyLook(thresholds.policy, () => policy.refusal()),
    configurationLook(thresholds.policy, refusedReload),
    witnessLook(thresholds.witness, witnessed, monotonic),
    () => (thresholds.definitions ? definitions.look() : []),
  ]
}

/** Tells the authority of what was seen here. Rejects when it has not taken it. */
export function detectionSender(identity: Pick<Identity, 'callAuthority'>) {
  return async (body: string, signal: AbortSignal): Promise<void> => {
    const response = await identity.callAuthority('/v1/detections', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      signal,
    })
    response.body.resume()
    if (response.status !== 204) throw notTaken(response.status, String(response.headers['doorward-code']))
  }
}
