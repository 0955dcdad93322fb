/** Reading columns: a column of another type means a store that we did not write. */

import { DoorwardError, epochMillis, epochSeconds } from '@doorward/core'
import type { EpochMillis, EpochSeconds, P256Jwk } from '@doorward/core'

export type Row = Readonly<Record<string, string | number | null | Uint8Array>>

export function text(row: Row, column: string): string {
  const value = row[column]
  if (typeof value !== 'string') throw wrongType(column)
  return value
}

export function whole(row: Row, column: string): number {
  const value = row[column]
  if (typeof value !== 'number') throw wrongType(column)
  return value
}

export function seconds(row: Row, column: string): EpochSeconds {
  return epochSeconds(whole(row, column))
}

export function secondsOrNull(row: Row, column: string): EpochSeconds | null {
  return row[column] === null ? null : seconds(row, column)
}

export function bytes(row: Row, column: string): Uint8Array {
  const value = row[column]
  if (value instanceof Uint8Array) return value
  throw wrongType(column)
}

export function bytesOrNull(row: Row, column: string): Uint8Array | null {
  const value = row[column]
  if (value === null || value instanceof Uint8Array) return value
  throw wrongType(column)
}

export function texts(row: Row, column: string): readonly string[] {
  const value: unknown = JSON.parse(text(row, column))
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) throw wrongType(column)
  return value
}

/** What was stored as JSON, by whom the caller knows. */
export function document(row: Row, column: string): unknown {
  return JSON.parse(text(row, column))
}

export function documentOrNull(row: Row, column: string): unknown {
  return row[column] === null ? null : document(row, column)
}

/** A document as a column has it; null stays null, so that SQL sees it. */
export function documentText(value: object | null): string | null {
  return value === null ? null : JSON.stringify(value)
}

export function textOrNull(row: Row, column: string): string | null {
  return row[column] === null ? null : text(row, column)
}

export function millis(row: Row, column: string): EpochMillis {
  return epochMillis(whole(row, column))
}

export function jwk(row: Row, column: string): P256Jwk {
  return JSON.parse(text(row, column)) as P256Jwk
}

function wrongType(column: string): DoorwardError {
  return new DoorwardError('store_corrupt', 'the store holds a value of another type', { where: column })
}
