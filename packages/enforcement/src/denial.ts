/**
 * Every way a call can be refused: one table from code to HTTP status, JSON-RPC code, retryability and the text
 * a caller may see. What the operator learns is `explanation`, kept apart.
 */

import type {
  Action,
  EpochSeconds,
  JsonObject,
  PolicyVersion,
  Principal,
  Resource,
  ShadowVerdict,
} from '@doorward/core'

interface DenialRow {
  readonly http: number
  /** JSON-RPC error code; own codes lie outside −32768…−32000. */
  readonly rpc: number
  readonly retryable: boolean
  readonly text: string
  /** Refusals that a stranger can cause at will are counted per source and second, the others recorded singly. */
  readonly counted: boolean
  /** The operator has to find out why: a stranger's is recorded singly too, as long as the budget for that lasts. */
  readonly explained: boolean
}

function row(
  http: number,
  rpc: number,
  text: string,
  options: { retryable?: boolean; counted?: boolean; explained?: boolean } = {},
): DenialRow {
  const { retryable = false, counted = false, explained = false } = options
  return { http, rpc, text, retryable, counted, explained }
}

const stranger = { counted: true }
const busy = { retryable: true, counted: true }

export const denialTable = {
  // The connection and its certificate.
  certificate_missing: row(401, -31401, 'a client certificate is required', stranger),
  certificate_profile: row(401, -31401, 'the client certificate is not a valid X.509-SVID', stranger),
  certificate_untrusted: row(401, -31401, 'the client certificate is not from this trust domain', stranger),
  certificate_expired: row(401, -31401, 'the client certificate has expired', stranger),
  certificate_not_yet_valid: row(401, -31401, 'the client certificate is not valid yet', stranger),
  certificate_not_issued: row(401, -31401, 'the client certificate is not on the issuance record', stranger),
  certificate_denied: row(401, -31401, 'the client certificate has been revoked'),
  certificate_epoch: row(401, -31401, 'the client certificate is from an earlier trust epoch'),
  identity_denied: row(401, -31401, 'this identity has been revoked'),
  identity_unregistered: row(401, -31401, 'this identity is not registered'),
  session_resumed: row(401, -31401, 'resumed TLS sessions are not accepted', stranger),

  // The token.
  token_missing: row(401, -31401, 'an access token is required on every request'),
  token_malformed: row(401, -31401, 'the access token is malformed'),
  token_too_large: row(401, -31401, 'the access token is too large'),
  token_algorithm: row(401, -31401, 'the access token has a signature algorithm that is not accepted'),
  token_type: row(401, -31401, 'the token is of another kind'),
  token_header: row(401, -31401, 'the access token has a header parameter that is not accepted'),
  token_key_unknown: row(401, -31401, 'the access token is signed by an unknown key'),
  token_signature: row(401, -31401, 'the access token signature is not valid'),
  token_claims: row(401, -31401, 'the access token lacks a required claim or has one of the wrong type'),
  token_expired: row(401, -31401, 'the access token has expired'),
  token_not_yet_valid: row(401, -31401, 'the access token is not valid yet'),
  token_lifetime: row(401, -31401, 'the access token lives longer than is accepted'),
  token_issuer: row(401, -31401, 'the access token is from another issuer'),
  token_audience: row(401, -31401, 'the access token is for another audience'),
  token_binding: row(401, -31401, 'the access token is bound to another certificate'),
  token_subject: row(401, -31401, 'the access token is for another workload'),
  token_epoch: row(401, -31401, 'the access token is from an earlier trust epoch'),
  token_denied: row(401, -31401, 'the access token has been revoked'),
  chain_denied: row(401, -31401, 'somebody for whom this call is made has been revoked'),
  token_inactive: row(401, -31401, 'the issuer of the access token says that it is not active'),
  token_scheme: row(401, -31401, 'the access token is of another scheme than it was presented with'),
  token_misplaced: row(400, -32600, 'an access token belongs in the Authorization header alone'),
  bearer_refused: row(401, -31401, 'a bearer token is not accepted here: one that is bound to a key is'),
  dpop_invalid: row(401, -31401, 'the DPoP proof is missing or not valid'),
  dpop_nonce: row(401, -31401, 'the DPoP proof needs the nonce of this answer'),
  dpop_replayed: row(401, -31401, 'the DPoP proof was used before'),
  dpop_unavailable: row(503, -31503, 'DPoP proofs cannot be remembered now', busy),
  client_unlisted: row(403, -31403, 'this OAuth client is not let in here'),
  scope_insufficient: row(403, -31403, 'the access token lacks a scope'),
  issuer_unavailable: row(503, -31503, 'the issuer of the token cannot be asked', busy),

  // The shape of the request.
  request_malformed: row(400, -32600, 'the HTTP request is malformed', stranger),
  header_duplicate: row(400, -32600, 'a header that must be single is repeated'),
  header_name: row(400, -32600, 'a header name is not accepted'),
  header_limit: row(431, -32600, 'the request has too many or too large headers', stranger),
  host_unknown: row(421, -32600, 'the Host header does not name this service'),
  origin_unknown: row(403, -32600, 'the Origin header is not accepted'),
  path_ambiguous: row(400, -32600, 'the request path is not in canonical form'),
  path_unknown: row(404, -32600, 'there is nothing at this path'),
  http_method: row(405, -32600, 'the HTTP method is not accepted here'),
  http_version: row(505, -32600, 'only HTTP/1.1 is accepted', stranger),
  expectation: row(417, -32600, 'the Expect header is not accepted'),
  content_encoding: row(415, -32600, 'an encoded request body is not accepted'),
  content_type: row(415, -32600, 'the Content-Type header is not accepted here'),
  accept_type: row(406, -32600, 'the Accept header must allow application/json and text/event-stream'),
  body_too_large: row(413, -32600, 'the request body is too large'),
  body_missing: row(400, -32600, 'a request body is required'),
  body_aborted: row(400, -32600, 'the request body ended early'),
  body_slow: row(408, -32600, 'the request body arrived too slowly'),

  // The message.
  json_syntax: row(400, -32700, 'the body is not JSON'),
  json_not_utf8: row(400, -32700, 'the body is not UTF-8'),
  json_lone_surrogate: row(400, -32700, 'the body has half of a surrogate pair'),
  json_bom: row(400, -32700, 'the body starts with a byte order mark'),
  json_too_large: row(413, -32600, 'the body is too large'),
  json_too_deep: row(400, -32700, 'the body is nested too deeply'),
  json_too_many_keys: row(400, -32700, 'the body has too many keys'),
  json_duplicate_key: row(400, -32700, 'the body repeats a key'),
  json_forbidden_key: row(400, -32700, 'the body has a key that is not accepted'),
  message_malformed: row(400, -32600, 'the body is not one JSON-RPC 2.0 message'),
  message_batch: row(400, -32600, 'JSON-RPC batches are not accepted'),
  message_envelope: row(400, -32602, 'the message metadata is malformed'),
  message_header_mismatch: row(400, -32020, 'a header disagrees with the body'),
  protocol_version: row(400, -32022, 'the protocol version is not supported'),
  method_unknown: row(200, -32601, 'method not found'),
  subject_missing: row(200, -32602, 'the message names no subject'),
  notification_unknown: row(400, -32600, 'the notification is not accepted'),
  response_unexpected: row(400, -32600, 'no request is waiting for this response'),
  handle_unknown: row(200, -32602, 'there is no such task or request state'),
  push_notification_refused: row(200, -32003, 'push notifications are not supported here'),
  session_missing: row(400, -32600, 'the Mcp-Session-Id header is required'),
  session_unknown: row(404, -32001, 'session not found'),
  session_limit: row(429, -31429, 'this caller has too many sessions', { retryable: true }),
  stream_limit: row(429, -31429, 'this caller has too many open streams', { retryable: true }),
  stream_withheld: row(403, -31403, 'an answer of this session is not allowed any more: its streams are not resumed'),

  // The decision.
  policy_denied: row(200, -31403, 'denied by policy'),
  policy_forbidden: row(200, -31403, 'denied by policy'),
  policy_error: row(200, -31403, 'denied: a policy that applies could not be evaluated'),
  definition_unapproved: row(200, -31403, 'refused: an operator has not approved what the server says of this'),
  approval_pending: row(200, -31403, 'a human has to approve this call before it is made'),
  approval_denied: row(200, -31403, 'a human has denied this call'),
  approval_cooling: row(200, -31403, 'calls of this have been denied too often: nobody is asked for a while'),
  approval_limit: row(200, -31403, 'too many calls of this caller wait for an approval'),
  approval_unavailable: row(503, -31503, 'nobody can be asked to approve this call', { retryable: true }),
  request_unseen: row(403, -31403, 'this can only be decided where the whole request and its answer pass'),
  asker_refused: row(403, -31403, 'this proxy may not ask for decisions about this service'),
  assertion_invalid: row(400, -32600, 'what the asking proxy says of the request is not accepted', { explained: true }),
  approver_refused: row(403, -31403, 'this caller may not approve this'),
  request_invalid: row(400, -32602, 'the request is not valid'),
  resource_unknown: row(404, -32602, 'there is no such thing'),
  conflict: row(409, -32602, 'the request conflicts with what is there'),
  log_refused: row(403, -31403, 'this caller may not speak for this log'),
  log_contradicted: row(409, -32602, 'the checkpoint does not follow from the one that is remembered'),
  login_refused: row(403, -31403, 'the sign-in was refused', { explained: true }),
  join_refused: row(403, -31403, 'the join was refused', { explained: true }),
  delegation_refused: row(403, -31403, 'the delegation was refused'),
  instance_locked: row(403, -31403, 'this copy of the workload is locked'),
  grant_refused: row(400, -32602, 'the sign-in counts no more: sign in again'),
  grant_unsupported: row(400, -32602, 'the grant type is not supported'),
  exchange_refused: row(400, -32602, 'the token that was shown is not exchanged'),
  exchange_audience: row(400, -32602, 'the token that was shown is not addressed to this caller'),
  exchange_actor: row(400, -32602, 'the token that was shown names others who may act'),
  exchange_loop: row(400, -32602, 'this caller is in the chain of the token already'),
  exchange_depth: row(400, -32602, 'the chain of the token is as long as it may be'),
  exchange_denied: row(400, -32602, 'somebody in the chain of the token has been denied'),
  scope_unknown: row(400, -32602, 'the scope is none that a token can be narrowed to'),
  scope_widened: row(400, -32602, 'the scope is wider than that of the token that was shown'),
  audience_unknown: row(400, -32602, 'tokens are not given for this audience'),
  proof_invalid: row(403, -31403, 'the proof of possession is not valid'),

  // Limits and health.
  limit_global: row(429, -31429, 'the service is at its request limit', busy),
  limit_ip: row(429, -31429, 'this address is at its request limit', busy),
  limit_user: row(429, -31429, 'this caller is at its request limit', busy),
  limit_concurrency: row(429, -31429, 'this caller has too many calls under way', busy),
  limit_bytes: row(429, -31429, 'this caller is at its limit of bytes', busy),
  overloaded: row(503, -31503, 'the service is overloaded', busy),
  trust_reduced: row(503, -31503, 'the service runs at a reduced rate', busy),
  trust_stale: row(503, -31503, 'the service has no current trust state', busy),
  policy_unavailable: row(503, -31503, 'no policy decision can be made', busy),
  record_unavailable: row(503, -31503, 'the record cannot be written', busy),
  limits_unavailable: row(503, -31503, 'the limits cannot be counted', busy),
  store_unavailable: row(503, -31503, 'the store cannot be reached', { retryable: true }),
  authority_unready: row(503, -31503, 'the authority cannot sign now', { retryable: true }),
  lifetime_unfit: row(403, -31403, 'certificates of this workload are registered to live too long'),
  upstream_unavailable: row(502, -31502, 'the server behind the gateway cannot be reached', { retryable: true }),
  upstream_invalid: row(502, -31502, 'the server behind the gateway gave an answer that is not accepted'),
  output_too_large: row(502, -31502, 'the answer of the server is larger than an operator lets through'),
  output_invalid: row(502, -31502, 'the answer of the server does not have the structure that was approved'),
  upstream_timeout: row(504, -31504, 'the server behind the gateway did not answer in time', { retryable: true }),
  upstream_circuit_open: row(503, -31503, 'the server behind the gateway has failed too often and is given a pause', {
    retryable: true,
  }),
  upstream_busy: row(503, -31503, 'the server behind the gateway has as many requests under way as it may', {
    retryable: true,
  }),
  upstream_identity: row(502, -31502, 'whoever answered is not the workload that is expected there'),
  local_caller_refused: row(403, -31403, 'this program of the machine may not use the sidecar'),
  credential_unavailable: row(503, -31503, 'the credential for the server behind the gateway cannot be had now', {
    retryable: true,
  }),
  credential_user_needed: row(403, -31403, 'the server behind the gateway is called for people alone: sign in first'),
  consent_needed: row(200, -31403, 'the person has to allow this in a browser first'),
  client_unknown: row(400, -32602, 'this client, or where it wants to be answered, is not known here', stranger),
  consent_unknown: row(404, -31403, 'this link is not good any more', stranger),
  consent_refused: row(403, -31403, 'nothing was granted', stranger),
  consent_other_person: row(403, -31403, 'this link is for another person', stranger),
  consent_unavailable: row(503, -31503, 'the provider cannot be asked now', { ...busy, explained: true }),
  credential_withheld: row(403, -31403, 'no credential for the server behind the gateway is meant for this caller'),
  credential_refused: row(502, -31502, 'the server behind the gateway does not accept the credential that it is given'),
  server_changed: row(404, -31502, 'the server behind the gateway was changed or taken away: begin again', {
    retryable: true,
  }),
  internal: row(500, -32603, 'internal error'),
} as const satisfies Readonly<Record<string, DenialRow>>

