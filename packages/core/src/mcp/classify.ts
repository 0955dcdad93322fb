/** Which action on which resource a message asks for. Judged by the body; headers can only contradict it. */

import type { JsonObject, JsonValue } from '../json-value.ts'
import { isJsonObject } from '../json/object.ts'
import { readEnvelope, type Envelope } from './envelope.ts'
import type { Classified, ClassifiedRequest } from './classified.ts'
import { isRequestId, parseMessage, type McpMessage, type RequestId } from './message.ts'
import { SERVER_SUBJECT, type Era, type Revision } from './method.ts'
import { mirrorsName, trimHeader, type McpHeaders } from './mirrored-headers.ts'
import { refuseMalformed, refuseRequest, refuseSilently, type McpRefusal } from './refusal.ts'
import { DEFAULT_VERSION, isModernVersion, legacyRevision, REVISIONS } from './revisions.ts'
import { findSubject } from './subject.ts'

/** One HTTP exchange with an MCP endpoint, as far as classification needs it. */
export interface McpExchange {
  readonly httpMethod: string
  readonly headers: McpHeaders
  /** The scanned body of a POST; undefined for other methods. */
  readonly body: JsonValue | undefined
  /** The session that the request names, with the version it has settled on; null without one. */
  readonly session: { readonly version: string } | null
  /** Versions that may be used here, newest first: those of the upstream that the gateway knows too. */
  readonly supported: readonly string[]
}

/**
 * Classifies one exchange, in the order of the SDK's `classifyInboundRequest`: verb, message shape,
 * response, `initialize`, envelope, modern header without envelope, legacy. Everything that is not
 * listed for the revision is refused, and so is a subject that is missing or not a string.
 *
 * A message of the legacy era is judged by its session's version, without session by the header, without
 * header by 2025-03-26; a header that contradicts the session is refused.
 * Not checked: whether the session exists and is the caller's, whether a request that a message refers
 * to is pending, and what params beyond the subject hold.
 */
export function classifyMcp(exchange: McpExchange): Classified | McpRefusal {
  if (exchange.httpMethod !== 'POST') return classifySessionOperation(exchange)
  const message = parseMessage(exchange.body)
  switch (message.kind) {
    case 'malformed':
      return refuseMalformed(message)
    case 'result':
    case 'error':
      return classifyResponse(exchange, message)
    case 'request':
      return unlessContradicted(exchange, message, classifyRequest(exchange, message))
    case 'notification':
      return classifyNotification(exchange, message)
  }
}

type Request = Extract<McpMessage, { kind: 'request' }>
type Notification = Extract<McpMessage, { kind: 'notification' }>
type Response = Extract<McpMessage, { kind: 'result' | 'error' }>

/** The legacy era knows no mirrored headers; one that is there all the same must say what the body says. */
function unlessContradicted(
  { headers }: McpExchange,
  { id, method }: Request,
  result: Classified | McpRefusal,
): Classified | McpRefusal {
  if (result.kind !== 'request' || result.era !== 'legacy') return result
  if (headers.method !== undefined && trimHeader(headers.method) !== method)
    return mismatch(id, 'expected Mcp-Method to be the method of the body')
  if (headers.name !== undefined && !mirrorsName(headers.name, result.row.subject, result.subject))
    return mismatch(id, 'expected Mcp-Name to be the name in the body')
  return result
}

function versionHeader({ headers }: McpExchange): string | undefined {
  return headers.protocolVersion === undefined ? undefined : trimHeader(headers.protocolVersion)
}

function namesModern(exchange: McpExchange): boolean {
  return namesModernVersion(exchange.headers.protocolVersion)
}

/** True when the header `MCP-Protocol-Version` names a version of the modern era, known or not. */
export function namesModernVersion(header: string | undefined): boolean {
  return header !== undefined && isModernVersion(trimHeader(header))
}

/** The revision that governs a message of the legacy era, or why there is none. */
function governing(exchange: McpExchange): Revision | 'mcp_header_mismatch' | 'mcp_version_unsupported' {
  const header = versionHeader(exchange)
  const { session } = exchange
  if (session !== null && header !== undefined && header !== session.version) return 'mcp_header_mismatch'
  return legacyRevision(session?.version ?? header ?? DEFAULT_VERSION, exchange.supported) ?? 'mcp_version_unsupported'
}

