/** Everything that a writer of the record does to its disk, by name, before and after which it may be killed. */

import { dirname } from 'node:path'
import { fileDisk } from '@doorward/enforcement'
import type { CheckpointStore, FileContent, RecordDisk } from '@doorward/enforcement'

const effects = [
  'open',
  'write',
  'sync',
  'replace segment',
  'replace full tiles',
  'replace partial tiles',
  'replace checkpoint',
  'replace intention',
  'replace marker',
  'truncate',
  'remove segments',
  'remove intention',
  'remove partial tiles',
  'swap second copy',
] as const

type Effect = (typeof effects)[number]
export type RecordPoint = `${'before' | 'after'} ${Effect}`

export const recordPoints: readonly RecordPoint[] = effects.flatMap((effect): RecordPoint[] => [
  `before ${effect}`,
  `after ${effect}`,
])

/** Told of every point; whoever does not return has been killed there. */
export type AtPoint = (point: RecordPoint) => void

/** The disk with its points. */
export function pointedDisk(at: AtPoint): RecordDisk {
  const around = async <T>(effect: Effect, work: () => Promise<T>): Promise<T> => {
    at(`before ${effect}`)
    const result = await work()
    at(`after ${effect}`)
    return result
  }
  return {
    ...fileDisk,
    openAppend: (path, position) =>
      around('open', async () => {
        const file = await fileDisk.openAppend(path, position)
        return {
          write: (bytes) => around('write', () => file.write(bytes)),
          sync: () => around('sync', () => file.sync()),
          close: () => file.close(),
        }
      }),
    replace: (files, durability) => {
      const replaced = replacedBy(files)
      const work = () => fileDisk.replace(files, durability)
      return replaced === null ? work() : around(replaced, work)
    },
    truncate: (path, bytes) => around('truncate', () => fileDisk.truncate(path, bytes)),
    remove: (paths) => {
      const work = () => fileDisk.remove(paths)
      const [first = ''] = paths
      if (first.endsWith('.journal')) return around('remove segments', work)
      return first === '' ? work() : around('remove intention', work)
    },
    removeFolder: (path) => around('remove partial tiles', () => fileDisk.removeFolder(path)),
  }
}

function replacedBy(files: readonly FileContent[]): Effect | null {
  const path = files[0]?.path
  if (path === undefined) return null
  if (path.endsWith('.journal')) return 'replace segment'
  if (path.endsWith('/checkpoint')) return 'replace checkpoint'
  if (dirname(path).endsWith('.p')) return 'replace partial tiles'
  if (path.includes('/tile/')) return 'replace full tiles'
  return path.endsWith('expiring') ? 'replace intention' : 'replace marker'
}

/** The second copy with its points. */
export function pointedStore(store: CheckpointStore, at: AtPoint): CheckpointStore {
  return {
    newest: () => store.newest(),
    async compareAndSwap(expected, next) {
      at('before swap second copy')
      const swapped = await store.compareAndSwap(expected, next)
      at('after swap second copy')
      return swapped
    },
  }
}
