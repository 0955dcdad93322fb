/**
 * From where on a log still holds payloads: the marker beside its segments, and the entry of the log itself that the
 * marker names. One is believed only together with the other.
 */

import type { EntryEnvelope } from './entry.ts'

/** The marker's file inside the log's folder. */
export const EXPIRY_FILE = 'expired'

/** What the marker says: the payloads of all entries below `end` have expired, and entry `entry` says so. */
export interface ExpiryMarker {
  readonly end: number
  readonly entry: number
}

/** The `event` of the entry. */
export const EXPIRE_EVENT = 'record.expire'

/** The one written form; `origin` is that of the log. */
export function formatExpiry(origin: string, { end, entry }: ExpiryMarker): string {
  return `${JSON.stringify({ v: 1, origin, end, entry })}\n`
}

/** Reads a marker of the log `origin`, in its one written form; null for anything else. */
export function parseExpiry(origin: string, text: string): ExpiryMarker | null {
  let value: { readonly end?: unknown; readonly entry?: unknown }
  try {
    value = JSON.parse(text) as typeof value
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null) return null
  const { end, entry } = value
  if (!isIndex(end) || !isIndex(entry) || end === 0 || entry < end) return null
  return formatExpiry(origin, { end, entry }) === text ? { end, entry } : null
}

/** True for the entry that a marker with this `end` must name. */
export function saysExpired({ kind, body }: EntryEnvelope, end: number): boolean {
  return kind === 'lifecycle' && body['event'] === EXPIRE_EVENT && body['end'] === end
}

function isIndex(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