export type DenialCode = keyof typeof denialTable

/** The row of a code. */
export function denialRow(code: DenialCode): DenialRow {
  return denialTable[code]
}

/** True when the text is a code of the table; own properties only. */
export function isDenialCode(text: string): text is DenialCode {
  return Object.hasOwn(denialTable, text)
}

/** What identifies a caller that was not (yet) fully identified. */
export interface PartialCaller {
  readonly id: string
  readonly certificateFingerprint: string
  readonly certificateSerial: string
}

/** What `RateLimit` and `RateLimit-Policy` tell (draft-ietf-httpapi-ratelimit-headers-11). */
export interface ExhaustedLimit {
  /** Visible ASCII. */
  readonly name: string
  readonly unit: 'requests' | 'content-bytes' | 'concurrent-requests'
  readonly quota: number
  /** Null: of what is under way. */
  readonly windowSeconds: number | null
}

/** What a caller learns of the request that a human is asked with. */
export interface AskedApproval {
  readonly id: string
  /** Groups, of each of which somebody has to approve. */
  readonly by: readonly string[]
  readonly expires: EpochSeconds
}

/** Where the person of a call can allow what it needs. */
export interface AskedConsent {
  readonly url: string
  /** Seconds since 1970. */
  readonly expires: number
}

export interface Denial {
  readonly denied: true
  readonly code: DenialCode
  /** For the operator: expected versus got. No secrets. */
  readonly explanation: string
  /** Present once the certificate is verified; strangers have none. */
  readonly caller: PartialCaller | Principal | null
  readonly action: Action | null
  readonly resource: Resource | null
  /** The narrowest permission that would have allowed the call. */
  readonly wouldAllow: string | null
  readonly policies: readonly string[]
  readonly policyVersion: PolicyVersion | null
  /** What a candidate policy would have said otherwise. */
  readonly shadow: ShadowVerdict | null
  readonly retryAfterSeconds: number | null
  /** The limit that was exhausted, as the caller may know it. */
  readonly limit: ExhaustedLimit | null
  /** The request for an approval that it is about. */
  readonly approval: AskedApproval | null
  /** For the person of the call, and good for nobody else. */
  readonly consent: AskedConsent | null
  /** What a caller of our own API is told as well, because it may know it. */
  readonly details: JsonObject | null
  /** All scopes that a token needs for this, where more of them would help. */
  readonly scope: string | null
  /** JSON-RPC id to answer with; undefined when there is none to answer. */
  readonly rpcId: string | number | undefined
  /** `data` of the JSON-RPC error. */
  readonly rpcData: unknown
  /** Replaces the table's HTTP status where the protocol era demands another. */
  readonly http: number | null
  /** Replaces the table's JSON-RPC code likewise. */
  readonly rpc: number | null
}

const blank = {
  caller: null,
  action: null,
  resource: null,
  wouldAllow: null,
  policies: [] as readonly string[],
  policyVersion: null,
  shadow: null,
  retryAfterSeconds: null,
  limit: null,
  approval: null,
  consent: null,
  details: null,
  scope: null,
  rpcId: undefined,
  rpcData: undefined,
  http: null,
  rpc: null,
} as const

/** A refusal as a value. */
export function deny(
  code: DenialCode,
  explanation: string,
  detail: Partial<Omit<Denial, 'denied' | 'code' | 'explanation'>> = {},
): Denial {
  return { ...blank, ...detail, denied: true, code, explanation }
}

export function isDenial(value: object): value is Denial {
  return 'denied' in value && value.denied === true
}
