/** How the exports of the logs on this machine stand, and the webhooks of alerts, as their files tell. Needs no running part. */

import { join } from 'node:path'
import { isDoorwardError } from '@doorward/core'
import { backlogOf } from '../audit/export/backlog.ts'
import { fileExportStates } from './audit-exports-states.ts'
import type { LogPlace } from './log-places.ts'

export interface ExportReport {
  readonly log: string
  readonly name: string
  readonly kind: string
  /** `new`: nothing was ever delivered or tried. `stopped`: its process is not there. */
  readonly state: 'new' | 'delivering' | 'failing' | 'stopped'
  readonly lagging: boolean
  /** Index of the last entry that was acknowledged; null when there is none. */
  readonly delivered: number | null
  readonly waitingEntries: number
  /** Of the journal, about. */
  readonly waitingBytes: number
  readonly rejected: number
  /** `at`: milliseconds since the epoch; null for a state that cannot be read. */
  readonly error: { readonly code: string; readonly message: string; readonly at: number | null } | null
  /** When the state began, in milliseconds since the epoch; null for `new`. */
  readonly since: number | null
}

/** Throws what reading the folders throws. A state that cannot be read counts as failing. */
export async function reportExports(
  places: readonly LogPlace[],
  exports: readonly { readonly name: string; readonly kind: string }[],
  what: 'exports' | 'alerts' = 'exports',
): Promise<readonly ExportReport[]> {
  const all = places.flatMap((place) => exports.map((one) => reportOne(place, one, what)))
  return Promise.all(all)
}

async function reportOne(
  { origin, folder }: LogPlace,
  { name, kind }: { readonly name: string; readonly kind: string },
  what: 'exports' | 'alerts',
): Promise<ExportReport> {
  const unread = { log: origin, name, kind, lagging: false, delivered: null, rejected: 0, since: null }
  try {
    const kept = await fileExportStates(join(folder, '..'), name, what).read()
    const waiting = await backlogOf(folder, kept?.next ?? 0)
    const counted = { waitingEntries: waiting.entries, waitingBytes: waiting.bytes }
    if (kept === null) return { ...unread, ...counted, state: 'new', error: null }
    const { next, lagging, rejected, error, since, pid } = kept
    const state = kept.state === 'delivering' && !isRunning(pid) ? 'stopped' : kept.state
    const delivered = next === 0 ? null : next - 1
    return { log: origin, name, kind, state, lagging, delivered, ...counted, rejected, error, since }
  } catch (error) {
    if (!isDoorwardError(error)) throw error
    const { code, message } = error
    return { ...unread, state: 'failing', waitingEntries: 0, waitingBytes: 0, error: { code, message, at: null } }
  }
}

/** A process of that number; another one may have it since. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
