/** A receipt: the gateway's proof that one of our calls stands in its record, believed with a pinned key alone. */

import { DoorwardError, openLogProof, parseVerifierKey } from '@doorward/core'
import type { NoteVerifier, ProvenEntry, SpiffeId } from '@doorward/core'
import { readJsonBody } from './https-exchange.ts'
import { importEd25519 } from './platform/ed25519.ts'
import { sha256 } from './platform/hash.ts'
import { readRefusal, refusalError } from './refusal.ts'
import type { SignedFetch } from './signed-fetch.ts'

export interface ReceiptOptions {
  /** The public URL of the gateway that decided about the call; it is the audience of the token, too. */
  readonly gateway: string
  /** Who must answer. */
  readonly expectedId: SpiffeId
  /** The id of the decision, as the header `Doorward-Decision` or `McpAnswer.decision` has it. */
  readonly decision: string
  /** The verifier key of the gateway's log, obtained on another way than from this gateway. */
  readonly verifierKey: string
  readonly signal?: AbortSignal
}

export interface Receipt extends Pick<ProvenEntry, 'origin' | 'index' | 'time' | 'digest'> {
  /** The proof as it is to be kept (C2SP tlog-proof). */
  readonly text: string
}

const LIMIT = 1024 * 1024

/**
 * Fetches the receipt of a call of ours and checks it. Throws `vkey_malformed`; `ServerRefused` with `resource_unknown` when
 * the gateway has no such entry about us that is signed by now; `response_invalid`; the codes of `openLogProof` for a proof
 * that does not hold with the pinned key, and `receipt_foreign` for one of another entry.
 */
export async function fetchReceipt(fetch: SignedFetch, options: ReceiptOptions): Promise<Receipt> {
  const { gateway, expectedId, decision, signal } = options
  const verifier = pinned(options.verifierKey)
  const response = await fetch.call(`${gateway}/v1/receipt?${new URLSearchParams({ entry: decision }).toString()}`, {
    audience: gateway,
    expectedId,
    ...(signal === undefined ? {} : { signal }),
  })
  if (response.status !== 200) throw refusalError(await readRefusal(response), 'the receipt')
  const { proof } = await readJsonBody(response, LIMIT)
  if (typeof proof !== 'string') throw new DoorwardError('response_invalid', 'the answer holds no proof')
  const { origin, index, time, digest } = openLogProof(sha256, proof, verifier)
  if (`${origin}#${index}` !== decision) {
    throw new DoorwardError('receipt_foreign', 'the receipt is of another entry', {
      expected: decision,
      got: `${origin}#${index}`,
    })
  }
  return { origin, index, time, digest, text: proof }
}

function pinned(text: string): NoteVerifier {
  const { name, keyId, publicKey } = parseVerifierKey(sha256, text)
  const key = importEd25519(publicKey)
  if (key !== null) return { name, keyId, key }
  throw new DoorwardError('vkey_malformed', 'public key is not an Ed25519 key', { where: name })
}
