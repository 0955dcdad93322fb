/** The log of a program that protects itself: its own folder and key, and a second copy of its checkpoints elsewhere. */

import { createPrivateKey } from 'node:crypto'
import { join, resolve } from 'node:path'
import { DoorwardError, formatVerifierKey, fromUtf8, utf8, verifierKey } from '@doorward/core'
import type { SpiffeId } from '@doorward/core'
import { ed25519LogKey, fileCheckpointStore, openRecord, RefusalCounter } from '@doorward/enforcement'
import type { FileRecord, LogKey } from '@doorward/enforcement'
import { fileVersion, privateFolder, readBounded, writeDurably } from '../durable-file.ts'
import { generateEd25519 } from '../platform/ed25519.ts'
import { randomBytes, sha256 } from '../platform/hash.ts'
import { systemRuntime } from '../runtime.ts'
import type { Runtime } from '../runtime.ts'
import type { Sealer } from '../sealer.ts'

export interface RecordPlace {
  /** Folder of the log; made with mode 0700. One program writes it at a time. */
  readonly folder: string
  /** Folder for the newest checkpoint, outside of `folder` and better on another disk: by it a log that went back is noticed. */
  readonly checkpoints: string
  /** What of the log's name is this program's own, beside its SPIFFE ID: needed where several copies run. None by default. */
  readonly instance?: string
}

const KEY_FILE = 'log.key'
const CONTEXT = 'doorward sdk log-key'
const NAMES_FILE = 'names.key'
const NAMES_CONTEXT = 'doorward sdk names-key'
const NAMES_BYTES = 32
const MAX_KEY = 4096

/** A log that is open, and what counts the refusals of strangers in it. */
export interface OpenRecord {
  readonly log: FileRecord
  readonly refusals: RefusalCounter
  /** 32 bytes of this place alone, for proofs in names: sealed beside the log, and made when they are first asked for. */
  nameKey(): Promise<Uint8Array>
}

/**
 * The log of an identity, with a counter that writes until it is disposed of; then the log closes. Throws as
 * `openCalleeRecord`.
 */
export async function openRecordOf(
  { id, sealer }: { readonly id: SpiffeId; readonly sealer: Sealer },
  place: RecordPlace,
): Promise<OpenRecord & AsyncDisposable> {
  const log = await openCalleeRecord(place, { id, sealer, runtime: systemRuntime })
  const refusals = new RefusalCounter({ record: log, clock: systemRuntime.wall })
  const stopping = new AbortController()
  const running = refusals.run(stopping.signal)
  const close = async () => {
    stopping.abort()
    await running
    await log.close()
  }
  const nameKey = () => openNameKey(place.folder, sealer)
  return { log, refusals, nameKey, [Symbol.asyncDispose]: close }
}

/** Opens the log, or begins it. Throws `record_place`, `folder_not_private`, and the codes of `openRecord`. */
async function openCalleeRecord(
  place: RecordPlace,
  own: { readonly id: SpiffeId; readonly sealer: Sealer; readonly runtime: Runtime },
): Promise<FileRecord> {
  const { folder, checkpoints } = place
  if (`${resolve(checkpoints)}/`.startsWith(`${resolve(folder)}/`))
    throw new DoorwardError(
      'record_place',
      'the checkpoints lie in the folder of the log, where both are lost together',
      {
        where: checkpoints,
        expected: `a folder outside of ${folder}`,
      },
    )
  await privateFolder(folder)
  await privateFolder(checkpoints)
  const begun = join(folder, 'begun')
  const origin = originOf(own.id, place.instance)
  const signKey = await openLogKey(folder, own.sealer)
  const record = await openRecord({
    dir: join(folder, 'log'),
    origin,
    signKey,
    mayBegin: (await fileVersion(begun)) === null,
    sha256,
    random: randomBytes,
    clock: own.runtime.wall,
    monotonic: own.runtime.monotonic,
    checkpointStore: fileCheckpointStore(checkpoints, origin),
  })
  await keepVerifierKey(checkpoints, formatVerifierKey(verifierKey(sha256, origin, signKey.publicKey)))
  // After a crash before this the log is there, and is opened as one that may begin.
  await writeDurably(begun, utf8('1\n'))
  return record
}

function originOf({ trustDomain, segments }: SpiffeId, instance: string | undefined): string {
  return [trustDomain, 'workload', ...segments, ...(instance === undefined ? [] : [instance])].join('/')
}

/**
 * Beside the checkpoints, under the name by which `doorward audit verify` looks for it: a log that comes with its own key proves
 * nothing. Whoever could have opened the log under another key has been refused already.
 */
async function keepVerifierKey(checkpoints: string, key: string): Promise<void> {
  const [origin = ''] = key.split('+')
  const path = join(checkpoints, `${origin.replaceAll('/', '+')}.vkey`)
  const kept = await readBounded(path, MAX_KEY)
  if (kept === null) return void (await writeDurably(path, utf8(`${key}\n`)))
  if (fromUtf8(kept).trim() === key) return
  throw new DoorwardError('log_key_changed', 'the log has another key than the one that is kept', { where: path })
}

/** Made before the log. A log whose key is lost goes on under no other: it is another's then (`record_foreign`). */
async function openLogKey(folder: string, sealer: Sealer): Promise<LogKey> {
  const path = join(folder, KEY_FILE)
  const sealed = await readBounded(path, MAX_KEY)
  if (sealed !== null) return logKeyOf(await sealer.open(sealed, CONTEXT))
  const { privateKey } = await generateEd25519()
  const plain = new Uint8Array(privateKey.export({ type: 'pkcs8', format: 'der' }))
  await writeDurably(path, await sealer.seal(plain, CONTEXT))
  return logKeyOf(plain)
}

/** Without it names that were given say nothing any more: whoever has one is told that there is no such task. */
async function openNameKey(folder: string, sealer: Sealer): Promise<Uint8Array> {
  const path = join(folder, NAMES_FILE)
  const sealed = await readBounded(path, MAX_KEY)
  if (sealed !== null) return sealer.open(sealed, NAMES_CONTEXT)
  const key = randomBytes(NAMES_BYTES)
  await writeDurably(path, await sealer.seal(key, NAMES_CONTEXT))
  return key
}

function logKeyOf(plain: Uint8Array): LogKey {
  const key = createPrivateKey({ key: Buffer.from(plain), format: 'der', type: 'pkcs8' })
  plain.fill(0)
  return ed25519LogKey(key)
}
