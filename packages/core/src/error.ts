/** Errors with stable codes: what was wrong, where, expected versus got, what to do next. */

export interface ErrorDetail {
  /** File, path or field the error is about. */
  readonly where?: string
  readonly expected?: string
  readonly got?: string
  /** What the reader can do about it. */
  readonly next?: string
  readonly cause?: unknown
}

/**
 * An error that callers may tell apart by `code` (lower snake case, stable across releases).
 * Messages are lower case and never hold secrets. A *denial* is not an error: it is a returned value.
 */
export class DoorwardError extends Error {
  override readonly name = 'DoorwardError'
  readonly code: string
  readonly where: string | undefined
  readonly expected: string | undefined
  readonly got: string | undefined
  readonly next: string | undefined

  constructor(code: string, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause })
    this.code = code
    this.where = detail.where
    this.expected = detail.expected
    this.got = detail.got
    this.next = detail.next
  }
}

export function isDoorwardError(value: unknown, code?: string): value is DoorwardError {
  return value instanceof DoorwardError && (code === undefined || value.code === code)
}
