/** Alarms, one per detector and subject. */

import type { AlarmStore } from '../../authority/ports.ts'
import { alarmOf } from '../authority-rows.ts'
import type { PostgresDatabase } from './database.ts'

export function postgresAlarms(database: PostgresDatabase): AlarmStore {
  return {
    raise: ({ detector, subject, detail, lastAt, source }, limit) =>
      database.write(async (tx) => {
        const known = await tx.run(
          `UPDATE alarms SET detail = $3, last_at = greatest(last_at, $4), source = $5, count = count + 1
           WHERE detector = $1 AND subject = $2`,
          detector,
          subject,
          detail,
          lastAt,
          source,
        )
        if (known === 1) return false
        await tx.run(
          `INSERT INTO alarms (detector, subject, detail, source, first_at, last_at, count)
           VALUES ($1, $2, $3, $4, $5, $5, 1)`,
          detector,
          subject,
          detail,
          source,
          lastAt,
        )
        await tx.run(
          `DELETE FROM alarms WHERE (detector, subject) NOT IN
             (SELECT detector, subject FROM alarms ORDER BY last_at DESC, detector, subject LIMIT $1)`,
          limit,
        )
        return true
      }),
    list: async () => {
      const rows = await database.all(
        `SELECT detector, subject, detail, source, first_at, last_at, count FROM alarms
         ORDER BY last_at DESC, detector, subject`,
      )
      return rows.map(alarmOf)
    },
  }
}
