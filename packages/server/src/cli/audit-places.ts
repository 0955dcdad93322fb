/** Which logs a command is about, and the keys by which they are believed. */

import { readFile, writeFile } from 'node:fs/promises'
import { DoorwardError, fromUtf8 } from '@doorward/core'
import type { NoteVerifier } from '@doorward/core'
import { logPlaces, placesHere, programPlace } from '../apps/log-places.ts'
import type { LogPlace } from '../apps/log-places.ts'
import { checkpointDir, stateFolders } from '../config/settings.ts'
import type { Deployment } from '../config/settings.ts'
import type { CliContext } from './context.ts'

export interface MachineLogs {
  /** Those that were asked for, or all that have run on this machine. */
  readonly places: readonly LogPlace[]
  /** Where second copies and verifier keys lie. */
  readonly copyDir: string
}

export const logOption = ['--log <name>', 'gateway or authority; by default those that are on this machine'] as const
export const recordOption = [
  '--record <folder...>',
  'logs of programs that protect themselves, by the folders of their records; needs neither configuration nor state',
] as const
export const checkpointsOption = ['--checkpoints <folder>', 'where the checkpoints of these programs are kept'] as const

/** Which logs somebody asks for. */
export interface LogOptions {
  readonly log?: string | undefined
  readonly record?: readonly string[]
  readonly checkpoints?: string
}

/** Throws `log_unknown`, `log_not_found`, `usage`, and the codes of configuration and state folder. */
export async function machineLogs(context: CliContext, options: LogOptions): Promise<MachineLogs> {
  const { log: name, record, checkpoints } = options
  if (record !== undefined || checkpoints !== undefined) return programLogs(options)
  const deployment = await context.deployment()
  const all = logsOf(deployment)
  const copyDir = checkpointDir(deployment, await context.deploymentFolder({ make: false }))
  if (name === undefined) return { places: await placesHere(all, copyDir), copyDir }
  const places = all.filter((place) => place.name === name)
  if (places.length > 0) return { places, copyDir }
  throw new DoorwardError('log_unknown', 'there is no such log', {
    expected: all.map((place) => place.name).join(' or '),
    got: name,
  })
}

async function programLogs({ log, record, checkpoints }: LogOptions): Promise<MachineLogs> {
  if (record === undefined || checkpoints === undefined || log !== undefined)
    throw new DoorwardError('usage', 'logs of programs are named by their folders', {
      expected: '--record with --checkpoints, and no --log',
    })
  return { places: await Promise.all(record.map((one) => programPlace(one, checkpoints))), copyDir: checkpoints }
}

/** Of a deployment, by what its parts are called. */
export function logsOf({ trustDomain, stateDir, configuration, gateway }: Deployment): readonly LogPlace[] {
  return logPlaces(trustDomain, stateFolders(stateDir), {
    authority: configuration.authority.name,
    gateway: gateway.name,
  })
}

/** The log of this machine with this origin. Throws `log_unknown`. */
export async function logOfOrigin(
  context: CliContext,
  origin: string,
): Promise<{ readonly place: LogPlace; readonly copyDir: string }> {
  const { places, copyDir } = await machineLogs(context, {})
  const place = places.find((one) => one.origin === origin)
  if (place !== undefined) return { place, copyDir }
  throw new DoorwardError('log_unknown', 'this log is not on this machine', {
    expected: places.map((one) => one.origin).join(' or '),
    got: origin.slice(0, 200),
  })
}

/** An entry as responses, the process log and `audit query` name it. */
export interface EntryName {
  readonly origin: string
  readonly index: number
}

/** Reads `<origin>#<index>`. Throws `usage`. */
export function readEntryName(text: string): EntryName {
  const match = /^([^\s#+]{1,512})#(0|[1-9]\d{0,15})$/.exec(text)
  const index = Number(match?.[2])
  if (match?.[1] !== undefined && Number.isSafeInteger(index)) return { origin: match[1], index }
  throw new DoorwardError('usage', 'not the id of an entry', {
    expected: '<origin>#<index>, as in example.org/gateway/main#17',
    got: text.slice(0, 200),
  })
}

/** Reads text that a person has named. Throws `file_unreadable`. */
export async function readText(file: string, limitBytes: number): Promise<string> {
  try {
    const bytes = await readFile(file)
    if (bytes.length > limitBytes) throw new DoorwardError('file_too_large', `at most ${limitBytes} bytes`)
    return fromUtf8(bytes)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new DoorwardError('file_unreadable', 'the file cannot be read', { where: file, got: reason, cause })
  }
}

/** Writes a file that is not there yet. `mode` is 0o600 for what few may read. Throws `file_not_written`. */
export async function writeNew(file: string, text: string, mode = 0o644): Promise<void> {
  try {
    await writeFile(file, text, { flag: 'wx', mode })
  } catch (cause) {
    const taken = (cause as NodeJS.ErrnoException).code === 'EEXIST'
    throw new DoorwardError('file_not_written', taken ? 'the file is there already' : 'the file cannot be written', {
      where: file,
      ...(taken ? { next: 'name another file: nothing is overwritten' } : { got: String(cause) }),
      cause,
    })
  }
}

const KEY_LIMIT_BYTES = 4096

/** The verifier of `--key`: the key itself, or a file that holds it. Throws `vkey_malformed`, `file_unreadable`. */
export async function givenVerifier(key: string): Promise<NoteVerifier> {
  const { verifierOf } = await import('../apps/prove-log.ts')
  return verifierOf(await keyText(key))
}

/** The text of a verifier key, which may be given by the name of a file. Throws `file_unreadable`. */
export async function keyText(key: string): Promise<string> {
  return /^[^+]+\+[0-9a-f]{8}\+/.test(key) ? key : (await readText(key, KEY_LIMIT_BYTES)).trim()
}
