/** Alarms, one per detector and subject. */

import type { AlarmStore } from '../../authority/ports.ts'
import { alarmOf } from '../authority-rows.ts'
import type { SqliteDatabase } from './database.ts'

export function sqliteAlarms(database: SqliteDatabase): AlarmStore {
  return {
    raise: ({ detector, subject, detail, lastAt, source }, limit) =>
      database.write(() => {
        const known = database.run(
          'UPDATE alarms SET detail = ?, last_at = max(last_at, ?), source = ?, count = count + 1 WHERE detector = ? AND subject = ?',
          detail,
          lastAt,
          source,
          detector,
          subject,
        )
        if (known === 1) return false
        database.run(
          'INSERT INTO alarms (detector, subject, detail, source, first_at, last_at, count) VALUES (?, ?, ?, ?, ?, ?, 1)',
          detector,
          subject,
          detail,
          source,
          lastAt,
          lastAt,
        )
        database.run(
          `DELETE FROM alarms WHERE (detector, subject) NOT IN
             (SELECT detector, subject FROM alarms ORDER BY last_at DESC, detector, subject LIMIT ?)`,
          limit,
        )
        return true
      }),
    list: () =>
      database.read(() => database.all('SELECT * FROM alarms ORDER BY last_at DESC, detector, subject').map(alarmOf)),
  }
}
