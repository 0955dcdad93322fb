/**
 * A state folder and the key that opens it.
 *
 * A marker file says whose folder it is, which state it holds, whether founding was completed and how to recognise
 * its key. What is not a Doorward folder, is another kind of it or belongs to another trust domain is refused and
 * left as it is.
 */

import { chmod, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DoorwardError, exactObject, hex, scanJson, utf8 } from '@doorward/core'
import type { JsonValue, RandomBytes } from '@doorward/core'
import { checkKey, checkPrivate, createKeyFile, keyCheckValue, readKeyFile } from '@doorward/sdk'
import type { KeyEncryptionKey, KeyFilePlace } from '@doorward/sdk'
import { isMissing, makePrivateFolder, partialSuffix, readIfPresent, writeDurably } from './durable-file.ts'
import { lockFolder, lockName } from './instance-lock.ts'
import type { InstanceLock } from './instance-lock.ts'

export interface StateFolderOptions {
  readonly folder: string
  /** What the folder is for; a folder of another kind is refused. */
  readonly kind: string
  readonly trustDomain: string
  readonly keyFile: string
  /** Folders in which the key must not lie, beside the state folder itself. */
  readonly keyOutsideOf: readonly string[]
  readonly random: RandomBytes
}

export interface StateFolder {
  readonly folder: string
  /** Random name of this state, lowercase hex. */
  readonly stateId: string
  readonly key: KeyEncryptionKey
  /** False until `complete`: a start that was interrupted continues where it stopped. */
  readonly founded: boolean
  /** Says durably that everything which the first start makes is there. */
  complete(): Promise<void>
  /** Lets another process have the folder. */
  release(): void
}

interface Marker {
  readonly kind: string
  readonly trust_domain: string
  readonly state_id: string
  readonly stage: 'founding' | 'founded'
  readonly key_check: string | null
}

const MARKER = 'state.json'
const MEMBERS = ['v', 'kind', 'trust_domain', 'state_id', 'stage', 'key_check']
const LIMITS = { maxBytes: 4096, maxDepth: 1, maxKeys: 16 }

/**
 * Opens the folder, or founds it when it is missing or empty. Throws `state_folder_mode`, `state_foreign`,
 * `state_damaged`, `state_kind`, `state_trust_domain`, `state_in_use` and the codes of the key file.
 */
export async function openStateFolder(options: StateFolderOptions): Promise<StateFolder> {
  const seen = await readMarker(options.folder)
  if (seen === null) await prepareEmpty(options.folder)
  else judgeMarker(seen, options)
  await checkPrivate(options.folder, 'state_folder_mode')
  const lock = lockFolder(options.folder)
  try {
    return await openLocked(options, lock)
  } catch (error) {
    lock.release()
    throw error
  }
}

async function openLocked(options: StateFolderOptions, lock: InstanceLock): Promise<StateFolder> {
  // Read again under the lock: another process may have founded the folder in between.
  const marker = (await readMarker(options.folder)) ?? (await beginFounding(options))
  judgeMarker(marker, options)
  const place: KeyFilePlace = {
    path: options.keyFile,
    outsideOf: [options.folder, ...options.keyOutsideOf],
    stateId: marker.state_id,
  }
  const key = await openKey(marker, place, options.random)
  const opened = { ...marker, key_check: keyCheckValue(key) }
  if (marker.key_check === null) await writeMarker(options.folder, opened)
  return {
    folder: options.folder,
    stateId: marker.state_id,
    key,
    founded: marker.stage === 'founded',
    complete: () => writeMarker(options.folder, { ...opened, stage: 'founded' }),
    release: () => lock.release(),
  }
}

/** Marker first, key second: a crash between them leaves a marker without a check value, for which the key is made anew. */
async function beginFounding({ folder, kind, trustDomain, random }: StateFolderOptions): Promise<Marker> {
  const marker: Marker = {
    kind,
    trust_domain: trustDomain,
    state_id: hex(random(8)),
    stage: 'founding',
    key_check: null,
  }
  await writeMarker(folder, marker)
  return marker
}

async function openKey(marker: Marker, place: KeyFilePlace, random: RandomBytes): Promise<KeyEncryptionKey> {
  if (marker.key_check === null && !(await isThere(place.path))) return createKeyFile(place, random)
  const key = await readKeyFile(place)
  if (marker.key_check !== null) checkKey(key, marker.key_check, place)
  return key
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

/** Makes the folder, or accepts one that holds nothing but remains of an earlier founding. Throws `state_foreign`. */
async function prepareEmpty(folder: string): Promise<void> {
  const names = await namesIn(folder)
  if (names === null) return makePrivateFolder(folder)
  const foreign = names.filter(
    (name) => !name.endsWith(partialSuffix) && name !== lockName && !name.startsWith(`${lockName}-`),
  )
  if (foreign.length > 0) {
    throw new DoorwardError('state_foreign', 'the folder holds files but no Doorward state', {
      where: folder,
      expected: `an empty folder, or one with ${MARKER}`,
      got: foreign.slice(0, 5).join(', '),
      next: 'name another state folder; nothing has been changed',
    })
  }
  if (names.length === 0) await chmod(folder, 0o700)
}

async function namesIn(folder: string): Promise<readonly string[] | null> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (isMissing(error)) return null
    throw new DoorwardError('state_unreadable', 'the state folder cannot be read', {
      where: folder,
      got: error instanceof Error ? error.message : String(error),
      next: 'check its owner and mode',
    })
  }
}

async function readMarker(folder: string): Promise<Marker | null> {
  const path = join(folder, MARKER)
  const bytes = await readIfPresent(path, LIMITS.maxBytes)
  if (bytes === null) return null
  const scan = scanJson(bytes, LIMITS)
  const marker = scan.ok ? markerOf(scan.value) : null
  if (marker !== null) return marker
  throw new DoorwardError('state_damaged', 'the marker of the state folder is damaged or of another release', {
    where: path,
    expected: `exactly ${MEMBERS.join(', ')}`,
    next: 'put the file back from a copy of the folder; nothing has been changed',
  })
}

function markerOf(value: JsonValue): Marker | null {
  const document = exactObject(value, MEMBERS)
  if (document === null || document['v'] !== 1) return null
  const { kind, trust_domain, state_id, stage, key_check } = document as Readonly<Record<string, JsonValue>>
  if (typeof kind !== 'string' || typeof trust_domain !== 'string') return null
  if (typeof state_id !== 'string' || !/^[0-9a-f]{16}$/.test(state_id)) return null
  if (stage !== 'founding' && stage !== 'founded') return null
  if (key_check !== null && typeof key_check !== 'string') return null
  return key_check === null && stage === 'founded' ? null : { kind, trust_domain, state_id, stage, key_check }
}

function judgeMarker(marker: Marker, { folder, kind, trustDomain }: StateFolderOptions): void {
  if (marker.kind !== kind) {
    throw new DoorwardError('state_kind', `the folder is not the state of ${kind}`, {
      where: folder,
      expected: kind,
      got: marker.kind,
      next: 'name another state folder; nothing has been changed',
    })
  }
  if (marker.trust_domain !== trustDomain) {
    throw new DoorwardError('state_trust_domain', 'the folder holds the state of another trust domain', {
      where: folder,
      expected: trustDomain,
      got: marker.trust_domain,
      next: `set trust_domain to ${marker.trust_domain}, or name another state folder`,
    })
  }
}

async function writeMarker(folder: string, marker: Marker): Promise<void> {
  await writeDurably(join(folder, MARKER), utf8(`${JSON.stringify({ v: 1, ...marker })}\n`))
}
