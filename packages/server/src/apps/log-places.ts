/** Where logs lie, and their verifier keys, which are kept away from them: a log that comes with its own key proves nothing. */

import { existsSync } from 'node:fs'
import { link, mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DoorwardError, hex, utf8 } from '@doorward/core'
import { fileDisk } from '@doorward/enforcement'
import { randomBytes } from '@doorward/sdk'
import { claimedCheckpointOf } from '../audit/log-folder.ts'

export interface LogPlace {
  readonly name: string
  readonly origin: string
  /** The log itself. */
  readonly folder: string
  /** Where its second copies and verifier key lie, when that is not where the deployment's do. */
  readonly copyDir?: string
}

const main = 'main'

/** Name of the log of an authority. */
export function authorityOrigin(trustDomain: string, name: string): string {
  return name === main ? `${trustDomain}/authority` : `${trustDomain}/authority/${name}`
}

/** Logs that a deployment has on this machine, or may have. `names`: what its parts are called in configuration. */
export function logPlaces(
  trustDomain: string,
  folders: { readonly authority: string; readonly gateway: string },
  names: { readonly authority: string; readonly gateway: string } = { authority: main, gateway: main },
): readonly LogPlace[] {
  const gateway = `${trustDomain}/gateway/${names.gateway}`
  const authority = authorityOrigin(trustDomain, names.authority)
  return [
    { name: 'gateway', origin: gateway, folder: join(folders.gateway, 'record') },
    { name: 'authority', origin: authority, folder: join(folders.authority, 'record') },
  ]
}

/**
 * The log of a program that protects itself, by the folders that it was given (`record` of `protect`). Its name is what the
 * log says; by the kept key it is believed. Throws `log_not_found`.
 */
export async function programPlace(folder: string, checkpoints: string): Promise<LogPlace> {
  const log = join(folder, 'log')
  const checkpoint = await claimedCheckpointOf(log)
  if (checkpoint === null)
    throw new DoorwardError('log_not_found', 'there is no log here', {
      where: log,
      expected: 'the folder that a program was given for its record',
    })
  return { name: checkpoint.origin, origin: checkpoint.origin, folder: log, copyDir: checkpoints }
}

/**
 * Those of parts that have run on this machine: the log is there, or its verifier key in `dir`, so that a log that was taken
 * away is missed. All when nothing has run.
 */
export async function placesHere(places: readonly LogPlace[], dir: string): Promise<readonly LogPlace[]> {
  const known = await Promise.all(
    places.map(async ({ folder, origin }) => existsSync(folder) || (await readVerifierKey(dir, origin)) !== null),
  )
  const here = places.filter((_, index) => known[index])
  return here.length > 0 ? here : places
}

function keyFile(dir: string, origin: string): string {
  return join(dir, `${origin.replaceAll('/', '+')}.vkey`)
}

/** Keeps the verifier key of a log; a key that is kept already never changes. Throws `log_key_changed`. */
export async function keepVerifierKey(
  dir: string,
  log: { readonly origin: string; readonly verifierKey: string },
): Promise<void> {
  const kept = await readVerifierKey(dir, log.origin)
  if (kept === log.verifierKey) return
  if (kept !== null) {
    throw new DoorwardError('log_key_changed', 'the log has another key than the one that is kept', {
      where: keyFile(dir, log.origin),
      expected: kept,
      got: log.verifierKey,
    })
  }
  await mkdir(dir, { recursive: true, mode: 0o700 })
  if (!(await writeOnce(keyFile(dir, log.origin), utf8(`${log.verifierKey}\n`)))) return keepVerifierKey(dir, log)
}

/** The whole content or nothing, and never over what is there: false when somebody else was first. */
async function writeOnce(path: string, bytes: Uint8Array): Promise<boolean> {
  const beside = `${path}.${hex(randomBytes(8))}.new`
  await fileDisk.replace([{ path: beside, bytes }], 'durable')
  try {
    await link(beside, path)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  } finally {
    await rm(beside, { force: true })
  }
}

/** The kept verifier key of a log; null when there is none. */
export async function readVerifierKey(dir: string, origin: string): Promise<string | null> {
  try {
    return (await readFile(keyFile(dir, origin), 'utf8')).trim()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}
