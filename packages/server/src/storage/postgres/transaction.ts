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

/** A verb that takes what several ask for at once, in a few statements however many they are. */
export interface Batch<Input, Output> {
  /** As if one input had come after the other; the outputs in their order. */
  run(transaction: Transaction, inputs: readonly Input[]): Promise<readonly Output[]>
}

export function transactionOn(session: Session): Transaction {
  return {
    all: async (sql, ...values) => (await session.query(sql, values)).rows,
    one: async (sql, ...values) => (await session.query(sql, values)).rows[0] ?? null,
    run: async (sql, ...values) => (await session.query(sql, values)).changed,
  }
}
