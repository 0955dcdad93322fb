/** What a failure means: ask again, do without this connection, or blame the statement. */

import { DoorwardError } from '@doorward/core'
import { DatabaseError } from 'pg'

/**
 * `conflict`: undone because of a concurrent transaction; may be asked again. `session`: the connection, or the server
 * behind it, is of no use now. `statement`: the server refused this statement and goes on.
 */
export type FailureKind = 'conflict' | 'session' | 'statement'

/** SQLSTATE (PostgreSQL manual, appendix A): serialization failure, deadlock. */
const conflicts = new Set(['40001', '40P01'])
/** Read-only transaction, and a session that was idle in one for too long. */
const readOnlyOrIdle = new Set(['25006', '25P03'])
/** Connection, resources, operator intervention, system error, configuration file, internal error. */
const sessionClasses = new Set(['08', '53', '58', 'F0', 'XX'])
/** Within operator intervention a cancelled statement leaves the session as it was. */
const CANCELLED = '57014'

export function failureKind(error: unknown): FailureKind {
  if (error instanceof DoorwardError) return 'statement'
  if (!(error instanceof DatabaseError)) return 'session'
  const { code = '' } = error
  if (conflicts.has(code)) return 'conflict'
  if (readOnlyOrIdle.has(code) || sessionClasses.has(code.slice(0, 2))) return 'session'
  return code.startsWith('57') && code !== CANCELLED ? 'session' : 'statement'
}

/** Our own errors pass; everything else becomes one code, because callers can do nothing else about it. */
export function storeError(error: unknown): DoorwardError {
  return error instanceof DoorwardError ? error : unavailable(sayShortly(error))
}

/** `got` says what has failed, without values of rows. */
export function unavailable(got: string): DoorwardError {
  return new DoorwardError('store_unavailable', 'the store failed', { got })
}

/** The connection went between the request to commit and its answer: the change is there entirely, or not at all. */
export function outcomeUnknown(got: string): DoorwardError {
  return new DoorwardError('store_unavailable', 'the store did not say whether it has kept the change', { got })
}

/** Message and code alone: detail and hint of a database error may hold what was stored. */
export function sayShortly(error: unknown): string {
  if (error instanceof DatabaseError) return `${error.code ?? 'unknown'} ${error.message}`
  if (error instanceof AggregateError) return error.errors.map(sayShortly).join(', ')
  if (!(error instanceof Error)) return 'an unknown failure'
  return 'code' in error && typeof error.code === 'string' ? `${error.code} ${error.message}` : error.message
}
