/**
 * The index of one log: which entries there are of whom, where, and by which decision. It is derived from the journal,
 * bound to one log by its origin, its key and a root, and can be thrown away at any time: it says where to look, and
 * whatever is found there must be what it says.
 */

import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { SQLInputValue, StatementSync } from 'node:sqlite'
import { DoorwardError, epochMillis, isEntryKind } from '@doorward/core'
import type { EpochMillis } from '@doorward/core'
import { ACTOR, PRINCIPAL, expireStatements, forgetNames, indexSchema, selectionOf } from './index-selection.ts'
import type { Selection, SelectionParts } from './index-selection.ts'
import type { JournalPlace } from './log-set-journal.ts'
import { matchesId } from './query-filter.ts'
import type { EntryFacts, QueryFilter } from './query-filter.ts'

/** How far the index has come, and in which log. */
export interface IndexCursor {
  readonly origin: string
  readonly vkey: string
  /** Entries that it knows: all before this one. */
  readonly size: number
  /** Root of the tree over these. */
  readonly root: Uint8Array
  /** The first entry that the journal held when the index was begun. */
  readonly first: number
}

export interface IndexRow {
  readonly index: number
  readonly time: EpochMillis
  /** Null where the payload is absent. */
  readonly facts: EntryFacts | null
  readonly place: JournalPlace | null
}

const FILE = 'index.sqlite'
const BUSY_MILLISECONDS = 5000

