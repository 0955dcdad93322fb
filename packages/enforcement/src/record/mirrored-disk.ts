/** A disk that writes the journal's segments in two places at once: an operation has succeeded when both have. */

import { join, relative, sep } from 'node:path'
import type { AppendFile, RecordDisk } from './disk.ts'

export interface MirrorPlaces {
  /** Folder of the log's segments. */
  readonly from: string
  /** Folder of the second sink's. */
  readonly to: string
  /** Makes what is in the second sink what is in the log, after the log was cut. */
  readonly align: () => Promise<void>
}

/** Both sides of an operation have ended before it resolves or rejects: none goes on behind the back of a repair. */
export function mirroredDisk(disk: RecordDisk, { from, to, align }: MirrorPlaces): RecordDisk {
  const mirrored = (path: string): string | null => {
    const name = relative(from, path)
    return name === '' || name.startsWith('..') || name.includes(sep) ? null : join(to, name)
  }
  return {
    async openAppend(path, position) {
      const second = mirrored(path)
      if (second === null) return disk.openAppend(path, position)
      return openBoth(disk.openAppend(path, position), disk.openAppend(second, position))
    },

    async replace(files, durability) {
      const seconds = files.flatMap(({ path, bytes }) => {
        const second = mirrored(path)
        return second === null ? [] : [{ path: second, bytes }]
      })
      if (seconds.length === 0) return disk.replace(files, durability)
      await both(disk.replace(files, durability), disk.replace(seconds, durability))
    },

    async truncate(path, bytes) {
      await disk.truncate(path, bytes)
      if (mirrored(path) !== null) await align()
    },

    async overwrite(path, position, bytes) {
      const second = mirrored(path)
      const first = disk.overwrite(path, position, bytes)
      await (second === null ? first : both(first, disk.overwrite(second, position, bytes)))
    },

    // What expires from the log is the owner's to delete in the sink.
    remove: (paths) => disk.remove(paths),

    removeFolder: (path) => disk.removeFolder(path),
  }
}

async function openBoth(first: Promise<AppendFile>, second: Promise<AppendFile>): Promise<AppendFile> {
  const opened = await Promise.allSettled([first, second])
  const files = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  const failed = opened.find((each) => each.status === 'rejected')
  if (failed !== undefined) {
    await Promise.allSettled(files.map((file) => file.close()))
    throw failed.reason
  }
  const [a, b] = files as [AppendFile, AppendFile]
  return {
    write: (bytes) => both(a.write(bytes), b.write(bytes)),
    sync: () => both(a.sync(), b.sync()),
    close: () => both(a.close(), b.close()),
  }
}

async function both(first: Promise<void>, second: Promise<void>): Promise<void> {
  for (const each of await Promise.allSettled([first, second])) if (each.status === 'rejected') throw each.reason
}
