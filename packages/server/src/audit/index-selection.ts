/** The index in SQL: its tables, and how a filter selects from them. Pure. */

import type { SpiffeIdPattern } from '@doorward/core'
import type { QueryFilter } from './query-filter.ts'

/** Roles of a party in an entry. */
export const PRINCIPAL = 0
export const ACTOR = 1

/** Texts stand once, in `name`; the columns of `entry` hold their numbers, and null where an entry says nothing of it. */
export const indexSchema = `
CREATE TABLE IF NOT EXISTS cursor (id INTEGER PRIMARY KEY CHECK (id = 1), origin TEXT NOT NULL, vkey TEXT NOT NULL,
  size INTEGER NOT NULL, root BLOB NOT NULL, first INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS name (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS entry (idx INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind INTEGER, decision INTEGER,
  reason INTEGER, server INTEGER, tool INTEGER, action INTEGER, "of" INTEGER, segment INTEGER, offset INTEGER) STRICT;
CREATE TABLE IF NOT EXISTS party (name INTEGER NOT NULL, role INTEGER NOT NULL, idx INTEGER NOT NULL,
  PRIMARY KEY (name, role, idx)) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS party_of_entry ON party (idx);
CREATE INDEX IF NOT EXISTS entry_reason ON entry (reason);
CREATE INDEX IF NOT EXISTS entry_tool ON entry (tool) WHERE tool IS NOT NULL;
CREATE INDEX IF NOT EXISTS entry_of ON entry ("of") WHERE "of" IS NOT NULL;
`

const nothingSaid =
  'kind = NULL, decision = NULL, reason = NULL, server = NULL, tool = NULL, action = NULL, "of" = NULL, segment = NULL, offset = NULL'

/** Each with one parameter, the first entry that is still held: what those before it said goes, their times stay. */
export const expireStatements = [
  'DELETE FROM party WHERE idx < ?',
  `UPDATE entry SET ${nothingSaid} WHERE idx < ? AND segment IS NOT NULL`,
] as const

/** Texts that no entry says any more. */
export const forgetNames = `DELETE FROM name WHERE id NOT IN (SELECT name FROM party
  ${['kind', 'decision', 'reason', 'server', 'tool', 'action'].map((column) => `UNION SELECT ${column} FROM entry WHERE ${column} IS NOT NULL`).join(' ')})`

export interface Selection {
  /** Ends in three parameters: the first entry, the end, and how many rows. */
  readonly sql: string
  readonly values: readonly number[]
}

export interface SelectionParts {
  /** The number of a text; null when no entry has it. */
  readonly idOf: (text: string) => number | null
  /** Puts the numbers of the names under a pattern into the table \`wanted\`. */
  readonly idsUnder: (pattern: SpiffeIdPattern) => void
}

const COLUMNS = ['kind', 'decision', 'reason', 'server', 'tool', 'action'] as const

/** What may match; null: nothing does. Time is left to the range of entries. */
export function selectionOf(filter: QueryFilter, { idOf, idsUnder }: SelectionParts): Selection | null {
  const conditions: string[] = []
  const values: number[] = []
  for (const column of COLUMNS) {
    const text = filter[column]
    if (text === null) continue
    const id = idOf(text)
    if (id === null) return null
    conditions.push(`${column} = ?`)
    values.push(id)
  }
  if (filter.delegation !== null) {
    const id = idOf(filter.delegation)
    if (id === null) return null
    conditions.push(`idx IN (SELECT idx FROM party WHERE name = ? AND role = ${ACTOR})`)
    values.push(id)
  }
  if (filter.user !== null) {
    const id = idOf(filter.user)
    if (id === null) return null
    conditions.push(`idx IN (SELECT idx FROM party WHERE name = ? AND role = ${PRINCIPAL})`)
    values.push(id)
  }
  if (filter.principal !== null) {
    idsUnder(filter.principal)
    // Whoever stands between is one of those who called.
    conditions.push('idx IN (SELECT idx FROM party WHERE name IN (SELECT id FROM wanted))')
  }
  if (filter.id !== null) {
    conditions.push('idx = ?')
    values.push(filter.id.index)
  } else if (filter.kind === null) conditions.push('"of" IS NULL')
  conditions.push('idx >= ?', 'idx < ?')
  return { sql: `SELECT * FROM entry WHERE ${conditions.join(' AND ')} ORDER BY idx DESC LIMIT ?`, values }
}
