/** `GET /v1/receipt?entry=ID`: a caller's proof that its own call stands in the record, without what the entry says. */

import { setTimeout as sleep } from 'node:timers/promises'
import { principalName } from '@doorward/core'
import type { NoteVerifier, Sha256 } from '@doorward/core'
import { deny } from '@doorward/enforcement'
import type { Denial, Permit } from '@doorward/enforcement'
import { contentOf } from '../audit/log-set.ts'
import { EntryLookup } from '../audit/log-set-journal.ts'
import { proveEntry } from '../audit/prove.ts'
import { callerOf, requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRequest, ApiRoute } from './api-routes.ts'

export interface ReceiptRouteOptions {
  /** Folder of the log. */
  readonly recordFolder: string
  readonly verifier: NoteVerifier
  readonly sha256: Sha256
  /** Acknowledged entries of the log, and how many the newest checkpoint covers. */
  readonly sizes: () => { readonly size: number; readonly checkpointSize: number }
}

const COVER_MILLISECONDS = 1000
const POLL_MILLISECONDS = 20

/**
 * For every caller, and for decisions about that very caller alone. Whatever else is asked for (an entry of somebody else,
 * one that does not exist, that no checkpoint covers within a second, or that has expired) has one and the same answer.
 */
export function receiptRoute(options: ReceiptRouteOptions): ApiRoute {
  const lookup = new EntryLookup(options.recordFolder)
  return {
    method: 'GET',
    path: '/v1/receipt',
    credential: 'token',
    group: 'read',
    body: 'none',
    query: ['entry'],
    handle: (permit) => answerTo(permit, { ...options, lookup }),
  }
}

interface Receipts extends ReceiptRouteOptions {
  readonly lookup: EntryLookup
}

async function answerTo(permit: Permit<ApiRequest>, receipts: Receipts): Promise<ApiAnswer | Denial> {
  const entry = requestOf(permit).query.get('entry')
  if (entry === undefined) return deny('request_invalid', 'expected the parameter entry with the id of a decision')
  const index = indexIn(entry, receipts.verifier.name)
  const isOwn = index !== null && (await isAbout(index, principalName(callerOf(permit)), receipts))
  if (!isOwn) return deny('resource_unknown', 'no signed entry of this log with this id is about this caller')
  const { recordFolder: folder, verifier, sha256 } = receipts
  const proof = await proveEntry({ folder, index, verifier, sha256, show: 'receipt' })
  return { kind: 'json', status: 200, value: { entry, proof } }
}

/** The index in an id of this log; null for any other text. */
function indexIn(entry: string, origin: string): number | null {
  const digits = entry.startsWith(`${origin}#`) ? entry.slice(origin.length + 1) : ''
  return /^(0|[1-9]\d{0,15})$/.test(digits) && Number.isSafeInteger(Number(digits)) ? Number(digits) : null
}

async function isAbout(index: number, caller: string, { sizes, lookup }: Receipts): Promise<boolean> {
  if (index >= sizes().size || !(await isCovered(index, sizes))) return false
  const content = contentOf(await lookup.read(index, sizes().checkpointSize))
  if (content.state === 'absent') return false
  const { kind, body } = content.entry
  return kind === 'decision' && body['caller'] === caller
}

/** Waits for the checkpoint that comes by itself: asking makes none. */
async function isCovered(index: number, sizes: Receipts['sizes']): Promise<boolean> {
  for (let waited = 0; sizes().checkpointSize <= index; waited += POLL_MILLISECONDS) {
    if (waited >= COVER_MILLISECONDS) return false
    await sleep(POLL_MILLISECONDS)
  }
  return true
}
