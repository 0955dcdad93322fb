/** The state of exports, and of the webhooks of alerts, as files beside the log: `<state folder of the part>/exports/<name>.json`. */

import { join } from 'node:path'
import { DoorwardError, fromUtf8, utf8 } from '@doorward/core'
import { formatState, parseState } from '../audit/export/state.ts'
import type { ExportState, ExportStates } from '../audit/export/state.ts'
import { makePrivateFolder, readIfPresent, writeDurably } from '../secrets/durable-file.ts'

const MAX_BYTES = 16 * 1024

/** Throws `export_state` when what is kept cannot be read: it is not guessed what was delivered. */
export function fileExportStates(stateDir: string, name: string, kind: 'exports' | 'alerts' = 'exports'): ExportStates {
  const folder = join(stateDir, kind)
  const path = join(folder, `${name}.json`)
  return {
    read: () => readState(path),
    async write(state) {
      await makePrivateFolder(folder)
      await writeDurably(path, utf8(formatState(state)))
    },
  }
}

async function readState(path: string): Promise<ExportState | null> {
  const bytes = await readIfPresent(path, MAX_BYTES)
  if (bytes === null) return null
  const state = parseState(fromUtf8(bytes))
  if (state !== null) return state
  throw new DoorwardError('export_state', 'the state of an export cannot be read', {
    where: path,
    next: 'remove the file: the export then begins anew, and the receiver gets everything once more',
  })
}
