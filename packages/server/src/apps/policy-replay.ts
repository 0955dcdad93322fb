/** Recorded calls of a log, decided anew under the policy of another configuration. */

import { DoorwardError } from '@doorward/core'
import { readEntries } from '../audit/read.ts'
import { candidateDeployment } from '../config/policy-reading.ts'
import { compiledPolicy } from '../config/policy-source.ts'
import type { Deployment } from '../config/settings.ts'
import { judgeOf } from '../policy/cedar-engine.ts'
import { preparePolicy, refuseProblems } from '../policy/prepare-policy.ts'
import { Replay } from '../policy/replay.ts'
import type { ReplayReport } from '../policy/replay.ts'

export type { Change, ReplayReport, ReplayRow } from '../policy/replay.ts'

export interface ReplayOptions {
  /** A configuration; null for the one of the deployment, as its files are now. */
  readonly candidate: string | null
  /** Folder of the log. */
  readonly folder: string
  /** Milliseconds since the epoch; entries from then on. */
  readonly since: number
  /** Exclusive. */
  readonly until: number
  readonly signal: AbortSignal
  /** After each thousand entries. */
  readonly onProgress: (entries: number) => void
}

/** Throws the codes of the configuration, `policy_invalid`, `log_not_found`, and `interrupted`. */
export async function replayPolicy(deployment: Deployment, options: ReplayOptions): Promise<ReplayReport> {
  const { candidate, folder, since, until, signal, onProgress } = options
  const compiled = await compiledPolicy(
    candidate === null ? deployment : await candidateDeployment(deployment, candidate),
  )
  const prepared = await preparePolicy(compiled)
  refuseProblems(prepared)
  const replay = new Replay(judgeOf(compiled, prepared.policies, 1))
  let entries = 0
  for await (const { entry } of readEntries(folder)) {
    if (signal.aborted) throw new DoorwardError('interrupted', 'the replay was ended before its end')
    if (++entries % 1000 === 0) onProgress(entries)
    if (entry.time >= since && entry.time < until) replay.add(entry)
  }
  return replay.report()
}
