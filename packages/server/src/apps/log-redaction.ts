/** Redactions of a log by the process that writes it. */

import { dirname, join } from 'node:path'
import { toBase64 } from '@doorward/core'
import { Redaction } from '@doorward/enforcement'
import type { FileRecord } from '@doorward/enforcement'
import { sha256 } from '@doorward/sdk'
import { IndexFile } from '../audit/index-file.ts'
import type { RedactionPort } from '../transports/redaction-route.ts'

/** Where the index of a log lies, beside it. */
export function indexFolderOf(recordFolder: string): string {
  return join(dirname(recordFolder), 'record-index')
}

/** Finishes what a crash has interrupted. Throws the codes of reading the log. */
export async function openRedaction(record: FileRecord, recordFolder: string): Promise<Redaction> {
  const redaction = new Redaction({
    folder: recordFolder,
    origin: record.stats().origin,
    record,
    sha256,
    // Derived, and made anew by the next question: nothing of it is worth looking through.
    forget: () => IndexFile.remove(indexFolderOf(recordFolder)),
  })
  await redaction.resume()
  return redaction
}

export function redactionPort(redaction: Redaction, record: Pick<FileRecord, 'stats'>): RedactionPort {
  return {
    origin: record.stats().origin,
    async redact(request) {
      const { entry, digest } = await redaction.redact(request)
      return { entry, digest: toBase64(digest) }
    },
  }
}
