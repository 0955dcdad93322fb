/** A log that allows nothing before somebody else has seen it as it is now: what was cut or put back is found first. */

import type { DoorwardError } from '@doorward/core'
import { unavailable } from './journal-writer.ts'
import type { Record, RecordEntry } from './record.ts'
import type { EntryReference } from './reference.ts'

type State =
  | { readonly at: 'unseen' }
  | { readonly at: 'seen' }
  | { readonly at: 'refused'; readonly error: DoorwardError }

/** Refusals, and whatever else is no permission, are recorded from the beginning. */
export class WitnessedRecord implements Record {
  readonly #record: Record
  #state: State = { at: 'unseen' }

  constructor(record: Record) {
    this.#record = record
  }

  get state(): State['at'] {
    return this.#state.at
  }

  /** A witness has confirmed that the log only grew. What was refused stays refused. */
  seen(): void {
    if (this.#state.at === 'unseen') this.#state = { at: 'seen' }
  }

  /** A witness remembers another log: nothing is allowed any more until this process is started with the right one. */
  refuse(error: DoorwardError): void {
    this.#state = { at: 'refused', error }
  }

  append(entry: RecordEntry): Promise<EntryReference> {
    if (this.#state.at !== 'seen' && permits(entry)) return Promise.reject(this.#refusal())
    return this.#record.append(entry)
  }

  #refusal(): DoorwardError {
    if (this.#state.at === 'refused') return this.#state.error
    return unavailable('no witness has seen the record since this start', null)
  }
}

function permits({ kind, body }: RecordEntry): boolean {
  return kind === 'decision' && (body as { readonly decision?: unknown }).decision !== 'deny'
}
