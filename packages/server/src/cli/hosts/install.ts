/** Writes an entry into a host's file: prepared and shown first, the old file kept beside it, replaced whole or not at all. */

import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, mkdir, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DoorwardError, fromUtf8, utf8 } from '@doorward/core'
import { setEntry } from './json-edit.ts'
import type { Entry } from './json-edit.ts'
import { lineDiff } from './line-diff.ts'

export interface Installation {
  /** The real file: links are followed, so that a linked configuration stays linked. */
  readonly file: string
  /** Null when the file does not exist yet. */
  readonly before: string | null
  readonly after: string
  /** Empty when the entry is there already. */
  readonly diff: readonly string[]
}

const MAX_FILE = 32 * 1024 * 1024

/** Reads and judges; changes nothing. Throws `host_file_invalid` or `host_file_unreadable`. */
export async function prepareInstallation(path: string, entry: Entry): Promise<Installation> {
  const file = await realpath(path).catch(() => path)
  const before = await readText(file)
  try {
    const after = setEntry(before ?? '', entry)
    return { file, before, after, diff: lineDiff(before ?? '', after) }
  } catch (error) {
    if (!(error instanceof DoorwardError)) throw error
    const { expected, got, next } = error
    throw new DoorwardError(error.code, error.message, {
      where: file,
      ...(expected === undefined ? {} : { expected }),
      ...(got === undefined ? {} : { got }),
      ...(next === undefined ? {} : { next }),
    })
  }
}

/**
 * Writes what was prepared and returns the path of the backup, null when there was no file. Throws `host_file_changed` when
 * the file is no longer the one that was shown. A crash leaves the old file, and at most a stray copy beside it.
 */
export async function install({ file, before, after }: Installation, now: Date): Promise<string | null> {
  if ((await readText(file)) !== before) {
    throw new DoorwardError('host_file_changed', 'the file has changed since it was read', {
      where: file,
      next: 'run the command again',
    })
  }
  await mkdir(dirname(file), { recursive: true })
  const backup = before === null ? null : await backUp(file, now)
  const mode = before === null ? 0o600 : (await stat(file)).mode & 0o777
  const temporary = join(dirname(file), `.doorward-${randomBytes(6).toString('hex')}.tmp`)
  try {
    const handle = await open(temporary, 'wx', mode)
    try {
      await handle.writeFile(utf8(after))
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, file)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  return backup
}

async function backUp(file: string, now: Date): Promise<string> {
  const stamp = now.toISOString().replaceAll(/[-:]|\.\d+/g, '')
  for (let i = 0; ; i++) {
    const backup = `${file}.doorward-backup-${stamp}${i === 0 ? '' : `-${i}`}`
    try {
      await copyFile(file, backup, constants.COPYFILE_EXCL)
      return backup
    } catch (error) {
      const taken = error instanceof Error && 'code' in error && error.code === 'EEXIST'
      if (!taken || i >= 99) throw error
    }
  }
}

async function readText(file: string): Promise<string | null> {
  try {
    const { size } = await stat(file)
    if (size > MAX_FILE)
      throw new DoorwardError('host_file_invalid', 'the file is too large for a configuration', {
        where: file,
        got: `${size} bytes`,
      })
    return fromUtf8(await readFile(file))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    if (error instanceof DoorwardError && error.code === 'host_file_invalid') throw error
    throw new DoorwardError('host_file_unreadable', 'the configuration of the host cannot be read', {
      where: file,
      got: error instanceof Error ? error.message : String(error),
    })
  }
}
