/** What a part looks at once a second beside what it counts: its certificate, record, trust, clock, policy and witness. */

import { freshness, toSeconds } from '@doorward/core'
import type { Clock, EpochSeconds, Severity, StalenessLimits } from '@doorward/core'
import { ClockSteps, RecordProgress } from '@doorward/enforcement'
import type { FailingServers, Found, ProgressFacts, ProgressProblem, WitnessedRecord } from '@doorward/enforcement'
import type { ExportState } from '../audit/export/state.ts'
import type { EdgeCertificate } from '../config/edge-certificate.ts'
import type { Look } from './detection-desk.ts'
import type { EdgeCertificates } from './edge-certificate-source.ts'
import type { Mistakes } from './policy-reload-entries.ts'

interface Certificate {
  readonly notBefore: EpochSeconds
  readonly notAfter: EpochSeconds
}

/** Our own certificate has lived for longer than it takes to renew it. */
export function renewalLook(
  subject: string,
  percent: number | null,
  certificate: () => Certificate | null,
  now: () => EpochSeconds,
): Look {
  return () => {
    const held = certificate()
    if (held === null || percent === null) return []
    const { notBefore, notAfter } = held
    const lived = Math.floor(((now() - notBefore) * 100) / Math.max(1, notAfter - notBefore))
    if (lived < percent) return []
    const severity = lived >= 100 ? 'critical' : lived >= (percent + 100) / 2 ? 'high' : 'medium'
    const left = `${Math.max(0, notAfter - now())} s are left`
    const detail = `the own certificate is past ${lived} % of its life and was not renewed: ${left}`
    return [{ detector: 'renewal_late', subject, severity, detail }]
  }
}

/** For the first certificate of edge or front to be issued, unless that has failed already. */
const FIRST_MILLISECONDS = 180_000

/** Without a certificate nobody is let in at edge or front; with an old one soon nobody. */
export function listenerCertificateLook(
  percent: number | null,
  certificates: Pick<EdgeCertificates, 'current' | 'problem'> | null,
  {
    listener,
    now,
    monotonic,
  }: { readonly listener: 'edge' | 'front'; readonly now: Clock; readonly monotonic: () => number },
): Look {
  if (certificates === null || percent === null) return () => []
  const began = monotonic()
  const subject = `${listener} certificate`
  const late = renewalLook(
    subject,
    percent,
    () => lifeOf(certificates.current()),
    () => toSeconds(now()),
  )
  return () => {
    if (certificates.current() !== null) return late()
    const why = certificates.problem()
    if (why === null && monotonic() - began < FIRST_MILLISECONDS) return []
    const detail = `the ${listener} has no certificate and refuses handshakes: ${why ?? 'none was issued yet'}`
    return [{ detector: 'renewal_late', subject, severity: 'critical', detail }]
  }
}

function lifeOf(certificate: EdgeCertificate | null): Certificate | null {
  if (certificate === null) return null
  return { notBefore: toSeconds(certificate.notBefore), notAfter: toSeconds(certificate.notAfter) }
}

/** The record, and what is delivered from it. */
export function recordLook(
  seconds: number | null,
  parts: {
    readonly stats: () => ProgressFacts
    readonly exports: () => readonly ExportState[]
    readonly clock: Clock
    readonly monotonic: () => number
  },
): Look {
  if (seconds === null) return () => []
  const progress = new RecordProgress(seconds)
  return () => [
    ...progress.look(parts.stats(), parts.monotonic()).map((problem) => recordFinding(problem, seconds)),
    ...parts.exports().flatMap((state) => exportFinding(state, parts.clock() - seconds * 1000)),
  ]
}

function recordFinding(problem: ProgressProblem, seconds: number): Found {
  const detector = 'record_lag'
  switch (problem.kind) {
    case 'refuses': {
      const why = `${problem.state}${problem.failure === null ? '' : `, ${problem.failure}`}`
      return {
        detector,
        subject: 'record',
        severity: 'critical',
        detail: `the record takes no entries (${why}): nothing is permitted`,
      }
    }
    case 'checkpoint_behind': {
      const detail = `${problem.entries} entries of ${seconds} s ago and before are under no checkpoint`
      return { detector, subject: 'record checkpoint', severity: 'high', detail }
    }
    case 'queue_behind': {
      const detail = `${problem.entries} entries wait, and none was written for ${seconds} s`
      return { detector, subject: 'record queue', severity: 'high', detail }
    }
  }
}

