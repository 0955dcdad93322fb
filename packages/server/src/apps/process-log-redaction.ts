/** The process logs of this machine name what was called, beside the record: a redacted call is taken out of them too. */

import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { utf8 } from '@doorward/core'

export interface ProcessLogs {
  /** Lines that were blanked. */
  readonly lines: number
  /** Files that are too long to be looked through here. */
  readonly unread: readonly string[]
}

const MAX_BYTES = 128 * 1024 * 1024
const NEWLINE = 0x0a
const SPACE = 0x20

/** Blanks the lines about a decision in `folder`, in place: whoever appends to a file is not disturbed. */
export async function forgetInProcessLogs(folder: string, decision: string): Promise<ProcessLogs> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  let lines = 0
  const unread: string[] = []
  for (const entry of entries.filter((each) => each.isFile())) {
    const path = join(folder, entry.name)
    const blanked = await forgetIn(path, decision)
    if (blanked === null) unread.push(path)
    else lines += blanked
  }
  return { lines, unread }
}

/** Null for a file that is too long. */
async function forgetIn(path: string, decision: string): Promise<number | null> {
  const named = JSON.stringify(decision)
  const instead = utf8(JSON.stringify({ decision, redacted: true }))
  const file = await open(path, 'r+')
  try {
    if ((await file.stat()).size > MAX_BYTES) return null
    const bytes = await file.readFile()
    let lines = 0
    for (let at = bytes.indexOf(named); at >= 0; at = bytes.indexOf(named, at)) {
      const start = bytes.lastIndexOf(NEWLINE, at) + 1
      const next = bytes.indexOf(NEWLINE, at)
      const end = next < 0 ? bytes.length : next
      const blank = Buffer.alloc(end - start, SPACE)
      if (instead.length <= blank.length) blank.set(instead)
      await file.write(blank, 0, blank.length, start)
      lines += 1
      at = end
    }
    if (lines > 0) await file.sync()
    return lines
  } finally {
    await file.close()
  }
}
