/**
 * A gateway shows its log to an authority and cosigns the authority's. Until an authority has seen the log since this start,
 * nothing is allowed; when it remembers another one, nothing is allowed any more.
 */

import { DoorwardError, claimedOrigin, isDoorwardError, openCheckpoint, parseAddCheckpoint } from '@doorward/core'
import type { JsonObject, SignedCheckpoint } from '@doorward/core'
import type { FileRecord, WitnessedRecord } from '@doorward/enforcement'
import { readJsonBody, readRefusal, refusalError, sha256, timerSleep } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { submissionOf } from '../audit/submission.ts'
import { documentOf } from '../transports/witness-routes.ts'
import type { ShownCosignature, ShownLog } from '../transports/witness-routes.ts'
import type { LogWitness } from './log-witness.ts'

export interface GatewayWitnessParts {
  readonly identity: Pick<Identity, 'callAuthority'>
  readonly witness: LogWitness
  readonly record: Pick<FileRecord, 'checkpoint' | 'stats'>
  readonly witnessed: WitnessedRecord
  readonly recordFolder: string
  /** Whether an authority of ours may have a log of that name. */
  readonly ofAuthority: (origin: string) => boolean
  readonly warn: (code: string, text: string) => void
  readonly onProblem: (error: unknown) => void
}

/** A quiet log is not shown again. */
const SHOW_MILLISECONDS = 10_000
/** An authority's log grows by being asked for it. */
const ASK_MILLISECONDS = 60_000
const BEGIN_MILLISECONDS = 5000
const PAUSE = { first: 200, most: 10_000 }
const MAX_ANSWER = 65_536

export class GatewayWitness {
  readonly #parts: GatewayWitnessParts
  /** How far the authority knows our log. */
  #known = 0

  constructor(parts: GatewayWitnessParts) {
    this.#parts = parts
  }

  /** Shows the log for the first time; where no authority answers in time, nothing is allowed before one has. Never rejects. */
  async begin(signal: AbortSignal): Promise<void> {
    const within = AbortSignal.any([signal, AbortSignal.timeout(BEGIN_MILLISECONDS)])
    await this.show(within).catch((error: unknown) => {
      if (!signal.aborted) this.#parts.onProblem(error)
    })
  }

  /** Shows the log until an authority has seen it or the signal aborts, then now and then. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    let nextAsk = 0
    for (let pause = PAUSE.first; !signal.aborted;) {
      try {
        if (this.#isDue()) await this.show(signal)
        pause = SHOW_MILLISECONDS
        if (performance.now() >= nextAsk) {
          nextAsk = performance.now() + ASK_MILLISECONDS
          await this.#ask(signal)
        }
      } catch (error) {
        if (!signal.aborted) this.#parts.onProblem(error)
        pause = this.#parts.witnessed.state === 'seen' ? SHOW_MILLISECONDS : Math.min(PAUSE.most, pause * 2)
      }
      if (this.#parts.witnessed.state === 'refused') return
      await timerSleep(pause, signal)
    }
  }

  #isDue(): boolean {
    const { record, witnessed } = this.#parts
    return witnessed.state === 'unseen' || record.stats().checkpointSize > this.#known
  }

  /** Shows the log once. Throws when no authority answers; what an authority remembers otherwise ends all permissions. */
  async show(signal: AbortSignal): Promise<void> {
    const { record, witnessed } = this.#parts
    await record.checkpoint()
    try {
      const elsewhere = await this.#submit(this.#known, signal)
      if (elsewhere !== null && (await this.#submit(this.#begin(elsewhere), signal)) !== null)
        throw new DoorwardError('witness_busy', 'two authorities remember different sizes of the log')
      witnessed.seen()
    } catch (error) {
      if (!isDoorwardError(error, 'record_rollback') && !isDoorwardError(error, 'log_contradicted')) throw error
      this.#refuse(error)
    }
  }

  #refuse(cause: DoorwardError): void {
    const { witnessed, warn, record } = this.#parts
    const { origin } = record.stats()
    const error = new DoorwardError('record_rollback', 'an authority remembers another log than this one', {
      where: origin,
      expected: cause.expected ?? 'the log that it has cosigned',
      ...(cause.got === undefined ? {} : { got: cause.got }),
      next: 'put the newest copy of the log back; nothing is allowed without it',
      cause,
    })
    if (witnessed.state !== 'refused')
      warn(
        'record_rollback',
        `the log of ${origin} is not the one that an authority has seen: it was cut or put back, and nothing is allowed any more`,
      )
    witnessed.refuse(error)
  }

  /** Where to begin: at what the witness remembers, if we stand by it. */
  #begin(remembered: SignedCheckpoint | 'nothing'): number {
    if (remembered === 'nothing') return 0
    const { size } = this.#parts.record.stats()
    if (remembered.size <= size) return remembered.size
    throw new DoorwardError('record_rollback', 'the log is shorter than it was', {
      expected: `${remembered.size} entries`,
      got: `${size}`,
    })
  }

