/** A log in a folder of its own, with a disk that fails on command. */

import { generateKeyPairSync, hash, randomBytes } from 'node:crypto'
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { epochMillis, formatVerifierKey, verifierKey } from '@doorward/core'
import type { Sha256 } from '@doorward/core'
import {
  Redaction,
  Retention,
  ed25519LogKey,
  fileCheckpointStore,
  fileDisk,
  importEd25519,
  openRecord,
} from '@doorward/enforcement'
import type {
  AppendFile,
  FileRecord,
  LogKey,
  OpenRecordOptions,
  RecordDisk,
  RedactionParts,
  RetentionParts,
} from '@doorward/enforcement'
import { verifyLog } from '../../../packages/server/src/audit/verify.ts'
import type { VerifyReport } from '../../../packages/server/src/audit/verify.ts'

export const sha256: Sha256 = (data) => hash('sha256', data, 'buffer')
export const ORIGIN = 'acme.example/gateway/main'

export interface Log {
  readonly dir: string
  readonly copy: string
  readonly key: LogKey
  readonly vkey: string
  open(options?: Partial<OpenRecordOptions>): Promise<FileRecord>
  verify(): Promise<VerifyReport>
  segments(): Promise<readonly string[]>
  /** Copies the log's folder, or puts the copy back. */
  save(): Promise<() => Promise<void>>
}

export async function newLog(): Promise<Log> {
  const root = await mkdtemp(join(tmpdir(), 'doorward-record-'))
  after(() => rm(root, { recursive: true, force: true }))
  return logIn(root, ed25519LogKey(generateKeyPairSync('ed25519').privateKey))
}

export function logIn(root: string, key: LogKey, origin = ORIGIN): Log {
  const [dir, copy] = [join(root, 'log'), join(root, 'copy')]
  const vkey = formatVerifierKey(verifierKey(sha256, origin, key.publicKey))
  return {
    dir,
    copy,
    key,
    vkey,
    open: (options) =>
      openRecord({
        dir,
        origin,
        signKey: key,
        sha256,
        random: randomBytes,
        clock: () => epochMillis(Date.now()),
        checkpointStore: fileCheckpointStore(copy, origin),
        ...options,
        limits: { reserveBytes: 0, ...options?.limits },
      }),
    verify: async () =>
      verifyLog({
        folder: dir,
        vkey,
        sha256,
        importEd25519,
        secondCopy: await fileCheckpointStore(copy, origin).newest(),
      }),
    segments: async () =>
      (await readdir(join(dir, 'segments')))
        .filter((name) => name.endsWith('.journal'))
        .toSorted()
        .map((name) => join(dir, 'segments', name)),
    async save() {
      const saved = await mkdtemp(join(root, 'saved-'))
      await cp(dir, saved, { recursive: true })
      return async () => {
        await rm(dir, { recursive: true })
        await cp(saved, dir, { recursive: true })
      }
    },
  }
}

/** Retention of a log of this fixture; no export needs anything by default. */
export function retentionOf(
  log: Log,
  record: FileRecord,
  parts: Pick<RetentionParts, 'rules'> & Partial<RetentionParts>,
): Retention {
  return new Retention({
    folder: log.dir,
    origin: ORIGIN,
    record,
    sha256,
    clock: () => epochMillis(Date.now()),
    oldestNeeded: async () => Number.MAX_SAFE_INTEGER,
    ...parts,
  })
}

/** Redactions of a log of this fixture; nothing is derived from it by default. */
export function redactionOf(log: Log, record: FileRecord, parts: Partial<RedactionParts> = {}): Redaction {
  return new Redaction({ folder: log.dir, origin: ORIGIN, record, sha256, forget: () => undefined, ...parts })
}

export interface FaultyDisk extends RecordDisk {
  /** The operations that fail from now on. */
  readonly broken: Set<'write' | 'sync' | 'replace' | 'truncate' | 'open'>
  /** Descriptors that were used after they had failed. */
  reused: number
  syncs: number
  /** While set, syncs wait for it. */
  gate: Promise<void> | null
  /** A failing write leaves half of its bytes behind. */
  torn: boolean
  /** What fails, fails only below this folder; everywhere when it is empty. */
  only: string
  /** Code of the failures. */
  code: string
}

export function faultyDisk(): FaultyDisk {
  const broken: FaultyDisk['broken'] = new Set()
  const failing = (operation: 'write' | 'sync' | 'replace' | 'truncate' | 'open', path: string): boolean =>
    broken.has(operation) && path.startsWith(disk.only)
  const fail = (...where: Parameters<typeof failing>): void => {
    if (failing(...where)) throw Object.assign(new Error(`the disk says ${disk.code}`), { code: disk.code })
  }
  const watch = (file: AppendFile, path: string): AppendFile => {
    let failed = false
    const step = async (operation: 'write' | 'sync', work: () => Promise<void>): Promise<void> => {
      if (failed) disk.reused += 1
      try {
        fail(operation, path)
        await work()
      } catch (error) {
        failed = true
        throw error
      }
    }
    return {
      write: async (bytes) => {
        if (failing('write', path) && disk.torn) await file.write(bytes.subarray(0, bytes.length >> 1))
        return step('write', () => file.write(bytes))
      },
      sync: () =>
        step('sync', async () => {
          disk.syncs += 1
          await disk.gate
          await file.sync()
        }),
      close: () => file.close(),
    }
  }
  const disk: FaultyDisk = {
    broken,
    reused: 0,
    syncs: 0,
    gate: null,
    torn: false,
    only: '',
    code: 'ENOSPC',
    openAppend: async (path, position) => {
      fail('open', path)
      return watch(await fileDisk.openAppend(path, position), path)
    },
    replace: async (files, durability) => {
      for (const { path } of files) fail('replace', path)
      await fileDisk.replace(files, durability)
    },
    truncate: async (path, bytes) => {
      fail('truncate', path)
      await fileDisk.truncate(path, bytes)
    },
    overwrite: (path, position, bytes) => fileDisk.overwrite(path, position, bytes),
    remove: (paths) => fileDisk.remove(paths),
    removeFolder: (path) => fileDisk.removeFolder(path),
  }
  return disk
}