const WHY_NOT_GOVERNED = {
  mcp_header_mismatch: 'expected MCP-Protocol-Version to be the version of the session',
  mcp_version_unsupported: 'expected a supported protocol version',
}

function classifySessionOperation(exchange: McpExchange): Classified | McpRefusal {
  const operation = exchange.httpMethod === 'GET' ? 'stream' : exchange.httpMethod === 'DELETE' ? 'end' : null
  // The modern era knows only POST.
  if (operation === null || namesModern(exchange))
    return refuseSilently('mcp_http_method_refused', 405, 'expected POST, or GET or DELETE on a session')
  const revision = governing(exchange)
  if (typeof revision === 'string') return refuseSilently(revision, 400, WHY_NOT_GOVERNED[revision])
  return { kind: 'session-operation', era: 'legacy', revision: revision.version, operation, subject: SERVER_SUBJECT }
}

function classifyResponse(exchange: McpExchange, message: Response): Classified | McpRefusal {
  const revision = governing(exchange)
  if (typeof revision === 'string') return refuseSilently(revision, 400, WHY_NOT_GOVERNED[revision])
  if (message.id === null) return refuseSilently('mcp_message_malformed', 400, 'expected a response with an id')
  return {
    kind: 'response',
    era: 'legacy',
    revision: revision.version,
    id: message.id,
    outcome: message.kind,
    subject: SERVER_SUBJECT,
  }
}

function classifyNotification(exchange: McpExchange, message: Notification): Classified | McpRefusal {
  const modern = readEnvelope(message.params).kind !== 'absent' || namesModern(exchange)
  if (modern)
    return refuseSilently('mcp_notification_refused', 400, 'expected no notification from a client of this revision')
  const revision = governing(exchange)
  if (typeof revision === 'string') return refuseSilently(revision, 400, WHY_NOT_GOVERNED[revision])
  const row = revision.client.get(message.method)
  if (row?.kind !== 'notification')
    return refuseSilently('mcp_notification_refused', 400, 'expected a notification of this revision')
  const found = findSubject(row.subject, message.params)
  const refersTo = row.refersTo === undefined ? undefined : message.params?.[row.refersTo]
  if (found === null || (row.refersTo !== undefined && !isRequestId(refersTo))) {
    return refuseSilently('mcp_subject_missing', 400, 'expected the notification to name its subject')
  }
  return {
    kind: 'notification',
    era: 'legacy',
    revision: revision.version,
    method: message.method,
    row,
    subject: found.subject,
    refersTo: refersTo as RequestId | undefined,
  }
}

function classifyRequest(exchange: McpExchange, message: Request): Classified | McpRefusal {
  const envelope = readEnvelope(message.params)
  if (message.method === 'initialize') {
    if (envelope.kind === 'present' && isModernVersion(envelope.version)) return unlisted(message.id, 'modern')
    return classifyInitialize(exchange, message)
  }
  if (envelope.kind !== 'absent') return classifyModern(exchange, message, envelope)
  if (namesModern(exchange)) {
    return refuseRequest('mcp_envelope_malformed', message.id, {
      http: 400,
      rpcCode: -32602,
      message: 'expected the metadata of protocol revision 2026-07-28 in params._meta',
    })
  }
  const revision = governing(exchange)
  if (revision === 'mcp_version_unsupported')
    return unsupported(exchange, message.id, exchange.session?.version ?? versionHeader(exchange) ?? DEFAULT_VERSION)
  if (revision === 'mcp_header_mismatch') return mismatch(message.id, WHY_NOT_GOVERNED[revision])
  return classifyListed(revision, message)
}

/**
 * The legacy handshake. The version asked for may be one that nobody knows, since the server answers with
 * one of its own; the table is then that of the newest supported one.
 */
