/** What OpenSSL and Node report when a handshake fails, as stable reasons. */

import type { TLSSocket } from 'node:tls'
import type { GateRefusal } from './connection-gate.ts'
import type { PaceProblem } from './connection-pace.ts'

/** The last three are not the handshake's: the HTTP parser refused what came after it. */
export type HandshakeReason =
  | GateRefusal
  | 'proxy_header'
  | 'connection_idle'
  | PaceProblem
  | 'certificate_missing'
  | 'certificate_untrusted'
  | 'certificate_expired'
  | 'certificate_not_yet_valid'
  | 'certificate_malformed'
  | 'tls_version'
  | 'tls_cipher'
  | 'tls_group'
  | 'tls_protocol'
  | 'tls_plaintext'
  | 'tls_timeout'
  | 'tls_aborted'
  | 'tls_resumed'
  | 'tls_error'
  | 'own_certificate_missing'
  | 'request_malformed'
  | 'header_limit'
  | 'body_slow'

const byErrorCode: ReadonlyMap<string, HandshakeReason> = new Map<string, HandshakeReason>([
  ['ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE', 'certificate_missing'],
  ['ERR_SSL_UNSUPPORTED_PROTOCOL', 'tls_version'],
  ['ERR_SSL_NO_SHARED_CIPHER', 'tls_cipher'],
  ['ERR_SSL_NO_SUITABLE_KEY_SHARE', 'tls_group'],
  ['ERR_SSL_NO_APPLICATION_PROTOCOL', 'tls_protocol'],
  ['ERR_SSL_HTTP_REQUEST', 'tls_plaintext'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'tls_plaintext'],
  ['ERR_SSL_HTTPS_PROXY_REQUEST', 'tls_plaintext'],
  ['ERR_TLS_HANDSHAKE_TIMEOUT', 'tls_timeout'],
  ['ECONNRESET', 'tls_aborted'],
  ['EPIPE', 'tls_aborted'],
])

const byVerification: ReadonlyMap<string, HandshakeReason> = new Map<string, HandshakeReason>([
  ['CERT_HAS_EXPIRED', 'certificate_expired'],
  ['CERT_NOT_YET_VALID', 'certificate_not_yet_valid'],
  ['ERROR_IN_CERT_NOT_AFTER_FIELD', 'certificate_malformed'],
  ['ERROR_IN_CERT_NOT_BEFORE_FIELD', 'certificate_malformed'],
])

/**
 * The reason of a failed handshake. A peer certificate that OpenSSL does not accept is not reported as an error: Node
 * closes the socket and leaves the verdict in `authorizationError`.
 */
export function handshakeReason(error: NodeJS.ErrnoException, socket: TLSSocket): HandshakeReason {
  const verification: unknown = socket.authorizationError
  if (typeof verification === 'string') return byVerification.get(verification) ?? 'certificate_untrusted'
  return byErrorCode.get(error.code ?? '') ?? 'tls_error'
}

/** The same while we have nothing to show: what we cannot do is no mistake of the peer's. */
export function withoutCertificate(error: NodeJS.ErrnoException, socket: TLSSocket): HandshakeReason {
  if (error.code === 'ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM') return 'own_certificate_missing'
  return handshakeReason(error, socket)
}

/** For the operator: OpenSSL's own words, without addresses of memory. */
export function handshakeDetail(error: NodeJS.ErrnoException, socket: TLSSocket): string {
  const verification: unknown = socket.authorizationError
  return typeof verification === 'string' ? verification : (error.code ?? error.name)
}
