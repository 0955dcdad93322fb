/** The detectors of a gateway put together: what is counted on the way of calls, what is looked at, and who hears of it. */

import { toSeconds } from '@doorward/core'
import type { Clock } from '@doorward/core'
import { FailingServers, findingKey } from '@doorward/enforcement'
import type { RefusalRates } from '@doorward/enforcement'
import { systemElapsed } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import type { ExportState } from '../audit/export/state.ts'
import { defaultDetections } from '../config/detections.ts'
import type { DetectionSettings } from '../config/detections.ts'
import { findingDocument, identityDetectors, maxDetections } from '../transports/detections-route.ts'
import type { CallReport } from '../transports/streamable-http.ts'
import { DetectionDesk } from './detection-desk.ts'
import { keepFindings, readFindings } from './detection-file.ts'
import { refusalRates, warnOfOff } from './detection-thresholds.ts'
import {
  clockLook,
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
import type { ActivePolicy } from './policy-reload.ts'

/** Counted while calls pass. */
export interface GatewayCounts {
  readonly thresholds: DetectionSettings
  readonly rates: RefusalRates
  readonly servers: FailingServers | null
}

const monotonic = () => performance.now()

export function openGatewayCounts({ detections, servers }: GatewaySettings): GatewayCounts {
  const thresholds = detections ?? defaultDetections
  const { upstream } = thresholds
  return {
    thresholds,
    rates: refusalRates(thresholds),
    servers: upstream === null ? null : new FailingServers(Object.keys(servers), upstream),
  }
}

const upstreamFailures: ReadonlySet<string> = new Set(['upstream_unavailable', 'upstream_invalid', 'upstream_timeout'])

/** A call that reached a server has ended. One that its caller has cancelled says nothing. */
export function countCall({ servers }: GatewayCounts, { server, code, outcome }: CallReport): void {
  if (servers === null || server === null || outcome === null || outcome.status === 'cancelled') return
  servers.ended(server, upstreamFailures.has(code), monotonic())
}

export interface GatewayDeskParts {
  readonly settings: GatewaySettings
  readonly state: GatewayState
  readonly counts: GatewayCounts
  readonly policy: Pick<ActivePolicy, 'refusal'>
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
    looks: looksOf(parts),
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

function looksOf({ settings, state, counts, policy, exports, clock }: GatewayDeskParts) {
  const { thresholds, rates, servers } = counts
  const { identity, record, witnessed } = state
  const { trust, credentials } = identity
  const own = () => credentials.peek()?.certificate ?? null
  return [
    () => rates.look(),
    upstreamLook(servers, monotonic),
    renewalLook(identity.id.uri, thresholds.renewalPercent, own, () => toSeconds(trust.now())),
    recordLook(thresholds.recordLagSeconds, { stats: () => record.stats(), exports, clock, monotonic }),
    trustLook(thresholds.trustPercent, settings.staleness, {
      isThere: () => trust.current() !== null,
      ageSeconds: () => trust.ageSeconds(),
    }),
    clockLook(thresholds.clockSeconds, clock, systemElapsed),
    policyLook(thresholds.policy, () => policy.refusal()),
    witnessLook(thresholds.witness, witnessed, monotonic),
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