  /** Null when it was cosigned; else what the witness remembers. */
  async #submit(old: number, signal: AbortSignal): Promise<SignedCheckpoint | 'nothing' | null> {
    const { witness, recordFolder } = this.#parts
    const submission = await submissionOf(sha256, recordFolder, old)
    if ('behind' in submission) throw new DoorwardError('record_rollback', 'the log is shorter than it was')
    const body = JSON.stringify({ log_key: witness.logKey, submission: submission.body })
    const { status, document } = await this.#call('POST', '/v1/witness', { body, signal })
    if (status === 409) {
      const note = document['checkpoint']
      return typeof note === 'string' ? openCheckpoint(note, witness.verifier) : 'nothing'
    }
    const size = await this.#keep(shownIn(document))
    this.#known = size
    return null
  }

  async #keep(shown: ShownCosignature | null): Promise<number> {
    const name = shown?.witnessKey.split('+')[0]?.replace(/\/witness$/, '') ?? ''
    const size = shown === null ? null : await this.#parts.witness.keep(name, shown)
    if (size === null) throw new DoorwardError('cosignature_invalid', 'the authority gave no cosignature that holds')
    return size
  }

  /** Cosigns the log of the authority that answers, or shows it what we remember of it. */
  async #ask(signal: AbortSignal): Promise<void> {
    const { witness, ofAuthority } = this.#parts
    const first = await this.#theirs(0, signal)
    const origin = first === null ? null : originIn(first.submission)
    if (first === null || origin === null || !ofAuthority(origin)) return
    let answer = await witness.submit(origin, first)
    if (answer.at === 'elsewhere' && answer.remembered !== null && answer.checkpoint.size >= answer.remembered.size) {
      const shown = await this.#theirs(answer.remembered.size, signal)
      // Another authority may have answered.
      if (shown === null || originIn(shown.submission) !== origin) return
      answer = await witness.submit(origin, shown)
    }
    if (answer.at === 'cosigned')
      await this.#call('POST', '/v1/witness/cosignature', {
        body: JSON.stringify(documentOf(witness.shown(answer))),
        signal,
      })
    else if ('remembered' in answer && answer.remembered !== null)
      await this.#tell(origin, answer.remembered.note, signal)
  }

  async #tell(origin: string, note: string, signal: AbortSignal): Promise<void> {
    const text = `the log of ${origin} does not follow from what it has shown before: it was cut, put back or forked`
    this.#parts.warn('log_contradicted', text)
    await this.#call('POST', '/v1/witness/cosignature', { body: JSON.stringify({ evidence: note }), signal })
  }

  async #theirs(old: number, signal: AbortSignal): Promise<ShownLog | null> {
    const { status, document } = await this.#call('GET', `/v1/witness/log?old=${old}`, { signal })
    const { log_key: logKey, submission } = document
    return status === 200 && typeof logKey === 'string' && typeof submission === 'string'
      ? { logKey, submission }
      : null
  }

  /** Answers of 200, 204 and 409 without a refusal's code. Throws refusals. */
  async #call(
    method: 'GET' | 'POST',
    path: string,
    { body, signal }: { readonly body?: string; readonly signal: AbortSignal },
  ): Promise<{ readonly status: number; readonly document: JsonObject }> {
    const content = body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body }
    const response = await this.#parts.identity.callAuthority(path, { method, ...content, signal })
    const code = response.headers['doorward-code'] ?? 'allowed'
    const refused = code !== 'allowed' || ![200, 204, 409].includes(response.status)
    if (refused) throw refusalError(await readRefusal(response), 'authority')
    if (response.status === 204) {
      response.body.resume()
      return { status: 204, document: {} }
    }
    return { status: response.status, document: await readJsonBody(response, MAX_ANSWER) }
  }
}

function shownIn({ witness_key, cosignature, checkpoint }: JsonObject): ShownCosignature | null {
  if (typeof witness_key !== 'string' || typeof cosignature !== 'string' || typeof checkpoint !== 'string') return null
  return { witnessKey: witness_key, cosignature, checkpoint }
}

/** As the submission claims, before anything is believed. */
function originIn(submission: string): string | null {
  return claimedOrigin(parseAddCheckpoint(submission).note)
}
