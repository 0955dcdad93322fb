/** A record that forgets: for the share of the decision without it. It exists for comparison, and lives here alone. */

import type { OpenRecord } from '@doorward/sdk'
import { FileRecord } from '../../../packages/enforcement/src/record/file-record.ts'
import { acknowledge } from '../../../packages/enforcement/src/record/reference.ts'

type Log = OpenRecord['log']

/** As the log, but what is appended is on no disk and in no tree. */
export function quickRecord(log: Log): Log {
  const { origin } = log.stats()
  let index = 0
  const append: Log['append'] = () => Promise.resolve(acknowledge(origin, index++))
  const stats: Log['stats'] = () => log.stats()
  return Object.create(FileRecord.prototype, { append: { value: append }, stats: { value: stats } }) as Log
}