function exportFinding({ kind, name, state, since, lagging, error }: ExportState, before: number): readonly Found[] {
  const detector = 'record_lag'
  const subject = `${kind === 'alert' ? 'alert' : 'export'} ${name}`
  if (lagging)
    return [{ detector, subject, severity: 'high', detail: 'more waits than it may, and retention may delete it' }]
  if (state !== 'failing' || since > before) return []
  return [{ detector, subject, severity: 'medium', detail: `the receiver takes nothing: ${error?.code ?? 'unknown'}` }]
}

/** How current the trust state is. */
export function trustLook(
  percent: number | null,
  staleness: StalenessLimits,
  trust: { readonly isThere: () => boolean; readonly ageSeconds: () => number },
): Look {
  return () => {
    if (percent === null) return []
    const age = trust.isThere() ? trust.ageSeconds() : Number.POSITIVE_INFINITY
    const told = (severity: Severity, text: string): readonly Found[] => {
      const heard = Number.isFinite(age)
        ? `no authority was heard for ${Math.round(age)} s`
        : 'no authority was heard yet'
      return [{ detector: 'trust_state_stale', subject: 'trust state', severity, detail: `${heard}: ${text}` }]
    }
    const fresh = freshness(age, staleness)
    if (fresh === 'stale') return told('critical', 'nobody is let through')
    if (fresh === 'reduced') return told('high', 'known identities are let through at a tenth of their rate')
    const half = (staleness.fullSeconds * percent) / 100
    return age < half ? [] : told('medium', `after ${staleness.fullSeconds} s less is let through`)
  }
}

export function clockLook(seconds: number | null, wall: Clock, elapsed: () => number): Look {
  if (seconds === null) return () => []
  const steps = new ClockSteps(seconds)
  return () => {
    const offset = steps.look(wall(), elapsed())
    if (offset === null) return []
    const detail = `it was set by ${Math.round(offset / 1000)} s: entries of the record carry its time`
    return [{ detector: 'clock_step', subject: 'clock', severity: 'high', detail }]
  }
}

export function upstreamLook(servers: FailingServers | null, monotonic: () => number): Look {
  return () =>
    (servers?.look(monotonic()) ?? []).map(({ server, inARow, failed, calls }) => ({
      detector: 'upstream_failing',
      subject: `server ${server}`,
      severity: 'high',
      detail: `${inARow} calls in a row have failed, and ${failed} of the last ${calls}`,
    }))
}

export function policyLook(watched: boolean, refusal: () => Mistakes | null): Look {
  return () => {
    const mistakes = watched ? refusal() : null
    if (mistakes === null) return []
    const detail = `${mistakes.code}, ${mistakes.problems.length} mistakes: what was read last does not decide`
    return [{ detector: 'policy_refused', subject: 'policy', severity: 'medium', detail }]
  }
}

/** The configuration as a whole: what it was before goes on. */
export function configurationLook(watched: boolean, refusal: () => Mistakes | null): Look {
  return () => {
    const mistakes = watched ? refusal() : null
    if (mistakes === null) return []
    const detail = `${mistakes.code}, ${mistakes.problems.length} mistakes: nothing of what was read last counts`
    return [{ detector: 'policy_refused', subject: 'configuration', severity: 'medium', detail }]
  }
}

/** Before a witness has seen the log, which takes a moment after each start. */
const UNSEEN_MILLISECONDS = 10_000

export function witnessLook(
  watched: boolean,
  witnessed: Pick<WitnessedRecord, 'state'>,
  monotonic: () => number,
): Look {
  const began = monotonic()
  return () => {
    const found = (severity: Severity, detail: string): readonly Found[] => [
      { detector: 'witness_refused', subject: 'record', severity, detail },
    ]
    if (!watched || witnessed.state === 'seen') return []
    if (witnessed.state === 'refused')
      return found('critical', 'an authority remembers another log than this one: nothing is permitted')
    if (monotonic() - began < UNSEEN_MILLISECONDS) return []
    return found('high', 'no authority has seen the log since the start: nothing is permitted')
  }
}
