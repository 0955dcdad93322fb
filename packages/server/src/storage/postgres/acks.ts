/** What receivers of trust state have applied. */

import type { AckStore, StoredAck } from '../../authority/ports.ts'
import { ackOf } from '../authority-rows.ts'
import type { PostgresDatabase } from './database.ts'

const isLater = '(excluded.delegation, excluded.sequence) >= (receipts.delegation, receipts.sequence)'
const put = `INSERT INTO receipts (id, instance, scope, delegation, sequence, at, authority)
  SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[])
  ON CONFLICT (id, scope, instance) DO UPDATE SET
    delegation = CASE WHEN ${isLater} THEN excluded.delegation ELSE receipts.delegation END,
    sequence = CASE WHEN ${isLater} THEN excluded.sequence ELSE receipts.sequence END,
    authority = CASE WHEN excluded.at >= receipts.at THEN excluded.authority ELSE receipts.authority END,
    at = greatest(receipts.at, excluded.at)`

export function postgresAcks(database: PostgresDatabase): AckStore {
  return {
    put: (acks) =>
      database.writeBeside(async (tx) => {
        const rows = oneEach(acks)
        await tx.run(
          put,
          rows.map(({ id }) => id),
          rows.map(({ instance }) => instance),
          rows.map(({ scope }) => scope),
          rows.map(({ delegation }) => delegation),
          rows.map(({ sequence }) => sequence),
          rows.map(({ at }) => at),
          rows.map(({ authority }) => authority),
        )
      }),
    list: async () => {
      const rows = await database.all(
        'SELECT id, instance, scope, delegation, sequence, at, authority FROM receipts ORDER BY id, scope, instance',
      )
      return rows.map(ackOf)
    },
    prune: (before) =>
      database.write(async (tx) => {
        await tx.run('DELETE FROM receipts WHERE at < $1', before)
      }),
  }
}

/** One statement changes a row once; and in one order, so that two authorities never wait for each other's rows. */
function oneEach(acks: readonly StoredAck[]): readonly StoredAck[] {
  const latest = new Map<string, StoredAck>()
  for (const ack of acks) {
    const key = `${ack.id} ${ack.scope} ${ack.instance}`
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
