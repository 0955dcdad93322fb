/** How far an export has come and how it fares: what outlives the process, and what operators see. */

export interface ExportState {
  readonly name: string
  readonly kind: string
  /** The log. */
  readonly origin: string
  /** First index that no receiver has acknowledged. */
  readonly next: number
  /** `stopped`: in order; whoever was killed leaves the state that it had. */
  readonly state: 'delivering' | 'failing' | 'stopped'
  /** When `state` began, in milliseconds since the epoch. */
  readonly since: number
  /** More waits than the spool may hold: retention may delete what has not been delivered. */
  readonly lagging: boolean
  /** Events that the receiver has said not to keep, ever since. */
  readonly rejected: number
  /** The newest failure, also when it is over; null when there was none. */
  readonly error: { readonly code: string; readonly message: string; readonly at: number } | null
  /** Process that writes this. */
  readonly pid: number
}

/**
 * Keeps the state of one export. `write` resolves when it is durable, and replaces the old one as a whole: after a crash
 * either stands. `read` is null before the first. One writer.
 */
export interface ExportStates {
  read(): Promise<ExportState | null>
  write(state: ExportState): Promise<void>
}

const MAX_TEXT = 1024

/** Null for what is no state. */
export function parseState(text: string): ExportState | null {
  let value: Partial<Record<keyof ExportState | 'v', unknown>>
  try {
    value = JSON.parse(text) as typeof value
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null || value.v !== 1) return null
  const { name, kind, origin, next, state, since, lagging, rejected, error, pid } = value
  const texts = [name, kind, origin].every((one) => typeof one === 'string' && one.length <= MAX_TEXT)
  const numbers = [next, since, rejected, pid].every((one) => Number.isSafeInteger(one) && (one as number) >= 0)
  const known = state === 'delivering' || state === 'failing' || state === 'stopped'
  if (!texts || !numbers || !known || typeof lagging !== 'boolean' || !isFailure(error)) return null
  return { name, kind, origin, next, state, since, lagging, rejected, error, pid } as ExportState
}

function isFailure(value: unknown): boolean {
  if (value === null) return true
  if (typeof value !== 'object') return false
  const { code, message, at } = value as { code?: unknown; message?: unknown; at?: unknown }
  return typeof code === 'string' && typeof message === 'string' && Number.isSafeInteger(at)
}

export function formatState(state: ExportState): string {
  return `${JSON.stringify({ v: 1, ...state })}\n`
}
