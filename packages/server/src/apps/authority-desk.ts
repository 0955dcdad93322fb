/** The detectors by rate and state of an authority put together: beside those that look at its store, log and keys. */

import { toSeconds } from '@doorward/core'
import type { Clock } from '@doorward/core'
import type { RefusalRates, StandingFinding } from '@doorward/enforcement'
import type { AuthorityContext } from '../authority/context.ts'
import { refreshAlarm } from '../authority/detection.ts'
import { defaultDetections } from '../config/detections.ts'
import { runUrgentAlerts } from './alert-webhooks.ts'
import type { RunningExports } from './audit-exports.ts'
import type { OwnIdentity } from './authority-identity.ts'
import type { AuthorityOptions, AuthoritySettings } from './authority-settings.ts'
import type { AuthorityState } from './authority-state.ts'
import { DetectionDesk } from './detection-desk.ts'
import { keepFindings, readFindings } from './detection-file.ts'
import { listenerCertificateLook, policyLook, recordLook, renewalLook } from './detection-looks.ts'
import { warnOfOff } from './detection-thresholds.ts'
import type { EdgeCertificates } from './edge-certificate-source.ts'
import type { ActivePolicy } from './policy-reload.ts'

export interface AuthorityDeskParts {
  readonly settings: AuthoritySettings
  readonly state: Pick<AuthorityState, 'record'>
  readonly context: AuthorityContext
  readonly rates: RefusalRates
  readonly own: Pick<OwnIdentity, 'validity'>
  /** Of the front; null where there is none. */
  readonly certificates: EdgeCertificates | null
  readonly policy: Pick<ActivePolicy, 'refusal'>
  readonly exports: Pick<RunningExports, 'states'>
  readonly clock: Clock
  readonly options: Pick<AuthorityOptions, 'report' | 'findMilliseconds'>
  readonly onProblem: (error: unknown) => void
}

interface Loops {
  start(run: (signal: AbortSignal) => Promise<void>): void
}

const monotonic = () => performance.now()

/** What begins and lasts is an alarm in the store as well, so that `authority status` shows it. */
export async function startAuthorityDesk(parts: AuthorityDeskParts, loops: Loops): Promise<void> {
  const { settings, state, context, options, onProblem, clock } = parts
  const warn = (code: string, text: string) => options.report({ type: 'warning', code, text })
  const { origin } = state.record.stats()
  warnOfOff(settings.detections ?? defaultDetections, warn)
  const before = await readFindings(settings.stateDir).catch((error: unknown) => {
    onProblem(error)
    return null
  })
  const alarm = ({ detector, subject, detail }: StandingFinding) =>
    void refreshAlarm(context, { detector, subject, detail }).catch(onProblem)
  const desk = new DetectionDesk({
    looks: looksOf(parts),
    before: before?.findings ?? [],
    enter: (body) => state.record.append({ kind: 'detection', body }),
    covered: () => state.record.stats().checkpointSize,
    onTold: (finding, phase) => {
      if (phase !== 'ended') alarm(finding)
    },
    keep: (findings) => keepFindings(settings.stateDir, { origin, pid: process.pid, at: clock(), findings }),
    warn,
    onProblem,
    clock,
    monotonic,
    pauseMilliseconds: options.findMilliseconds ?? 1000,
  })
  loops.start((signal) => desk.run(signal))
  const places = settings.alerts ?? []
  const unrecorded = () => desk.unrecorded()
  loops.start((signal) => runUrgentAlerts({ places, origin, unrecorded, clock }, signal))
}

/** Clock, keys, lists and the certificates of workloads are looked at where the store is (DT-4 … DT-8). */
function looksOf(parts: AuthorityDeskParts) {
  const { settings, state, context, rates, own, certificates, policy, exports, clock } = parts
  const { record } = state
  const thresholds = settings.detections ?? defaultDetections
  const now = () => toSeconds(clock())
  return [
    () => rates.look(),
    renewalLook(context.id.uri, thresholds.renewalPercent, () => own.validity(), now),
    listenerCertificateLook(thresholds.renewalPercent, certificates, { listener: 'front', now: clock, monotonic }),
    recordLook(thresholds.recordLagSeconds, {
      stats: () => record.stats(),
      exports: () => exports.states(),
      clock,
      monotonic,
    }),
    policyLook(thresholds.policy, () => policy.refusal()),
  ]
}
