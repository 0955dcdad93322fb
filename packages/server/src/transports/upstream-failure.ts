/** What an error of a connection to a server says about the server. */

import type { AskedConsent, DenialCode } from '@doorward/enforcement'
import { CredentialError } from './server-credential.ts'

export interface ConnectionFailure {
  readonly code: DenialCode
  readonly reason: string
  /** The connection did not come about or broke, and not for lack of time. Whether anything was sent, others know. */
  readonly refused: boolean
  /** What its person can do about it. */
  readonly consent: AskedConsent | null
}

const REFUSED: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])
/** It was answered, but not in HTTP as it must be. */
const INVALID: ReadonlySet<string> = new Set([
  'HTTPParserError',
  'UND_ERR_HEADERS_OVERFLOW',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
])

export function failureOf(error: Error): ConnectionFailure {
  if (error instanceof CredentialError)
    return { code: error.denial, reason: error.message, refused: false, consent: error.consent }
  // The parser has codes of its own, or none.
  const reason = error.name === 'HTTPParserError' || !('code' in error) ? error.name : String(error.code)
  const code = INVALID.has(reason) ? 'upstream_invalid' : 'upstream_unavailable'
  return { code, reason, refused: REFUSED.has(reason), consent: null }
}