/** All methods throw `index_unusable` for a damaged file, `index_busy` and `index_unavailable`. */
export class IndexFile {
  readonly #database: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  private constructor(database: DatabaseSync) {
    this.#database = database
  }

  /** Opens the index in a folder of its own, or begins it. */
  static open(folder: string): IndexFile {
    return guarded(folder, () => {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      const path = join(folder, FILE)
      closeSync(openSync(path, 'a', 0o600))
      const database = new DatabaseSync(path, { timeout: BUSY_MILLISECONDS })
      try {
        // What is lost in a crash is derived again; what a redaction takes away is gone.
        database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON')
        database.exec(indexSchema)
        const file = new IndexFile(database)
        file.#check()
        return file
      } catch (error) {
        database.close()
        throw error
      }
    })
  }

  /** Removes an index, whatever is left of it. */
  static remove(folder: string): void {
    guarded(folder, () => {
      for (const name of [FILE, `${FILE}-wal`, `${FILE}-shm`]) rmSync(join(folder, name), { force: true })
    })
  }

  #check(): void {
    if (this.#row('PRAGMA quick_check(1)')?.['quick_check'] !== 'ok') throw unusable('a whole file')
    // One statement, so that another process cannot go on in between.
    const row = this.#row(`SELECT coalesce((SELECT size FROM cursor), 0) AS size, count(*) AS count,
      coalesce(max(idx), -1) + 1 AS next FROM entry`)
    const { size, count, next } = row ?? {}
    if (size !== count || size !== next) throw unusable(`a row for each of ${Number(size)} entries`)
  }

  close(): void {
    this.#database.close()
  }

  /** Null in an index that was just begun. */
  cursor(): IndexCursor | null {
    return guarded(FILE, () => {
      const row = this.#row('SELECT origin, vkey, size, root, first FROM cursor')
      if (row === undefined) return null
      const { origin, vkey, size, root, first } = row
      if (typeof origin !== 'string' || typeof vkey !== 'string' || !(root instanceof Uint8Array))
        throw unusable('a cursor')
      return { origin, vkey, root, size: Number(size), first: Number(first) }
    })
  }

  /** Adds the rows after `from`, and moves on to `cursor`. False when another process has done so meanwhile: look again. */
  append(rows: readonly IndexRow[], { from, to }: { readonly from: number; readonly to: IndexCursor }): boolean {
    return guarded(FILE, () => {
      this.#database.exec('BEGIN IMMEDIATE')
      try {
        const stands = Number(this.#row('SELECT size FROM cursor')?.['size'] ?? 0) === from
        if (stands) {
          for (const row of rows) this.#add(row)
          const values = [to.origin, to.vkey, to.size, to.root, to.first]
          this.#run(
            'INSERT OR REPLACE INTO cursor (id, origin, vkey, size, root, first) VALUES (1, ?, ?, ?, ?, ?)',
            ...values,
          )
        }
        this.#database.exec('COMMIT')
        return stands
      } catch (error) {
        this.#database.exec('ROLLBACK')
        throw error
      }
    })
  }

  #add({ index, time, facts, place }: IndexRow): void {
    const {
      kind = null,
      decision = null,
      reason = null,
      server = null,
      tool = null,
      action = null,
      of = null,
    } = facts ?? {}
    const names = [kind, decision, reason, server, tool, action].map((text) => this.#intern(text))
    const { segment = null, offset = null } = place ?? {}
    this.#run('INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', index, time, ...names, of, segment, offset)
    for (const id of facts?.principals ?? []) this.#addParty(id, PRINCIPAL, index)
    for (const id of facts?.actors ?? []) this.#addParty(id, ACTOR, index)
  }

  #addParty(id: string, role: number, index: number): void {
    this.#run('INSERT INTO party VALUES (?, ?, ?)', this.#intern(id), role, index)
  }

  /** Forgets what an entry said, which the journal has forgotten. */
  forget(index: number): void {
    guarded(FILE, () => {
      this.#run('DELETE FROM party WHERE idx = ?', index)
      this.#run(
        'UPDATE entry SET kind = NULL, decision = NULL, reason = NULL, server = NULL, tool = NULL, action = NULL, "of" = NULL WHERE idx = ?',
        index,
      )
    })
  }

  /** Forgets what the entries before `first` said: they have expired. */
  expire(first: number): void {
    guarded(FILE, () => {
      this.#database.exec('BEGIN IMMEDIATE')
      try {
        for (const sql of expireStatements) this.#run(sql, first)
        this.#database.exec(forgetNames)
        this.#run('UPDATE cursor SET first = ?', first)
        this.#database.exec('COMMIT')
      } catch (error) {
        this.#database.exec('ROLLBACK')
        throw error
      }
    })
  }

  /** Rows that may match, newest first, before the entry `below`. */
  find(filter: QueryFilter, { below, limit }: { readonly below: number; readonly limit: number }): readonly IndexRow[] {
    return guarded(FILE, () => {
      const selection = this.#select(filter)
      if (selection === null) return []
      const from = this.#firstSince(filter.since) ?? 0
      const to = Math.min(below, this.#firstSince(filter.until) ?? below)
      const rows = this.#statement(selection.sql).all(...selection.values, from, to, limit)
      return rows.map((row) => this.#rowOf(row))
    })
  }

  /** The outcome of a decision; null when there is none yet. */
  outcomeOf(index: number): IndexRow | null {
    return guarded(FILE, () => {
      const row = this.#row('SELECT * FROM entry WHERE "of" = ? ORDER BY idx LIMIT 1', index)
      return row === undefined ? null : this.#rowOf(row)
    })
  }

  #select(filter: QueryFilter): Selection | null {
    const parts: SelectionParts = {
      idOf: (text) => this.#idOf(text),
      idsUnder: (pattern) => {
        this.#database.exec('CREATE TEMP TABLE IF NOT EXISTS wanted (id INTEGER PRIMARY KEY); DELETE FROM wanted')
        const head = `spiffe://${pattern.trustDomain}/`
        const named = this.#statement('SELECT id, text FROM name WHERE text >= ? AND text < ?')
        // U+0030 follows the slash.
        for (const { id, text } of named.all(head, `spiffe://${pattern.trustDomain}0`))
          if (matchesId(pattern, String(text))) this.#run('INSERT INTO wanted VALUES (?)', Number(id))
      },
    }
    return selectionOf(filter, parts)
  }

  /** The first entry that is not older than `time`: times never decrease along the log. Null: any. */
  #firstSince(time: EpochMillis | null): number | null {
    if (time === null) return null
    let [low, high] = [0, Number(this.#row('SELECT size FROM cursor')?.['size'] ?? 0)]
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (Number(this.#row('SELECT time FROM entry WHERE idx = ?', middle)?.['time']) < time) low = middle + 1
      else high = middle
    }
    return low
  }

  #rowOf(row: Row): IndexRow {
    const { idx, time, segment, offset } = row
    const index = Number(idx)
    const place = segment === null ? null : { segment: Number(segment), offset: Number(offset) }
    return { index, time: epochMillis(Number(time)), facts: this.#factsOf(row, index), place }
  }

  #factsOf(row: Row, index: number): EntryFacts | null {
    const text = (column: string) => this.#textOf(row[column])
    const [kind, decision] = [text('kind'), text('decision')]
    if (kind === null) return null
    if (!isEntryKind(kind)) throw unusable('a kind of entries')
    return {
      kind,
      decision: decision === 'allow' || decision === 'deny' ? decision : null,
      reason: text('reason'),
      server: text('server'),
      tool: text('tool'),
      action: text('action'),
      of: row['of'] === null ? null : Number(row['of']),
      principals: this.#partiesOf(index, PRINCIPAL),
      actors: this.#partiesOf(index, ACTOR),
    }
  }

  #partiesOf(index: number, role: number): readonly string[] {
    const sql = 'SELECT name.text FROM party JOIN name ON name.id = party.name WHERE party.idx = ? AND party.role = ?'
    return this.#statement(sql)
      .all(index, role)
      .map(({ text }) => String(text))
      .toSorted()
  }

  #intern(text: string | null): number | null {
    if (text === null) return null
    const known = this.#idOf(text)
    return known ?? Number(this.#statement('INSERT INTO name (text) VALUES (?)').run(text).lastInsertRowid)
  }

  #idOf(text: string): number | null {
    const id = this.#row('SELECT id FROM name WHERE text = ?', text)?.['id']
    return id === undefined ? null : Number(id)
  }

  #textOf(id: unknown): string | null {
    if (id === null || id === undefined) return null
    const text = this.#row('SELECT text FROM name WHERE id = ?', Number(id))?.['text']
    if (typeof text !== 'string') throw unusable('a name for each number')
    return text
  }

  #run(sql: string, ...values: readonly SQLInputValue[]): void {
    this.#statement(sql).run(...values)
  }

  #row(sql: string, ...values: readonly SQLInputValue[]): Row | undefined {
    return this.#statement(sql).get(...values)
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    const prepared = this.#database.prepare(sql)
    this.#statements.set(sql, prepared)
    return prepared
  }
}

type Row = Readonly<Record<string, unknown>>

function unusable(expected: string): DoorwardError {
  return new DoorwardError('index_unusable', 'the index is damaged', { expected })
}

/** Primary result codes of SQLite: busy and locked; and what is wrong with the disk rather than with the file. */
const BUSY = new Set([5, 6])
const DISK = new Set([3, 8, 10, 13, 14])

/** Tells what SQLite and the file system throw in our words. */
function guarded<T>(where: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    const { code, errcode } = cause as { readonly code?: unknown; readonly errcode?: unknown }
    if (cause instanceof DoorwardError || typeof code !== 'string') throw cause
    const primary = typeof errcode === 'number' ? errcode & 0xff : 0
    if (BUSY.has(primary)) {
      throw new DoorwardError('index_busy', 'another process is writing the index', { where, next: 'try again', cause })
    }
    if (code === 'ERR_SQLITE_ERROR' && !DISK.has(primary)) {
      throw new DoorwardError('index_unusable', 'the index is damaged', { where, cause })
    }
    throw new DoorwardError('index_unavailable', 'the index cannot be written', {
      where,
      next: 'ask as the user whose log it is, and check that the disk has room',
      cause,
    })
  }
}
