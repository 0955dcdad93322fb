/** Everything by which an authority notices misuse and misconfiguration, put together. */

import { isDoorwardError } from '@doorward/core'
import type { RefusalRates } from '@doorward/enforcement'
import { importP256 } from '@doorward/sdk'
import type { AuthorityContext } from '../authority/context.ts'
import { Canaries, reportCanaryUsed } from '../authority/detect/canary.ts'
import { IssuanceRate } from '../authority/detect/issuance-rate.ts'
import type { RateThresholds } from '../authority/detect/issuance-rate.ts'
import { raiseDetection } from '../authority/detection.ts'
import type { Fitness } from '../authority/fitness.ts'
import { tappedLog } from '../authority/ledger.ts'
import type { AuthorityRecord } from '../authority/ports.ts'
import { defaultDetections } from '../config/detections.ts'
import type { DetectionSettings } from '../config/detections.ts'
import { AuthorityDetections } from './authority-detections.ts'
import type { WatchedFiles } from './authority-files.ts'
import type { Memory } from './authority-memory.ts'
import type { OpenedTrust } from './authority-trust.ts'
import { refusalRates } from './detection-thresholds.ts'
import { AuthorityWatch, defaultPauseMilliseconds, holdWhenStoreWentBack } from './authority-watch.ts'

/** What hears of every entry of the authority's log. */
export interface Listening {
  readonly log: AuthorityRecord
  readonly rate: IssuanceRate
}

export function listenTo(
  log: AuthorityRecord,
  memory: Memory,
  parts: { readonly clock: AuthorityContext['clock']; readonly thresholds: RateThresholds | undefined },
): Listening {
  const rate = new IssuanceRate(parts.thresholds)
  const tapped = tappedLog(log, parts.clock, (fact) => {
    memory.ledger.take(fact)
    rate.take(fact)
  })
  return { log: tapped, rate }
}

export interface WatcherParts {
  readonly context: AuthorityContext
  readonly fitness: Fitness
  readonly memory: Memory
  readonly rate: IssuanceRate
  readonly trust: OpenedTrust
  readonly files: WatchedFiles
  /** Between looks; ten seconds by default. */
  readonly pauseMilliseconds: number | undefined
  readonly settleKeys: () => Promise<unknown>
  /** As the configuration has them by default. */
  readonly thresholds: DetectionSettings | undefined
  readonly report: (error: unknown) => void
}

export interface Watchers {
  /** Looks over the pipeline's shoulder. */
  readonly detections: AuthorityDetections
  readonly watch: AuthorityWatch
  readonly rates: RefusalRates
  /** Tells what failed, and stops everything where it must. */
  readonly onProblem: (error: unknown) => void
}

export function openWatchers(parts: WatcherParts): Watchers {
  const { context, trust, report } = parts
  const { authority, holder } = trust
  const canaries = new Canaries(context)
  const onProblem = (error: unknown) => problem(parts, error)
  const rates = refusalRates(parts.thresholds ?? defaultDetections)
  const detections = new AuthorityDetections({
    rates,
    trust: holder,
    importP256,
    clock: context.clock,
    sighted: (seen) => authority.sighted(seen, null),
    isCanary: (id) => canaries.has(id),
    canaryUsed: (id, how) => reportCanaryUsed(context, id, how),
    onProblem: report,
  })
  holder.onApply((view) => detections.sightings.remember(view))
  const { pauseMilliseconds = defaultPauseMilliseconds } = parts
  const watch = new AuthorityWatch({ ...parts, ...trust, canaries, pauseMilliseconds, onProblem })
  return { detections, watch, rates, onProblem }
}

/** A store that went back is told once: it is looked at twice a second. */
function problem({ context, fitness, report }: WatcherParts, error: unknown): void {
  if (!isDoorwardError(error, 'store_went_back')) return report(error)
  if (!holdWhenStoreWentBack(fitness, error)) return
  report(error)
  const detail = `${error.message}: expected ${error.expected}, got ${error.got}; nothing is signed before this authority is started again`
  raiseDetection(context, { detector: error.code, subject: 'store', detail }).catch(report)
}
