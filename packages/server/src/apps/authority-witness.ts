/** An authority as a witness of its gateways' logs, and what it does when they remember another log of its own. */

import { equalBytes, isDoorwardError, openCheckpoint, parseSpiffeId } from '@doorward/core'
import type { SignedCheckpoint } from '@doorward/core'
import { deny } from '@doorward/enforcement'
import type { Denial } from '@doorward/enforcement'
import { sha256 } from '@doorward/sdk'
import { rootAt, submissionOf } from '../audit/submission.ts'
import type { Detection } from '../authority/detection-port.ts'
import type { Fitness } from '../authority/fitness.ts'
import type { WitnessPort } from '../transports/witness-routes.ts'
import type { LogWitness } from './log-witness.ts'

export interface AuthorityWitnessParts {
  readonly witness: LogWitness
  /** Folder of the authority's own log. */
  readonly recordFolder: string
  readonly fitness: Pick<Fitness, 'hold'>
  readonly raise: (detection: Detection) => Promise<void>
}

export function authorityWitness(parts: AuthorityWitnessParts): WitnessPort {
  const { witness, recordFolder } = parts
  return {
    submit: async (from, log) => {
      const origin = originOf(from)
      if (origin === null) return deny('log_refused', `${from} is no gateway`)
      try {
        return await judged(parts, origin, await witness.submit(origin, log))
      } catch (error) {
        return refusedKey(parts, origin, error)
      }
    },
    ownLog: async (oldSize) => {
      const shown = await submissionOf(sha256, recordFolder, oldSize)
      return 'behind' in shown ? { behind: shown.behind.size } : { logKey: witness.logKey, submission: shown.body }
    },
    takeCosignature: async (from, cosignature) => {
      const origin = originOf(from)
      if (origin === null) return deny('log_refused', `${from} is no gateway`)
      const kept = await witness.keep(origin, cosignature).catch(problemOf)
      if (typeof kept === 'number') return null
      return kept ?? deny('request_invalid', 'expected a cosignature of that witness on a checkpoint of this log')
    },
    takeEvidence: async (from, note) => evidence(parts, from, note),
  }
}

/** The log of the gateway with that SPIFFE ID; null for anybody else. */
function originOf(uri: string): string | null {
  const { trustDomain, segments } = parseSpiffeId(uri)
  const [first, kind, name, ...more] = segments
  const isGateway = first === 'doorward' && kind === 'gateway' && name !== undefined && more.length === 0
  return isGateway ? `${trustDomain}/gateway/${name}` : null
}

async function judged(
  { witness, raise }: AuthorityWitnessParts,
  origin: string,
  answer: Awaited<ReturnType<LogWitness['submit']>>,
): ReturnType<WitnessPort['submit']> {
  switch (answer.at) {
    case 'cosigned':
      return witness.shown(answer)
    case 'elsewhere': {
      const { remembered, checkpoint } = answer
      if (remembered !== null && checkpoint.size < remembered.size)
        await raise({
          detector: 'log_went_back',
          subject: origin,
          detail: `it shows ${checkpoint.size} entries, and has shown ${remembered.size}: an old copy was put back, or it was cut`,
        })
      return { elsewhere: remembered?.note ?? null }
    }
    case 'forked':
    case 'unproven':
      await raise({
        detector: 'log_contradicted',
        subject: origin,
        detail: 'it shows a checkpoint that does not follow from the one that was remembered',
      })
      return deny('log_contradicted', `the log of ${origin} does not follow from what was remembered (${answer.at})`)
    case 'unsigned':
    case 'malformed':
      return deny('request_invalid', `expected a submission that is signed by ${origin} (${answer.at})`)
  }
}

/** A gateway that is new under an old name has a new key: somebody has to say so first. */
async function refusedKey({ raise }: AuthorityWitnessParts, subject: string, error: unknown): Promise<Denial> {
  if (isDoorwardError(error, 'vkey_malformed')) return deny('request_invalid', error.message)
  if (!isDoorwardError(error, 'log_key_changed')) throw error
  const detail = `it shows a log with another key than the one that is kept: ${error.where ?? ''}`
  await raise({ detector: 'log_key_changed', subject, detail })
  return deny('log_refused', error.message)
}

function problemOf(error: unknown): Denial {
  if (isDoorwardError(error, 'log_key_changed')) return deny('log_refused', error.message)
  if (!isDoorwardError(error)) throw error
  return deny('request_invalid', error.message)
}

/** A checkpoint that our key has signed and our log does not hold: it was put back or cut, and nothing is signed any more. */
async function evidence(parts: AuthorityWitnessParts, from: string, note: string): Promise<Denial | null> {
  const { witness, recordFolder, fitness, raise } = parts
  let checkpoint: SignedCheckpoint
  try {
    checkpoint = openCheckpoint(note, witness.verifier)
  } catch (error) {
    return problemOf(error)
  }
  if (await holds(recordFolder, checkpoint)) return null
  const { size } = checkpoint
  const detail = `this log has signed ${size} entries that it does not hold, as ${from} remembers: put the newest copy back, or recover`
  fitness.hold('log_went_back', detail)
  await raise({ detector: 'log_went_back', subject: witness.verifier.name, detail, source: from })
  return null
}

async function holds(folder: string, checkpoint: SignedCheckpoint): Promise<boolean> {
  const root = await rootAt(sha256, folder, checkpoint.size)
  return root !== null && equalBytes(root, checkpoint.root)
}
