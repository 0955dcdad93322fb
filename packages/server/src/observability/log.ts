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

/** Writes to a file descriptor; 1 by default. */
export function openLog(options: { readonly name: string; readonly fd?: number } = { name: 'doorward' }): Log {
  const destination = pino.destination({ dest: options.fd ?? 1, sync: false, minLength: 0 })
  // A reader that has gone must not take the process with it.
  destination.on('error', () => undefined)
  const log = pino({ base: { process: options.name }, timestamp: pino.stdTimeFunctions.isoTime }, destination)
  return {
    call: ({ outcome, ...line }) => log.info({ event: 'call', ...shortened(line), ...outcome }),
    notice: (event, detail) => log.info({ event, ...shortened(detail) }),
    warning: (event, detail) => log.warn({ event, ...shortened(detail) }),
    problem: (event, error) => log.error({ event, ...errorFields(error) }),
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
