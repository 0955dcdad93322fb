/** What reads an answer on its way to the caller, and may change it or keep it back. */

export interface AnswerFilter {
  /** Nothing of the answer is known before all of it is there. */
  readonly isWhole: boolean
  /** Secrets that were taken out so far. */
  readonly count: number
  /** Why nothing of it may go on, where it is not for its secrets. */
  readonly problem?: string | null
  /** What may go on; null when the answer cannot be read. */
  push(chunk: Uint8Array): Uint8Array | null
  end(): Uint8Array | null
}
