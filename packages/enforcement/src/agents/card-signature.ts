/** Whether an agent card is signed by one of the keys that an operator has configured (A2A 1.0 §8.4, RFC 7515). */

import {
  canonicalJson,
  fromBase64url,
  isJsonObject,
  member,
  scanJson,
  signedForms,
  toBase64url,
  utf8,
} from '@doorward/core'
import type { AgentCard, VerifyKey } from '@doorward/core'

/** The key of that algorithm and id; null where none is configured. */
export type CardKeyOf = (algorithm: string, kid: string) => VerifyKey | null

const HEADER_LIMITS = { maxBytes: 4096, maxDepth: 3, maxKeys: 16 }

/**
 * Keys are those of configuration alone: a `jku` or `jwk` in the header of a signature is where its author says that its
 * keys are. A header with `crit` or `b64` is not understood, and therefore no signature.
 */
export function isSignedBy(card: AgentCard, keyOf: CardKeyOf): boolean {
  const payloads = signedForms(card).map((form) => toBase64url(utf8(canonicalJson(form))))
  return card.signatures.some(({ protected: head, signature }) => {
    const key = keyFor(head, keyOf)
    const bytes = fromBase64url(signature)
    if (key === null || bytes === null) return false
    return payloads.some((payload) => key.verify(utf8(`${head}.${payload}`), bytes))
  })
}

function keyFor(head: string, keyOf: CardKeyOf): VerifyKey | null {
  const bytes = fromBase64url(head)
  const scan = bytes === null ? null : scanJson(bytes, HEADER_LIMITS)
  if (scan?.ok !== true || !isJsonObject(scan.value)) return null
  const header = scan.value
  if (member(header, 'crit') !== undefined || member(header, 'b64') !== undefined) return null
  const [algorithm, kid] = [member(header, 'alg'), member(header, 'kid')]
  return typeof algorithm === 'string' && typeof kid === 'string' ? keyOf(algorithm, kid) : null
}
