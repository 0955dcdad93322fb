/** Who acts as which authority. One file is one machine, so the caller's clock is the store's. */

import { DoorwardError, isDoorwardError, leaseMilliseconds, placesMilliseconds } from '@doorward/core'
import type { AuthorityPlace, EpochMillis } from '@doorward/core'
import type { AuthorityEntry, LeaseRequest, LeaseStore } from '../../authority/ports.ts'
import { authorityOf } from '../authority-rows.ts'
import { documentOrNull, documentText, text } from '../row.ts'
import type { Row } from '../row.ts'
import type { SqliteDatabase } from './database.ts'

function entryOf(row: Row, now: EpochMillis): AuthorityEntry {
  const entry = authorityOf(row)
  return { ...entry, live: now < entry.seenAt + leaseMilliseconds && text(row, 'holder') !== '' }
}

/** Part of a larger transaction. */
export function livePlaces(database: SqliteDatabase, now: EpochMillis): readonly AuthorityPlace[] {
  return database
    .all(
      'SELECT place FROM authorities WHERE place IS NOT NULL AND seen_at > ? ORDER BY name',
      now - placesMilliseconds,
    )
    .map((row) => documentOrNull(row, 'place') as AuthorityPlace)
}

interface Held {
  readonly instance: string
  readonly holder: string
  readonly fence: number
}

export function sqliteLeases(database: SqliteDatabase): LeaseStore {
  let held: Held | null = null
  const holds = ({ instance, holder, fence }: Held) =>
    database.one(
      'SELECT 1 FROM authorities WHERE instance = ? AND holder = ? AND fence = ?',
      instance,
      holder,
      fence,
    ) !== null
  return {
    take: async (request) => {
      const holder = `${request.home} ${request.holder}`
      const taken = await database.write(() => take(database, request, holder))
      if (taken.outcome !== 'taken') return taken
      const mine: Held = { instance: request.instance, holder, fence: taken.fence }
      held = mine
      database.guard = () => {
        if (!holds(mine)) throw lost(mine)
      }
      return taken
    },
    renew: async (now, entry) => {
      const mine = held
      try {
        return mine !== null && (await database.write(() => renew(database, mine, { now, entry })))
          ? { storeTime: now }
          : null
      } catch (error) {
        // The guard of every write comes first.
        if (isDoorwardError(error, 'lease_lost')) return null
        throw error
      }
    },
    release: async () => {
      const mine = held
      if (mine === null) return
      await database.write(() => {
        database.run(
          "UPDATE authorities SET holder = '' WHERE instance = ? AND holder = ? AND fence = ?",
          mine.instance,
          mine.holder,
          mine.fence,
        )
      })
      held = null
    },
    list: (now) =>
      database.read(() =>
        database.all('SELECT * FROM authorities ORDER BY started_at, name').map((row) => entryOf(row, now)),
      ),
    forget: (name, now) =>
      database.write(() => {
        const row = database.one('SELECT * FROM authorities WHERE name = ?', name)
        if (row === null || entryOf(row, now).live) return false
        database.run('DELETE FROM authorities WHERE name = ?', name)
        return true
      }),
  }
}

function take(
  database: SqliteDatabase,
  { instance, name, home, program, now }: LeaseRequest,
  holder: string,
): Awaited<ReturnType<LeaseStore['take']>> {
  const row = database.one('SELECT * FROM authorities WHERE instance = ?', instance)
  const named = database.one('SELECT instance FROM authorities WHERE name = ?', name)
  if (named !== null && text(named, 'instance') !== instance) return { outcome: 'name_taken' }
  const before = row === null ? null : entryOf(row, now)
  if (row !== null && before?.live === true && !text(row, 'holder').startsWith(`${home} `))
    return { outcome: 'held', remainingMilliseconds: before.seenAt + leaseMilliseconds - now }
  const fence = (before?.fence ?? 0) + 1
  database.run(
    `INSERT INTO authorities (instance, name, fence, holder, program, started_at, seen_at) VALUES (?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (instance) DO UPDATE SET
       name = excluded.name, fence = excluded.fence, holder = excluded.holder, program = excluded.program,
       started_at = excluded.started_at, seen_at = excluded.seen_at`,
    instance,
    name,
    fence,
    holder,
    program,
    now,
    now,
  )
  return { outcome: 'taken', fence, storeTime: now }
}

function renew(
  database: SqliteDatabase,
  { instance, holder, fence }: Held,
  { now, entry }: { readonly now: EpochMillis; readonly entry: Parameters<LeaseStore['renew']>[1] },
): boolean {
  const changed = database.run(
    'UPDATE authorities SET seen_at = max(seen_at, ?), place = ?, trust_key = ?, trust_keys = ?, log = ? WHERE instance = ? AND holder = ? AND fence = ?',
    now,
    documentText(entry.place),
    documentText(entry.trustKey),
    documentText(entry.trustKeys),
    documentText(entry.log),
    instance,
    holder,
    fence,
  )
  return changed === 1
}

function lost({ instance, fence }: Held): DoorwardError {
  return new DoorwardError('lease_lost', 'another process acts as this authority', {
    expected: `fence ${fence} of ${instance}`,
    next: 'stop one of the two; each authority needs a state folder of its own',
  })
}
