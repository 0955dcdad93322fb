/** What stands of the findings of one part, as a file beside its state: for its next start, and for `doorward alerts`. */

import { join } from 'node:path'
import { DoorwardError, epochMillis, fromUtf8, isJsonObject, isSeverity, scanJson, utf8 } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import { detectorNames } from '@doorward/enforcement'
import type { StandingFinding } from '@doorward/enforcement'
import { readIfPresent, writeDurably } from '../secrets/durable-file.ts'

export interface KeptFinding extends StandingFinding {
  /** `<origin>#<index>` of its beginning; null where it could not be recorded yet. */
  readonly entry: string | null
}

export interface KeptFindings {
  /** Of the log. */
  readonly origin: string
  /** Process that writes this. */
  readonly pid: number
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly findings: readonly KeptFinding[]
}

const MAX_BYTES = 1024 * 1024
const MAX_TEXT = 4096

function fileIn(stateDir: string): string {
  return join(stateDir, 'detections.json')
}

/** Durable when it resolves. */
export async function keepFindings(stateDir: string, kept: KeptFindings): Promise<void> {
  await writeDurably(fileIn(stateDir), utf8(`${JSON.stringify({ v: 1, ...kept })}\n`))
}

/** Null where there is none. Throws `detections_file` for what is not readable. */
export async function readFindings(stateDir: string): Promise<KeptFindings | null> {
  const path = fileIn(stateDir)
  const bytes = await readIfPresent(path, MAX_BYTES)
  if (bytes === null) return null
  const kept = parseKept(fromUtf8(bytes))
  if (kept !== null) return kept
  throw new DoorwardError('detections_file', 'what stood when the part ended cannot be read', {
    where: path,
    next: 'remove the file: whatever still stands is found again',
  })
}

function parseKept(text: string): KeptFindings | null {
  const scanned = scanJson(utf8(text))
  const value: JsonValue = scanned.ok ? scanned.value : null
  if (!isJsonObject(value) || value['v'] !== 1) return null
  const { origin, pid, at, findings } = value
  if (typeof origin !== 'string' || typeof pid !== 'number' || typeof at !== 'number') return null
  if (!Array.isArray(findings)) return null
  const read = (findings as readonly JsonValue[]).map((one) => (isJsonObject(one) ? findingOf(one) : null))
  const sound = read.filter((one) => one !== null)
  return sound.length === read.length ? { origin, pid, at, findings: sound } : null
}

function findingOf({ detector, subject, severity, detail, since, entry }: JsonObject): KeptFinding | null {
  const known = detectorNames.find((name) => name === detector)
  if (known === undefined || !isSeverity(severity) || typeof subject !== 'string' || typeof detail !== 'string')
    return null
  if (typeof since !== 'number' || !Number.isSafeInteger(since)) return null
  const name = typeof entry === 'string' ? entry.slice(0, MAX_TEXT) : null
  return { detector: known, subject, severity, detail, since: epochMillis(since), entry: name }
}
