/** The entries by which a log says that it no longer has what others of its entries say. */

import type { AbsentReason } from './absent-frame.ts'
import type { EntryEnvelope, EntryKind } from './entry.ts'

/** The `change` of the entries, which are of kind `admin`: a person has decided. */
export const REDACT_CHANGE = 'record.redact'
export const ACCEPT_DAMAGE_CHANGE = 'record.damage_accepted'

/**
 * Kinds of entries that may be redacted: what callers did and said. The others are what the log itself, its writer at a
 * start, and whoever has to explain an absence rely on.
 */
export const REDACTABLE_KINDS = [
  'decision',
  'outcome',
  'refusals',
  'detection',
  'approval',
] as const satisfies readonly EntryKind[]

const redactable: ReadonlySet<EntryKind> = new Set(REDACTABLE_KINDS)

export function isRedactable(kind: EntryKind): boolean {
  return redactable.has(kind)
}

/** The entries from `first` up to `end`, exclusive, of which an entry says that their payloads are gone. */
export interface Absence {
  readonly reason: AbsentReason
  readonly first: number
  readonly end: number
}

/** What an entry says of others; null for one that says nothing of the kind. */
export function absenceSaidBy({ kind, body }: EntryEnvelope): Absence | null {
  const { change, index, first, end } = body
  if (kind !== 'admin') return null
  if (change === REDACT_CHANGE && isIndex(index)) return { reason: 'redacted', first: index, end: index + 1 }
  if (change === ACCEPT_DAMAGE_CHANGE && isIndex(first) && isIndex(end)) return { reason: 'damaged', first, end }
  return null
}

function isIndex(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
