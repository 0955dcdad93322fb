/** Signed trust states and delegations, appended by compare-and-swap. */

import type { EpochSeconds, RegisteredWorkload } from '@doorward/core'
import type { StoredTrustState, TrustMark, TrustMaterial, TrustStateStore } from '../../authority/ports.ts'
import { delegationOf, denialOf, slotOf, trustedWorkloadOf, trustStateOf } from '../authority-rows.ts'
import { seconds, text, whole } from '../row.ts'
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
    material: (now, since) => database.read((tx) => readMaterial(tx, now, since)),
    newest: async () => {
      const row = await database.one(newest)
      return row === null ? null : trustStateOf(row)
    },
    newestVersion: async () => {
      const row = await database.one(newestVersion)
      return row === null ? null : { delegation: whole(row, 'delegation'), sequence: whole(row, 'sequence') }
    },
    // The first one has none before it to wait at.
    append: (state, after) =>
      after === 0
        ? database.write((tx) => append(tx, state, after))
        : database.writeBeside((tx) => append(tx, state, after)),
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

const insert = `WITH appended AS (
    INSERT INTO trust_states (sequence, delegation, message, anchors, callers_sequence, callers_message)
    SELECT $1::bigint, $2::bigint, $3::words, $4::words, $5::bigint, $6::words
    WHERE $7::bigint = (SELECT coalesce(max(sequence), 0) FROM trust_states) AND $1 > $7
    ON CONFLICT DO NOTHING RETURNING sequence
  ), pruned AS (
    DELETE FROM trust_states WHERE sequence <= (SELECT sequence FROM appended) - ${KEPT_STATES}
  )
  SELECT sequence FROM appended`

/** Whoever appends after the same one waits here, and sees then that it is not the newest any more. */
const waitAt = 'SELECT 1 FROM trust_states WHERE sequence = $1 FOR UPDATE'

async function append(
  tx: Transaction,
  { delegation, sequence, message, anchors, callers }: StoredTrustState,
  after: number,
): Promise<boolean> {
  if (after !== 0 && (await tx.one(waitAt, after)) === null) return false
  const values = [sequence, delegation, message, anchors, callers.sequence, callers.message, after]
  return (await tx.one(insert, ...values)) !== null
}

/**
 * Transactions end in another order than they begin: whatever a reading did not see was released by a transaction that
 * was not over then, and the oldest of those is its mark.
 */
const head = `SELECT epoch, registry, pg_snapshot_xmin(pg_current_snapshot())::text AS released FROM domain`
const live = "SELECT fingerprint, id, not_after FROM issuance WHERE state = 'released' AND not_after > $1"

async function readMaterial(tx: Transaction, now: EpochSeconds, since: TrustMark | undefined): Promise<TrustMaterial> {
  const [domain, authorities, slots, denials, issued] = await Promise.all([
    tx.one(head),
    livePlaces(tx),
    tx.all(allSlots),
    tx.all(liveDenials, now),
    since === undefined ? tx.all(live, now) : tx.all(`${live} AND release_mark >= $2::text::xid8`, now, since.released),
  ])
  const mark = { released: text(domain ?? {}, 'released'), registry: whole(domain ?? {}, 'registry') }
  return {
    epoch: whole(domain ?? {}, 'epoch'),
    authorities,
    slots: slots.map(slotOf),
    denials: denials.map(denialOf),
    workloads: mark.registry === since?.registry ? null : await readWorkloads(tx),
    issued: issued.map((row) => ({
      fingerprint: text(row, 'fingerprint'),
      id: text(row, 'id'),
      notAfter: seconds(row, 'not_after'),
    })),
    mark,
  }
}

async function readWorkloads(tx: Transaction): Promise<readonly RegisteredWorkload[]> {
  return (await tx.all('SELECT id, roles, audiences FROM registrations ORDER BY id')).map(trustedWorkloadOf)
}
