/** The port through which events leave: one adapter for each kind of receiver. */

import { DoorwardError } from '@doorward/core'
import type { EntryKind, ErrorDetail } from '@doorward/core'

/** One entry of a log as receivers get it. (origin, index) names it, and tells a receiver what it has missed. */
export interface ExportEvent {
  readonly origin: string
  readonly index: number
  /**
   * `gap` stands for entries that were deleted before they were delivered, from `index` on; `absent` for one whose payload
   * is gone.
   */
  readonly kind: EntryKind | 'gap' | 'absent'
  /** Milliseconds since the epoch. */
  readonly time: number
  /** OCSF `severity_id`: 1 informational to 5 critical. */
  readonly severity: number
  /** The OCSF event as JSON of printable ASCII alone: no text in it ends a line or moves a cursor. */
  readonly json: string
}

/** What became of a batch that the receiver has acknowledged. */
export interface Delivered {
  /** How many events of it the receiver has said not to keep; they are not sent again. */
  readonly rejected: number
}

/**
 * Hands a batch to a receiver. Resolves when the receiver has acknowledged all of it, which each adapter defines; before
 * that, nothing may be taken as delivered, and the same batch comes again. Rejects with a DeliveryError, or any other
 * error, when it has not been acknowledged, within the adapter's timeout and at once when `signal` aborts. One batch at a
 * time; batches come in the order of their indices and are never empty.
 */
export interface ExportSink {
  deliver(batch: readonly ExportEvent[], signal: AbortSignal): Promise<Delivered>
  /** Lets go of connections and files; never rejects. */
  close(): Promise<void>
}

/**
 * Codes: `export_unreachable`, `export_untrusted` (the receiver's certificate), `export_timeout`, `export_refused` (it has
 * said no), `export_redirected`, `export_answer` (what it says makes no sense), `export_too_large`, `export_file`.
 */
export class DeliveryError extends DoorwardError {
  /** The receiver's own wish, in milliseconds; null when it has none. */
  readonly retryAfterMilliseconds: number | null

  constructor(code: string, message: string, detail: ErrorDetail = {}, retryAfterMilliseconds: number | null = null) {
    super(code, message, detail)
    this.retryAfterMilliseconds = retryAfterMilliseconds
  }
}
