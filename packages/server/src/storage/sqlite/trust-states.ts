/** Signed trust states and delegations, appended by compare-and-swap. */

import { toMillis } from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import type { TrustMaterial, TrustStateStore } from '../../authority/ports.ts'
import { delegationOf, denialOf, slotOf, trustStateOf } from '../authority-rows.ts'
import { seconds, text, texts, whole } from '../row.ts'
import type { SqliteDatabase } from './database.ts'
import { liveDenials } from './denials.ts'
import { allSlots } from './key-slots.ts'
import { livePlaces } from './leases.ts'

/** Older states are of no use to anybody: receivers take only the newest. */
const KEPT_STATES = 8

function readMaterial(database: SqliteDatabase, now: EpochSeconds): TrustMaterial {
  const issued = database.all(
    "SELECT fingerprint, id, not_after FROM issuance WHERE state = 'released' AND not_after > ? ORDER BY not_after, serial",
    now,
  )
  return {
    epoch: whole(database.one('SELECT epoch FROM domain') ?? {}, 'epoch'),
    authorities: livePlaces(database, toMillis(now)),
    slots: database.all(allSlots).map(slotOf),
    workloads: database
      .all('SELECT id, roles FROM registrations ORDER BY id')
      .map((row) => ({ id: text(row, 'id'), roles: texts(row, 'roles') })),
    issued: issued.map((row) => ({
      fingerprint: text(row, 'fingerprint'),
      id: text(row, 'id'),
      notAfter: seconds(row, 'not_after'),
    })),
    denials: database.all(liveDenials, now).map(denialOf),
  }
}

export function sqliteTrustStates(database: SqliteDatabase): TrustStateStore {
  const newest = () => database.one('SELECT * FROM trust_states ORDER BY sequence DESC LIMIT 1')
  const newestDelegation = () => database.one('SELECT * FROM delegations ORDER BY version DESC LIMIT 1')
  return {
    material: (now) => database.read(() => readMaterial(database, now)),
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
