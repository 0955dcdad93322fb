/** What an authority's own log says has happened since the copy of the store that was put back. */

import { compareStates, DoorwardError, epochMillis } from '@doorward/core'
import type { EntryEnvelope, EntryKind, EpochMillis } from '@doorward/core'
import { segmentsOf } from '../audit/log-folder.ts'
import { readBack } from '../audit/read-back.ts'
import type { AuthorityContext } from '../authority/context.ts'
import { restore, restoreMarginMilliseconds, restoreStep } from '../authority/restore.ts'
import type { RestoreSource, RestoreStep } from '../authority/restore.ts'
import type { OlderStore } from './authority-memory.ts'

export interface RestoreParts {
  readonly recordFolder: string
  readonly older: OlderStore
  readonly warn: (code: string, text: string) => void
}

/** Puts the store right by our log, and says what that meant; after which sequence trust states come. */
export async function putRight(
  context: AuthorityContext,
  { recordFolder, older, warn }: RestoreParts,
): Promise<number> {
  const { epoch, floor, again, forgotten } = await restore(context, await readRestore(recordFolder, older))
  const done = again.length === 0 ? 'nothing had to be done again' : `done again: ${listed(again)}`
  warn('store_mended', `the store was put right by the log of this authority, and epoch ${epoch} has begun; ${done}`)
  if (forgotten.length > 0) {
    const text = `joined since the copy was made, and forgotten by it: ${listed(forgotten)}; each of them has to join anew`
    warn('join_again', text)
  }
  return floor
}

const MAX_LISTED = 20

function listed(names: readonly string[]): string {
  const rest = names.length - MAX_LISTED
  return `${names.slice(0, MAX_LISTED).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`
}

const kinds: readonly EntryKind[] = ['trust', 'admin', 'issuance', 'detection']

/**
 * Reads back to the state that the store holds, and a little further. Throws `restore_expired` when the log does not hold
 * entries that old any more, and the codes of reading the log.
 */
async function readRestore(recordFolder: string, { held, newest }: OlderStore): Promise<RestoreSource> {
  const read: (readonly EntryEnvelope[])[] = []
  let since: EpochMillis | null = null
  for await (const { entries, firstTime } of readBack(recordFolder, kinds)) {
    read.unshift(entries)
    since ??= timeOf(entries, held)
    if (since !== null && firstTime !== null && firstTime < since - restoreMarginMilliseconds) break
  }
  if (since === null && ((await segmentsOf(recordFolder))[0]?.first ?? 0) > 0) throw expired(recordFolder)
  const from = since === null ? epochMillis(0) : epochMillis(since - restoreMarginMilliseconds)
  const steps: RestoreStep[] = []
  for (const entry of read.flat()) {
    const step = entry.time < from ? null : restoreStep(entry)
    if (step !== null) steps.push(step)
  }
  return { held, newest, steps }
}

function expired(where: string): DoorwardError {
  return new DoorwardError('restore_expired', 'the store is older than what the log of this authority still holds', {
    where,
    next: 'put a newer copy of the store back: what has happened since cannot be done again from the log',
  })
}

/** When the newest state that the store still knows was stored; null when it is not among the entries. */
function timeOf(entries: readonly EntryEnvelope[], held: OlderStore['held']): EpochMillis | null {
  const known = entries.findLast(({ body: { change, delegation, sequence } }) => {
    if (change !== 'state.stored' || typeof delegation !== 'number' || typeof sequence !== 'number') return false
    return compareStates({ delegation, sequence }, held) !== 'newer'
  })
  return known?.time ?? null
}
