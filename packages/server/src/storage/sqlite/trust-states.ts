/** Signed trust states and delegations, appended by compare-and-swap. */

import { toMillis } from '@doorward/core'
import type { EpochSeconds, RegisteredWorkload } from '@doorward/core'
import type { TrustMark, TrustMaterial, TrustStateStore } from '../../authority/ports.ts'
import { delegationOf, denialOf, slotOf, trustedWorkloadOf, trustStateOf } from '../authority-rows.ts'
import { seconds, text, whole } from '../row.ts'
import type { SqliteDatabase } from './database.ts'
import { liveDenials } from './denials.ts'
import { newestMark } from './issuance.ts'
import { allSlots } from './key-slots.ts'
import { livePlaces } from './leases.ts'

/** Older states are of no use to anybody: receivers take only the newest. */
const KEPT_STATES = 8

const live = "SELECT fingerprint, id, not_after FROM issuance WHERE state = 'released' AND not_after > ?"

function readMaterial(database: SqliteDatabase, now: EpochSeconds, since: TrustMark | undefined): TrustMaterial {
  const domain = database.one('SELECT epoch, registry FROM domain') ?? {}
  const registry = whole(domain, 'registry')
  const issued =
    since === undefined
      ? database.all(live, now)
      : database.all(`${live} AND release_mark > ?`, now, Number(since.released))
  return {
    epoch: whole(domain, 'epoch'),
    authorities: livePlaces(database, toMillis(now)),
    slots: database.all(allSlots).map(slotOf),
    workloads: registry === since?.registry ? null : readWorkloads(database),
    issued: issued.map((row) => ({
      fingerprint: text(row, 'fingerprint'),
      id: text(row, 'id'),
      notAfter: seconds(row, 'not_after'),
    })),
    denials: database.all(liveDenials, now).map(denialOf),
    mark: { released: String(whole(database.one(newestMark) ?? {}, 'mark')), registry },
  }
}

function readWorkloads(database: SqliteDatabase): readonly RegisteredWorkload[] {
  return database.all('SELECT id, roles, audiences FROM registrations ORDER BY id').map(trustedWorkloadOf)
}

export function sqliteTrustStates(database: SqliteDatabase): TrustStateStore {
  const newest = () => database.one('SELECT * FROM trust_states ORDER BY sequence DESC LIMIT 1')
  const newestDelegation = () => database.one('SELECT * FROM delegations ORDER BY version DESC LIMIT 1')
  return {
    material: (now, since) => database.read(() => readMaterial(database, now, since)),
    newest: () =>
      database.read(() => {
        const row = newest()
        return row === null ? null : trustStateOf(row)
      }),
    newestVersion: () =>
      database.read(() => {
        const row = database.one('SELECT delegation, sequence FROM trust_states ORDER BY sequence DESC LIMIT 1')
        return row === null ? null : { delegation: whole(row, 'delegation'), sequence: whole(row, 'sequence') }
      }),
    append: ({ delegation, sequence, message, anchors, callers }, after) =>
      database.write(() => {
        const held = database.one('SELECT sequence FROM trust_states ORDER BY sequence DESC LIMIT 1')
        if ((held === null ? 0 : whole(held, 'sequence')) !== after || sequence <= after) return false
        database.run(
          'INSERT INTO trust_states (sequence, delegation, message, anchors, callers_sequence, callers_message) VALUES (?, ?, ?, ?, ?, ?)',
          sequence,
          delegation,
          message,
          anchors,
          callers.sequence,
          callers.message,
        )
        database.run('DELETE FROM trust_states WHERE sequence <= ?', sequence - KEPT_STATES)
        return true
      }),
    newestDelegation: () =>
      database.read(() => {
        const row = newestDelegation()
        return row === null ? null : delegationOf(row)
      }),
    delegate: ({ version, expiresAt, message }) =>
      database.write(() => {
        const held = newestDelegation()
        if (version !== (held === null ? 0 : whole(held, 'version')) + 1) return false
        database.run(
          "INSERT INTO delegations (version, key_name, expires_at, message) VALUES (?, '', ?, ?)",
          version,
          expiresAt,
          message,
        )
        return true
      }),
  }
}
