/** The process log: JSON lines on a file descriptor. Values come from closed shapes, so that no secret can slip in. */

import { pino } from 'pino'
import { DoorwardError } from '@doorward/core'

/** One line per call, beside its entry in the record. */
export interface CallLine {
  /** Decision id; null where the refusal was only counted. */
  readonly decision: string | null
  /** `allowed` or the code of the denial or failure. */
  readonly code: string
  readonly caller: string | null
  readonly server: string | null
  readonly action: string | null
  readonly subject: string | null
  /** Where its trace is kept. */
  readonly traceId: string | null
  readonly outcome: {
    readonly status: string
    readonly http: number
    readonly bytes: number
    readonly milliseconds: number
  } | null
}

export interface Log {
  call(line: CallLine): void
  /** Something worth knowing; `detail` holds plain texts and numbers. */
  notice(event: string, detail: Readonly<Record<string, string | number>>): void
  warning(event: string, detail: Readonly<Record<string, string | number>>): void
  /** Something failed that is survived. */
  problem(event: string, error: unknown): void
  /** Writes what waits. */
  close(): Promise<void>
}

const MAX_TEXT = 512
/** Lines are written together: a crash may cost the last of them, the record loses none. */
const BUFFER_BYTES = 8 * 1024
const FLUSH_MILLISECONDS = 100

/** Writes to a file descriptor; 1 by default. */
export function openLog(options: { readonly name: string; readonly fd?: number } = { name: 'doorward' }): Log {
  const destination = pino.destination({
    dest: options.fd ?? 1,
    sync: false,
    minLength: BUFFER_BYTES,
    periodicFlush: FLUSH_MILLISECONDS,
  })
  // A reader that has gone must not take the process with it.
  destination.on('error', () => undefined)
  const log = pino({ base: { process: options.name }, timestamp: pino.stdTimeFunctions.isoTime }, destination)
  const now = (write: void): void => {
    log.flush()
    return write
  }
  return {
    call: (line) => log.info(callFields(line)),
    notice: (event, detail) => now(log.info({ event, ...shortened(detail) })),
    warning: (event, detail) => now(log.warn({ event, ...shortened(detail) })),
    problem: (event, error) => now(log.error({ event, ...errorFields(error) })),
    close: () => new Promise((resolve) => log.flush(() => resolve())),
  }
}

/** A log that says nothing. */
export const silentLog: Log = {
  call: () => undefined,
  notice: () => undefined,
  warning: () => undefined,
  problem: () => undefined,
  close: async () => undefined,
}

/** Written out, for it is made for every call. */
function callFields({ decision, code, caller, server, action, subject, traceId, outcome }: CallLine): object {
  return {
    event: 'call',
    decision: shortText(decision),
    code,
    caller: shortText(caller),
    server: shortText(server),
    action: shortText(action),
    subject: shortText(subject),
    ...(traceId === null ? undefined : { trace: traceId }),
    ...outcome,
  }
}

function shortText(text: string | null): string | null {
  return text !== null && text.length > MAX_TEXT ? text.slice(0, MAX_TEXT) : text
}

function shortened(fields: Readonly<Record<string, string | number | null>>): Record<string, string | number | null> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, typeof value === 'string' ? value.slice(0, MAX_TEXT) : value]),
  )
}

function errorFields(error: unknown): Readonly<Record<string, string>> {
  if (error instanceof DoorwardError) {
    const { code, message, where, got } = error
    return {
      code,
      message,
      ...(where === undefined ? {} : { where }),
      ...(got === undefined ? {} : { got: got.slice(0, MAX_TEXT) }),
    }
  }
  return {
    code: 'internal',
    message: error instanceof Error ? error.message.slice(0, MAX_TEXT) : String(error).slice(0, MAX_TEXT),
  }
}
