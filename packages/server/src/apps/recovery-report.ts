/** Reads the report of a recovery as somebody who trusts nothing but the verifier key of the log. */

import { DoorwardError, isJsonObject, openNote, parseNote, parseVerifierKey, scanJson, utf8 } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { importEd25519, sha256 } from '@doorward/sdk'
import { reportHead } from '../authority/ceremony-report.ts'
import { readVerifierKey } from './log-places.ts'

export interface OpenedReport {
  /** Origin of the log whose key has signed it. */
  readonly signedBy: string
  readonly document: JsonObject
}

/** The verifier key itself, or the folder in which those of this deployment are kept. */
export type ReportKey = { readonly key: string } | { readonly copies: string | null }

/** Throws `note_malformed`, `note_unverified`, `vkey_malformed`, `log_key_missing`, and `report_invalid` for another kind of note. */
export async function openReport(note: string, verifier: ReportKey): Promise<OpenedReport> {
  const text = 'key' in verifier ? verifier.key : await keptKey(note, verifier.copies)
  const { name, keyId, publicKey } = parseVerifierKey(sha256, text)
  const key = importEd25519(publicKey)
  if (key === null) throw new DoorwardError('vkey_malformed', 'the verifier key is no Ed25519 key')
  const [head, line = '', ...more] = openNote(note, [{ name, keyId, key }]).split('\n')
  const document = head === reportHead && more.join('') === '' ? parsed(line) : null
  if (document !== null) return { signedBy: name, document }
  throw new DoorwardError('report_invalid', 'the note is signed, but it is no report of a recovery', {
    expected: `${reportHead} and one line of JSON`,
  })
}

/** What a report says that the authority itself has handed over. Nothing is verified. */
export function verdictIn(note: string): 'proven' | 'unproven' {
  const [, line = ''] = parseNote(note).text.split('\n')
  return parsed(line)?.['verdict'] === 'proven' ? 'proven' : 'unproven'
}

/** The signature names the log; whether it is that log's is what the kept key tells. */
async function keptKey(note: string, copies: string | null): Promise<string> {
  const name = parseNote(note).signatures[0]?.name ?? ''
  const kept = copies === null ? null : await readVerifierKey(copies, name)
  if (kept !== null) return kept
  throw new DoorwardError('log_key_missing', 'the verifier key of the log is not kept here', {
    where: name,
    next: 'name it with --key',
  })
}

function parsed(line: string): JsonObject | null {
  const scan = scanJson(utf8(line))
  return scan.ok && isJsonObject(scan.value) ? scan.value : null
}