function classifyInitialize(exchange: McpExchange, message: Request): Classified | McpRefusal {
  const header = versionHeader(exchange)
  if (header !== undefined && isModernVersion(header))
    return mismatch(message.id, 'expected no initialize under this MCP-Protocol-Version')
  if (header !== undefined && legacyRevision(header, exchange.supported) === undefined)
    return unsupported(exchange, message.id, header)
  const requested = message.params?.['protocolVersion']
  if (typeof requested !== 'string') {
    return refuseRequest('mcp_params_malformed', message.id, {
      http: 200,
      rpcCode: -32602,
      message: 'expected params.protocolVersion to be a string',
    })
  }
  const revision = legacyRevision(requested, exchange.supported) ?? newestLegacy(exchange.supported)
  return revision === undefined ? unsupported(exchange, message.id, requested) : classifyListed(revision, message)
}

function newestLegacy(supported: readonly string[]): Revision | undefined {
  const version = supported.find((candidate) => legacyRevision(candidate, supported) !== undefined)
  return version === undefined ? undefined : REVISIONS.get(version)
}

function classifyModern(
  exchange: McpExchange,
  message: Request,
  envelope: Exclude<Envelope, { kind: 'absent' }>,
): Classified | McpRefusal {
  const { id } = message
  if (envelope.kind === 'malformed') {
    return refuseRequest('mcp_envelope_malformed', id, {
      http: 400,
      rpcCode: -32602,
      message: `expected a valid ${envelope.key} in params._meta`,
    })
  }
  if (versionHeader(exchange) !== envelope.version)
    return mismatch(id, 'expected MCP-Protocol-Version to be the version in params._meta')
  const revision = exchange.supported.includes(envelope.version) ? REVISIONS.get(envelope.version) : undefined
  if (revision?.era !== 'modern') return unsupported(exchange, id, envelope.version)
  const { headers } = exchange
  if (headers.method === undefined || trimHeader(headers.method) !== message.method)
    return mismatch(id, 'expected Mcp-Method to be the method of the body')
  const classified = classifyListed(revision, message, envelope.capabilities)
  if (classified.kind === 'request' && !mirrorsName(headers.name, classified.row.subject, classified.subject)) {
    return mismatch(id, 'expected Mcp-Name to be the name in the body')
  }
  return classified
}

/** Looks the method up and takes from the params what policy needs. */
function classifyListed(
  revision: Revision,
  message: Request,
  capabilities?: JsonObject,
): ClassifiedRequest | McpRefusal {
  const { id, method, params } = message
  const row = revision.client.get(method)
  if (row?.kind !== 'request') return unlisted(id, revision.era)
  const found = findSubject(row.subject, params)
  if (found === null)
    return refuseRequest('mcp_subject_missing', id, {
      http: 200,
      rpcCode: -32602,
      message: 'expected params to name what the request is about',
    })
  const args = row.takesArguments ? params?.['arguments'] : undefined
  const meta = params?.['_meta']
  const progressToken = isJsonObject(meta) ? meta['progressToken'] : undefined
  const malformed =
    (args !== undefined && !isJsonObject(args)) ||
    (meta !== undefined && !isJsonObject(meta)) ||
    (progressToken !== undefined && !isRequestId(progressToken))
  if (malformed) {
    return refuseRequest('mcp_params_malformed', id, {
      http: 200,
      rpcCode: -32602,
      message: 'expected objects as arguments and _meta, and a string or integer as progressToken',
    })
  }
  return {
    kind: 'request',
    era: revision.era,
    revision: revision.version,
    method,
    row,
    id,
    subject: found.subject,
    parts: found.parts,
    args,
    progressToken,
    listOf: row.list?.kind,
    asTask: params?.['task'] !== undefined,
    capabilities,
  }
}

/** A legacy client takes a 404 for the end of its session; a modern one needs it. */
function unlisted(id: RequestId, era: Era): McpRefusal {
  return refuseRequest('mcp_method_unlisted', id, {
    http: era === 'modern' ? 404 : 200,
    rpcCode: -32601,
    message: 'method not found',
  })
}

function mismatch(id: RequestId, message: string): McpRefusal {
  return refuseRequest('mcp_header_mismatch', id, { http: 400, rpcCode: -32020, message })
}

function unsupported({ supported }: McpExchange, id: RequestId, requested: string): McpRefusal {
  return refuseRequest('mcp_version_unsupported', id, {
    http: 400,
    rpcCode: -32022,
    message: WHY_NOT_GOVERNED.mcp_version_unsupported,
    data: { supported, requested },
  })
}
