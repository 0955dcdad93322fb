/** Secrets in files that somebody else keeps: mounted by a platform, or written by an agent of a vault. */

import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import type { BigIntStats } from 'node:fs'
import { DoorwardError } from '@doorward/core'
import { isMissing } from './durable-file.ts'
import { secretBytes, secretMissing, secretText, secretUnavailable } from './secret-source.ts'
import type { SecretSource, SecretVersion } from './secret-source.ts'

interface Seen extends SecretVersion {
  readonly file: string
}

/**
 * Looked at for each use and read anew when it is another file or another content; one that has gone is no value. Links are
 * followed, as mounted secrets need it. Others must not be able to read it, nor anybody else to write it; the group may read
 * what belongs to root, as platforms mount it.
 */
export function fileSource(path: string): SecretSource {
  let seen: Seen | null = null
  return {
    kind: 'file',
    async read() {
      await using file = await openFile(path)
      const status = await file.stat({ bigint: true })
      checkFile(status, path)
      const which = `${status.dev}:${status.ino}:${status.mtimeNs}:${status.ctimeNs}:${status.size}`
      if (seen?.file !== which) {
        seen = null
        seen = { value: secretText(await contentOf(file, path), path), version: versionOf(status), file: which }
      }
      return { value: seen.value, version: seen.version }
    },
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (isMissing(error)) throw secretMissing(path, 'put the file there, or correct the path')
    throw unreadable(path, error)
  }
}

async function contentOf(file: FileHandle, path: string): Promise<Uint8Array> {
  try {
    const buffer = new Uint8Array(secretBytes + 3)
    let length = 0
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length)
      length += bytesRead
      if (bytesRead === 0 || length === buffer.length) return buffer.subarray(0, length)
    }
  } catch (error) {
    throw unreadable(path, error)
  }
}

function unreadable(path: string, error: unknown): DoorwardError {
  return secretUnavailable(path, error instanceof Error && 'code' in error ? String(error.code) : 'an unreadable file')
}

/** When it was written: nanoseconds, so that two changes differ. */
function versionOf({ mtimeMs, mtimeNs }: BigIntStats): string {
  const time = new Date(Number(mtimeMs)).toISOString().slice(0, 19)
  return `${time}.${String(mtimeNs % 1_000_000_000n).padStart(9, '0')}Z`
}

const OTHERS = 0o027
const GROUP_READS = 0o040

function checkFile({ mode: bits, uid }: BigIntStats, path: string): void {
  if ((bits & 0o170000n) !== 0o100000n) throw secretUnavailable(path, 'no regular file')
  const self = process.getuid?.()
  // Windows has no such modes: there access lists are the operator's duty.
  if (self === undefined) return
  const mode = Number(bits & 0o7777n)
  const owner = Number(uid)
  const ofRoot = owner === 0
  if (owner !== self && !ofRoot) throw wrongMode(path, 'a file of ours or of root', `one of uid ${owner}`)
  if ((mode & OTHERS) !== 0 || ((mode & GROUP_READS) !== 0 && !ofRoot))
    throw wrongMode(path, ofRoot ? 'mode 0440, 0400 or 0600' : 'mode 0600 or 0400', `mode ${mode.toString(8)}`)
}

function wrongMode(where: string, expected: string, got: string): DoorwardError {
  return new DoorwardError('secret_mode', 'the file of a secret is open to others', {
    where,
    expected,
    got,
    next: 'chmod 600 the file; for one that a platform mounts, ask it for mode 0440',
  })
}
