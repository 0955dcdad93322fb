/** What a verb may do within its transaction. It may be run again from its beginning, so it changes nothing else. */

import type { Row } from '../row.ts'
import type { Session, SqlValue } from './session.ts'

export interface Transaction {
  all(sql: string, ...values: readonly SqlValue[]): Promise<readonly Row[]>
  one(sql: string, ...values: readonly SqlValue[]): Promise<Row | null>
  /** Number of rows changed. */
  run(sql: string, ...values: readonly SqlValue[]): Promise<number>
}

export type Verb<T> = (transaction: Transaction) => Promise<T>

export function transactionOn(session: Session): Transaction {
  return {
    all: async (sql, ...values) => (await session.query(sql, values)).rows,
    one: async (sql, ...values) => (await session.query(sql, values)).rows[0] ?? null,
    run: async (sql, ...values) => (await session.query(sql, values)).changed,
  }
}
