/** Events as lines of JSON in a file, for a program that reads files. */

import { constants } from 'node:fs'
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { DeliveryError } from './sink.ts'
import type { ExportSink } from './sink.ts'

export interface FileOptions {
  readonly dir: string
  /** Log whose file it is: `<origin with + for />.jsonl`. */
  readonly origin: string
  /** A file that is longer is put aside as `<name>.<index of its last event>`. */
  readonly rotateBytes: number
  /** So many files that were put aside are kept. */
  readonly keep: number
}

/** Longer than any line. */
const TAIL_BYTES = 2 * 1024 * 1024
const INDEX_DIGITS = 16

/** An fsync of file and folder acknowledges. A line that was cut off by a crash is taken back before the next is written. */
export function fileSink(options: FileOptions): ExportSink {
  const name = `${options.origin.replaceAll('/', '+')}.jsonl`
  const path = join(options.dir, name)
  let file: { readonly handle: FileHandle; size: number } | null = null
  const close = async (): Promise<void> => {
    const closing = file
    file = null
    await closing?.handle.close().catch(() => undefined)
  }
  return {
    async deliver(batch) {
      try {
        file ??= await openWhole(options.dir, path)
        const bytes = Buffer.from(batch.map(({ json }) => `${json}\n`).join(''))
        await writeAll(file.handle, bytes, file.size)
        await file.handle.sync()
        file.size += bytes.length
        if (file.size > options.rotateBytes) {
          await close()
          await putAside(options, name, batch.at(-1)?.index ?? 0)
        }
        return { rejected: 0 }
      } catch (error) {
        // After a failed write or sync nothing is known about the descriptor.
        await close()
        const got = error instanceof Error ? error.message : String(error)
        throw new DeliveryError('export_file', 'the file cannot be written', { where: path, got })
      }
    },
    close,
  }
}

/** Opened, and ending with a whole line. */
async function openWhole(dir: string, path: string): Promise<{ readonly handle: FileHandle; size: number }> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const handle = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
  try {
    const { size } = await handle.stat()
    const start = Math.max(0, size - TAIL_BYTES)
    const tail = Buffer.alloc(size - start)
    await handle.read(tail, 0, tail.length, start)
    const end = start + tail.lastIndexOf(0x0a) + 1
    if (end < size) await handle.truncate(end)
    await syncFolder(dir)
    return { handle, size: end }
  } catch (error) {
    await handle.close()
    throw error
  }
}

async function writeAll(handle: FileHandle, bytes: Buffer, start: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, start + done)
    done += bytesWritten
  }
}

async function putAside({ dir, keep }: FileOptions, name: string, index: number): Promise<void> {
  await rename(join(dir, name), join(dir, `${name}.${String(index).padStart(INDEX_DIGITS, '0')}`))
  await syncFolder(dir)
  const aside = (await readdir(dir)).filter((one) => one.startsWith(`${name}.`)).toSorted()
  for (const old of aside.slice(0, Math.max(0, aside.length - keep))) await rm(join(dir, old), { force: true })
}

async function syncFolder(dir: string): Promise<void> {
  // Windows cannot open a folder.
  if (process.platform === 'win32') return
  const folder = await open(dir, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
