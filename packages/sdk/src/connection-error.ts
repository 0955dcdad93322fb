/** What went wrong with a connection, told apart by what the caller can do about it. */

import { DoorwardError } from '@doorward/core'

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EADDRNOTAVAIL',
  'ENETDOWN',
  'EHOSTDOWN',
])
const UNTRUSTED = new Set([
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'CERT_REJECTED',
  'CERT_NOT_YET_VALID',
  'CERT_HAS_EXPIRED',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'PATH_LENGTH_EXCEEDED',
])
const ABORTED = 'ABORT_ERR'

/**
 * `server_unreachable` nothing was sent · `server_untrusted` the chain does not end at an anchor · `connection_refused` a TLS
 * alert: the server does not take our certificate or terms · `connection_lost` it broke, and what was sent may have arrived ·
 * `connection_timeout` no answer in time · `call_aborted` by the caller's signal.
 */
export function connectionError(error: unknown, where: string): DoorwardError {
  if (error instanceof DoorwardError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const detail = {
    where,
    got: error instanceof Error ? `${code} ${error.message}`.trim() : String(error),
    cause: error,
  }
  if (error instanceof Error && isTimeout(error)) {
    return new DoorwardError('connection_timeout', 'the server did not answer in time', detail)
  }
  if (code === ABORTED || (error instanceof Error && error.name === 'AbortError')) {
    return new DoorwardError('call_aborted', 'the call was aborted', detail)
  }
  if (UNREACHABLE.has(code)) return new DoorwardError('server_unreachable', 'the server cannot be reached', detail)
  if (UNTRUSTED.has(code))
    return new DoorwardError('server_untrusted', 'the server does not chain to an anchor of the trust state', detail)
  if (/^ERR_SSL_|^EPROTO$/.test(code))
    return new DoorwardError('connection_refused', 'the server refused the TLS connection', detail)
  return new DoorwardError('connection_lost', 'the connection broke', detail)
}

/** How `AbortSignal.timeout` shows: itself, or as the cause of an abort. */
function isTimeout(error: Error): boolean {
  return error.name === 'TimeoutError' || (error.cause instanceof Error && error.cause.name === 'TimeoutError')
}
