/** Who acts as which authority, by the database's clock: those of the authorities may differ. */

import { DoorwardError, isDoorwardError, leaseMilliseconds, placesMilliseconds } from '@doorward/core'
import type { AuthorityPlace, EpochMillis } from '@doorward/core'
import type { AuthorityEntry, LeaseRequest, LeaseStore } from '../../authority/ports.ts'
import { authorityOf } from '../authority-rows.ts'
import { documentOrNull, documentText, millis, text } from '../row.ts'
import type { Row } from '../row.ts'
import { authorityColumns } from './columns.ts'
import type { PostgresDatabase } from './database.ts'
import type { Transaction } from './transaction.ts'

/** Milliseconds since the epoch when the statement runs, not when its transaction began. */
const storeTime = '(extract(epoch FROM clock_timestamp()) * 1000)::bigint'
const entries = `SELECT ${authorityColumns}, ${storeTime} AS store_time FROM authorities`

function entryOf(row: Row): AuthorityEntry {
  const entry = authorityOf(row)
  const live = millis(row, 'store_time') < entry.seenAt + leaseMilliseconds && text(row, 'holder') !== ''
  return { ...entry, live }
}

/** Part of a larger transaction. */
export async function livePlaces(tx: Transaction): Promise<readonly AuthorityPlace[]> {
  const rows = await tx.all(
    `SELECT place FROM authorities WHERE place IS NOT NULL AND seen_at > ${storeTime} - ${placesMilliseconds} ORDER BY name`,
  )
  return rows.map((row) => documentOrNull(row, 'place') as AuthorityPlace)
}

interface Held {
  readonly instance: string
  readonly holder: string
  readonly fence: number
}

const ours = 'instance = $1 AND holder = $2 AND fence = $3'

export function postgresLeases(database: PostgresDatabase): LeaseStore {
  let held: Held | null = null
  const hold = (mine: Held) => {
    held = mine
    // Taking runs alone, so nobody can take the lease between this look and the end of the transaction.
    database.guard = async (tx) => {
      const { instance, holder, fence } = mine
      if ((await tx.one(`SELECT 1 FROM authorities WHERE ${ours}`, instance, holder, fence)) === null) throw lost(mine)
    }
  }
  return {
    take: async (request) => {
      const holder = `${request.home} ${request.holder}`
      const taken = await database.write((tx) => take(tx, request, holder))
      if (taken.outcome === 'taken') hold({ instance: request.instance, holder, fence: taken.fence })
      return taken
    },
    renew: async (_now, entry) => (held === null ? null : renew(database, held, entry)),
    release: async () => {
      if (held === null) return
      const { instance, holder, fence } = held
      await database.write(async (tx) => {
        await tx.run(`UPDATE authorities SET holder = '' WHERE ${ours}`, instance, holder, fence)
      })
      held = null
    },
    list: async () => (await database.all(`${entries} ORDER BY started_at, name`)).map(entryOf),
    forget: (name) =>
      database.write(async (tx) => {
        const row = await tx.one(`${entries} WHERE name = $1`, name)
        if (row === null || entryOf(row).live) return false
        await tx.run('DELETE FROM authorities WHERE name = $1', name)
        return true
      }),
  }
}

async function take(
  tx: Transaction,
  { instance, name, home, program }: LeaseRequest,
  holder: string,
): Promise<Awaited<ReturnType<LeaseStore['take']>>> {
  const named = await tx.one('SELECT instance FROM authorities WHERE name = $1', name)
  if (named !== null && text(named, 'instance') !== instance) return { outcome: 'name_taken' }
  const row = await tx.one(`${entries} WHERE instance = $1`, instance)
  const before = row === null ? null : entryOf(row)
  if (row !== null && before?.live === true && !text(row, 'holder').startsWith(`${home} `)) {
    return { outcome: 'held', remainingMilliseconds: before.seenAt + leaseMilliseconds - millis(row, 'store_time') }
  }
  const fence = (before?.fence ?? 0) + 1
  const written = await tx.one(
    `INSERT INTO authorities (instance, name, fence, holder, program, started_at, seen_at)
     SELECT $1, $2, $3, $4, $5, store_time, store_time FROM (SELECT ${storeTime} AS store_time) AS clock
     ON CONFLICT (instance) DO UPDATE SET
       name = excluded.name, fence = excluded.fence, holder = excluded.holder, program = excluded.program,
       started_at = excluded.started_at, seen_at = excluded.seen_at
     RETURNING seen_at`,
    instance,
    name,
    fence,
    holder,
    program,
  )
  return { outcome: 'taken', fence, storeTime: millis(written ?? {}, 'seen_at') }
}

async function renew(
  database: PostgresDatabase,
  { instance, holder, fence }: Held,
  { place, trustKey, trustKeys, log }: Parameters<LeaseStore['renew']>[1],
): Promise<{ readonly storeTime: EpochMillis } | null> {
  try {
    const row = await database.writeBeside((tx) =>
      tx.one(
        `UPDATE authorities SET seen_at = greatest(seen_at, ${storeTime}), place = $4, trust_key = $5, trust_keys = $6, log = $7
         WHERE ${ours} RETURNING ${storeTime} AS store_time`,
        instance,
        holder,
        fence,
        documentText(place),
        documentText(trustKey),
        documentText(trustKeys),
        documentText(log),
      ),
    )
    return row === null ? null : { storeTime: millis(row, 'store_time') }
  } catch (error) {
    if (isDoorwardError(error, 'lease_lost')) return null
    throw error
  }
}

function lost({ instance, fence }: Held): DoorwardError {
  return new DoorwardError('lease_lost', 'another process acts as this authority', {
    expected: `fence ${fence} of ${instance}`,
    next: 'stop one of the two; each authority needs a state folder of its own',
  })
}
