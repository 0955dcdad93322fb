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
    readonly attempts?: number
    readonly explanation?: string
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
  const ofProcess = `,"process":${JSON.stringify(options.name)},"event":"call"`
  const now = (write: void): void => {
    log.flush()
    return write
  }
  return {
    call: (line) => void destination.write(callText(ofProcess, line)),
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

/**
 * The line that pino would write, without its serialiser, for it is made for every call: member by member, so that nothing else that
 * a caller of `call` holds gets in, such as what a rule keeps of a result.
 */
function callText(ofProcess: string, line: CallLine): string {
  const { decision, code, caller, server, action, subject, traceId, outcome } = line
  const of =
    `{"level":30,"time":"${isoNow()}"${ofProcess},"decision":${quoted(decision)},"code":${quoted(code)}` +
    `,"caller":${quoted(caller)},"server":${quoted(server)},"action":${quoted(action)},"subject":${quoted(subject)}`
  const trace = traceId === null ? '' : `,"trace":${quoted(traceId)}`
  return `${of}${trace}${outcome === null ? '' : outcomeText(outcome)}}\n`
}

function outcomeText({ status, http, bytes, milliseconds, attempts, explanation }: OutcomeLine): string {
  const rest =
    (attempts === undefined ? '' : `,"attempts":${attempts}`) +
    (explanation === undefined ? '' : `,"explanation":${quoted(explanation)}`)
  return `,"status":"${status}","http":${http},"bytes":${bytes},"milliseconds":${milliseconds}${rest}`
}

type OutcomeLine = NonNullable<CallLine['outcome']>

/** Nothing of these needs escaping. */
const PLAIN = /^[\w/.:+#@-]*$/

function quoted(text: string | null): string {
  if (text === null) return 'null'
  const short = text.length > MAX_TEXT ? text.slice(0, MAX_TEXT) : text
  return PLAIN.test(short) ? `"${short}"` : JSON.stringify(short)
}

let isoMillisecond = 0
let isoText = ''

/** Made once per millisecond. */
function isoNow(): string {
  const now = Date.now()
  if (now !== isoMillisecond) {
    isoMillisecond = now
    isoText = new Date(now).toISOString()
  }
  return isoText
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
