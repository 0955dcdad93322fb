/** One MCP message over HTTP as it is judged, wherever its server is: behind a gateway, or the program itself. */

import {
  classifyMcp,
  decodeMirrored,
  DEFAULT_JSON_LIMITS,
  namesModernVersion,
  refuseJson,
  scanJson,
  trimHeader,
} from '@doorward/core'
import type { Classified, ClassifiedRequest, JsonValue, McpExchange, McpRefusal, McpRefusalCode } from '@doorward/core'
import { deny } from './denial.ts'
import type { Denial, DenialCode } from './denial.ts'
import type { RequestHead } from './inbound.ts'
import { isMediaType } from './media-type.ts'

export interface McpReading extends Pick<McpExchange, 'session' | 'supported'> {
  readonly head: RequestHead
  readonly body: Uint8Array
  /** Most bytes of a body. */
  readonly bodyBytes: number
}

export interface ReadMcpMessage {
  readonly message: Classified
  /** The body; undefined for what is no POST. */
  readonly value: JsonValue | undefined
}

const denialOfRefusal: Readonly<Record<McpRefusalCode, DenialCode>> = {
  mcp_batch: 'message_batch',
  mcp_envelope_malformed: 'message_envelope',
  mcp_header_mismatch: 'message_header_mismatch',
  mcp_http_method_refused: 'http_method',
  mcp_key_lookalike: 'message_malformed',
  mcp_message_malformed: 'message_malformed',
  mcp_method_unlisted: 'method_unknown',
  mcp_notification_refused: 'notification_unknown',
  mcp_params_malformed: 'subject_missing',
  mcp_subject_missing: 'subject_missing',
  mcp_version_unsupported: 'protocol_version',
}

/** True when the head is that of a request of the modern era, whatever its body turns out to be. */
export function isModern({ headers }: RequestHead): boolean {
  return namesModernVersion(headers['mcp-protocol-version'])
}

/** Streamable HTTP: JSON in, JSON or an event stream out, and the client must be ready for either. */
export function contentProblem(head: RequestHead): Denial | null {
  const accept = head.headers['accept'] ?? ''
  if (head.method === 'GET' && !accept.includes('text/event-stream'))
    return deny('accept_type', 'expected Accept: text/event-stream')
  if (head.method !== 'POST') return null
  if (!isMediaType(head.headers['content-type'], 'application/json'))
    return deny('content_type', 'expected Content-Type: application/json, in UTF-8')
  if (accept.includes('application/json') && accept.includes('text/event-stream')) return null
  return deny('accept_type', 'expected Accept: application/json, text/event-stream')
}

/** What the message asks for, judged by its body. */
export function readMcpMessage({ head, body, bodyBytes, session, supported }: McpReading): ReadMcpMessage | Denial {
  const scanned = head.method === 'POST' ? scanBody(body, bodyBytes) : { value: undefined }
  if ('denied' in scanned) return scanned
  const { value } = scanned
  const headers = {
    protocolVersion: head.headers['mcp-protocol-version'],
    method: head.headers['mcp-method'],
    name: head.headers['mcp-name'],
  }
  const message = classifyMcp({ httpMethod: head.method, headers, body: value, session, supported })
  if (message.kind === 'refusal') return refusalDenial(message, denialOfRefusal[message.code])
  return { message, value }
}

/** What a header says of an argument is for its server to compare; what cannot be read is nobody's. */
export function parameterProblem({ headers }: RequestHead, message: ClassifiedRequest): Denial | null {
  for (const name in headers) {
    if (name.startsWith('mcp-param-') && decodeMirrored(trimHeader(headers[name] ?? '')) === null)
      return deny('message_header_mismatch', `${name.slice(0, 64)} is not base64 of UTF-8`, rpcIdOf(message))
  }
  return null
}

/** The id to answer with. */
export function rpcIdOf(message: Classified): { readonly rpcId: ClassifiedRequest['id'] | undefined } {
  return { rpcId: message.kind === 'request' ? message.id : undefined }
}

function scanBody(body: Uint8Array, maxBytes: number): { readonly value: JsonValue } | Denial {
  const scan = scanJson(body, { ...DEFAULT_JSON_LIMITS, maxBytes })
  if (scan.ok) return scan
  return refusalDenial(refuseJson(scan), scan.code)
}

function refusalDenial(refusal: McpRefusal<string>, code: DenialCode): Denial {
  return deny(code, refusal.message, {
    http: refusal.http,
    rpc: refusal.rpcCode,
    rpcData: refusal.data ?? null,
    rpcId: refusal.id ?? undefined,
  })
}
