/** What receivers of trust state have applied. */

import type { AckStore, StoredAck } from '../../authority/ports.ts'
import { ackOf } from '../authority-rows.ts'
import type { PostgresDatabase } from './database.ts'

const isLater = '(excluded.delegation, excluded.sequence) >= (acks.delegation, acks.sequence)'
const put = `INSERT INTO acks (id, scope, delegation, sequence, at, authority)
  SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[])
  ON CONFLICT (id, scope) DO UPDATE SET
    delegation = CASE WHEN ${isLater} THEN excluded.delegation ELSE acks.delegation END,
    sequence = CASE WHEN ${isLater} THEN excluded.sequence ELSE acks.sequence END,
    authority = CASE WHEN excluded.at >= acks.at THEN excluded.authority ELSE acks.authority END,
    at = greatest(acks.at, excluded.at)`

export function postgresAcks(database: PostgresDatabase): AckStore {
  return {
    put: (acks) =>
      database.writeBeside(async (tx) => {
        const rows = oneEach(acks)
        await tx.run(
          put,
          rows.map(({ id }) => id),
          rows.map(({ scope }) => scope),
          rows.map(({ delegation }) => delegation),
          rows.map(({ sequence }) => sequence),
          rows.map(({ at }) => at),
          rows.map(({ authority }) => authority),
        )
      }),
    list: async () => {
      const rows = await database.all(
        'SELECT id, scope, delegation, sequence, at, authority FROM acks ORDER BY id, scope',
      )
      return rows.map(ackOf)
    },
    prune: (before) =>
      database.write(async (tx) => {
        await tx.run('DELETE FROM acks WHERE at < $1', before)
      }),
  }
}

/** One statement changes a row once; and in one order, so that two authorities never wait for each other's rows. */
function oneEach(acks: readonly StoredAck[]): readonly StoredAck[] {
  const latest = new Map<string, StoredAck>()
  for (const ack of acks) {
    const key = `${ack.id} ${ack.scope}`
    const held = latest.get(key)
    latest.set(key, held === undefined ? ack : merged(held, ack))
  }
  return [...latest].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, ack]) => ack)
}

/** The later version, and the later moment with who has told of it. */
function merged(held: StoredAck, ack: StoredAck): StoredAck {
  const { delegation, sequence } = isOlder(ack, held) ? held : ack
  const { at, authority } = ack.at >= held.at ? ack : held
  return { ...held, delegation, sequence, at, authority }
}

function isOlder(a: StoredAck, b: StoredAck): boolean {
  return a.delegation === b.delegation ? a.sequence < b.sequence : a.delegation < b.delegation
}
