/** The record's disk on node:fs. */

import { constants, write } from 'node:fs'
import { mkdir, open, readdir, rename, rm, rmdir, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { FileHandle } from 'node:fs/promises'
import type { AppendFile, Durability, FileContent, RecordDisk } from './disk.ts'

/**
 * Where O_DSYNC means what fdatasync does, one call writes and syncs: half the ways to the thread pool and back.
 * Elsewhere it may stop short of the disk itself, which fdatasync does not.
 */
const syncsByWriting = process.platform === 'linux'

export const fileDisk: RecordDisk = {
  async openAppend(path, position) {
    const flags = syncsByWriting ? constants.O_RDWR | constants.O_DSYNC : 'r+'
    return appendTo(await open(path, flags), position)
  },

  async replace(files, durability) {
    // Names become visible only after every content is durable; one folder is synced once, however many files it got.
    const folders = await Promise.all(files.map((file) => writeBeside(file, durability)))
    await Promise.all(files.map((file) => rename(beside(file.path), file.path)))
    if (durability === 'durable') await Promise.all([...new Set(folders.flat())].map(syncFolder))
  },

  async truncate(path, bytes) {
    const file = await open(path, 'r+')
    try {
      await file.truncate(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
  },

  async overwrite(path, position, bytes) {
    const file = await open(path, 'r+')
    try {
      for (let done = 0; done < bytes.length;)
        done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten
      await file.sync()
    } finally {
      await file.close()
    }
  },

  async remove(paths) {
    for (const path of paths) await rm(path, { force: true })
    await Promise.all([...new Set(paths.map(dirname))].map(syncFolder))
  },

  async removeFolder(path) {
    try {
      // As its writer made it: nothing is looked at first.
      for (const name of await readdir(path)) await unlink(join(path, name))
      await rmdir(path)
    } catch {
      await rm(path, { recursive: true, force: true })
    }
  },
}

function appendTo(file: FileHandle, start: number): AppendFile {
  let position = start
  return {
    async write(bytes) {
      let done = 0
      while (done < bytes.length) {
        const written = await writeOnce(file.fd, bytes.subarray(done), position)
        done += written
        position += written
      }
    },
    sync: () => (syncsByWriting ? Promise.resolve() : file.datasync()),
    close: () => file.close(),
  }
}

/** Bytes written, perhaps not all. */
function writeOnce(fd: number, bytes: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, 0, bytes.length, position, (error, written) => (error === null ? resolve(written) : reject(error)))
  })
}

function beside(path: string): string {
  return `${path}.new`
}

/** Names the folders whose content changes with the file's name. */
async function writeBeside({ path, bytes }: FileContent, durability: Durability): Promise<readonly string[]> {
  const { file, folders } = await openBeside(path)
  try {
    await file.writeFile(bytes)
    if (durability !== 'derivable') await file.datasync()
  } finally {
    await file.close()
  }
  return folders
}

/** Most folders are there: one is made when it is missed. */
async function openBeside(path: string): Promise<{ readonly file: FileHandle; readonly folders: readonly string[] }> {
  const folder = dirname(path)
  try {
    return { file: await open(beside(path), 'w', 0o600), folders: [folder] }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const folders = await makeFolder(folder)
  return { file: await open(beside(path), 'w', 0o600), folders }
}

/** Makes a folder and names those whose content changes with a file in it: itself and the parents of new ones. */
async function makeFolder(path: string): Promise<readonly string[]> {
  const first = await mkdir(path, { recursive: true, mode: 0o700 })
  const changed = [path]
  if (first === undefined) return changed
  for (let at = path; at.length >= first.length; at = dirname(at)) changed.push(dirname(at))
  return changed
}

async function syncFolder(path: string): Promise<void> {
  // Windows cannot open a folder; its rename is durable with the file system's own journal.
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
