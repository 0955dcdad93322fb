/** Signed trust states and delegations, appended by compare-and-swap. */

import type { EpochSeconds } from '@doorward/core'
import type { TrustMaterial, TrustStateStore } from '../../authority/ports.ts'
import { delegationOf, denialOf, slotOf, trustStateOf } from '../authority-rows.ts'
import { seconds, text, texts, whole } from '../row.ts'
import type { PostgresDatabase } from './database.ts'
import { liveDenials } from './denials.ts'
import { allSlots } from './key-slots.ts'
import { livePlaces } from './leases.ts'
import type { Transaction } from './transaction.ts'

/** Older states are of no use to anybody: receivers take only the newest. */
const KEPT_STATES = 8

const newest = `SELECT sequence, delegation, message, anchors, callers_sequence, callers_message
  FROM trust_states ORDER BY sequence DESC LIMIT 1`
const newestVersion = 'SELECT delegation, sequence FROM trust_states ORDER BY sequence DESC LIMIT 1'
const newestDelegation = 'SELECT version, expires_at, message FROM delegations ORDER BY version DESC LIMIT 1'

export function postgresTrustStates(database: PostgresDatabase): TrustStateStore {
  return {
    material: (now) => database.read((tx) => readMaterial(tx, now)),
    newest: async () => {
      const row = await database.one(newest)
      return row === null ? null : trustStateOf(row)
    },
    newestVersion: async () => {
      const row = await database.one(newestVersion)
      return row === null ? null : { delegation: whole(row, 'delegation'), sequence: whole(row, 'sequence') }
    },
    append: async ({ delegation, sequence, message, anchors, callers }, after) => {
      const values = [sequence, delegation, message, anchors, callers.sequence, callers.message, after]
      return (await database.writeBeside((tx) => tx.one(append, ...values))) !== null
    },
    newestDelegation: async () => {
      const row = await database.one(newestDelegation)
      return row === null ? null : delegationOf(row)
    },
    delegate: ({ version, expiresAt, message }) =>
      database.write(async (tx) => {
        const held = await tx.one(newestDelegation)
        if (version !== (held === null ? 0 : whole(held, 'version')) + 1) return false
        await tx.run(
          'INSERT INTO delegations (version, expires_at, message) VALUES ($1, $2, $3)',
          version,
          expiresAt,
          message,
        )
        return true
      }),
  }
}

/** Beside others: of two that append the same sequence the second waits for the first, and then has lost. */
const append = `WITH appended AS (
    INSERT INTO trust_states (sequence, delegation, message, anchors, callers_sequence, callers_message)
    SELECT $1::bigint, $2::bigint, $3::words, $4::words, $5::bigint, $6::words
    WHERE $7::bigint = (SELECT coalesce(max(sequence), 0) FROM trust_states) AND $1 > $7
    ON CONFLICT DO NOTHING RETURNING sequence
  ), pruned AS (
    DELETE FROM trust_states WHERE sequence <= (SELECT sequence FROM appended) - ${KEPT_STATES}
  )
  SELECT sequence FROM appended`

async function readMaterial(tx: Transaction, now: EpochSeconds): Promise<TrustMaterial> {
  const domain = await tx.one('SELECT epoch FROM domain')
  const authorities = await livePlaces(tx)
  const slots = await tx.all(allSlots)
  const workloads = await tx.all('SELECT id, roles FROM registrations ORDER BY id')
  const issued = await tx.all(
    "SELECT fingerprint, id, not_after FROM issuance WHERE state = 'released' AND not_after > $1 ORDER BY not_after, serial",
    now,
  )
  const denials = await tx.all(liveDenials, now)
  return {
    epoch: whole(domain ?? {}, 'epoch'),
    authorities,
    slots: slots.map(slotOf),
    workloads: workloads.map((row) => ({ id: text(row, 'id'), roles: texts(row, 'roles') })),
    issued: issued.map((row) => ({
      fingerprint: text(row, 'fingerprint'),
      id: text(row, 'id'),
      notAfter: seconds(row, 'not_after'),
    })),
    denials: denials.map(denialOf),
  }
}
