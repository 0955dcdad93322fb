/** The one place that turns a refusal into bytes. What a caller learns stands in the denial table, the rest in the record. */

import { utf8 } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import { denialRow } from '../denial.ts'
import type { Denial } from '../denial.ts'
import type { RequestHead } from '../inbound.ts'
import type { Refusal } from '../pipeline.ts'
import type { RefusalEntry } from '../record.ts'
import { closeAfterAnswer, send } from './exchange.ts'
import type { AnswerHeaders, Exchange } from './exchange.ts'
import { oauthErrorOf } from './oauth-error.ts'
import { rateLimitFields } from './rate-limit-fields.ts'

export interface RefusalForm {
  /** The body is a JSON-RPC message; plain API errors otherwise. */
  readonly rpc?: boolean
  /** The error response of a token endpoint, status and body (RFC 6749 §5.2). */
  readonly oauth?: boolean
  /** A refused `tools/call`: a result with `isError`, which models read. */
  readonly toolCall?: boolean
  /** The answer is to a request of the modern era, whose results say what they are. */
  readonly modern?: boolean
  /** Values of `WWW-Authenticate`, in place of the plain one of a 401; none for no challenge. */
  readonly challenge?: (denial: Denial, status: number) => readonly string[]
}

/** The decision id, absent where the refusal was only counted or could not be recorded. */
export function decisionIdOf(entry: RefusalEntry): string | null {
  return entry === 'counted' || entry === 'unrecorded' ? null : entry.toString()
}

/** Answers a recorded refusal: status and body from the table, `Doorward-Decision` and `Doorward-Code` headers. */
export function sendRefusal(exchange: Exchange, refusal: Refusal, form: RefusalForm = {}): void {
  // Whoever is refused before the body was read must not go on in the middle of it.
  if (exchange.problem !== null) closeAfterAnswer(exchange)
  const { status, headers, body } = refusalAnswer(exchange.head, refusal, form)
  send(exchange, status, headers, body)
}

export interface RefusalAnswer {
  readonly status: number
  readonly headers: AnswerHeaders
  readonly body: string
}

/** What a refused request is answered with, wherever it lies. */
export function refusalAnswer(
  head: Pick<RequestHead, 'method' | 'headers'>,
  { denial, entry }: Refusal,
  form: RefusalForm = {},
): RefusalAnswer {
  const decision = decisionIdOf(entry)
  const oauth = form.oauth === true ? oauthErrorOf(denial) : null
  const status = oauth?.status ?? httpStatus(head, denial, form)
  const body = oauth?.body ?? (form.rpc === true ? rpcBody(denial, decision, form) : plainBody(denial, decision))
  const challenges = form.challenge?.(denial, status) ?? (status === 401 ? [challengeOf(head)] : [])
  const challenge = challenges.length === 0 ? {} : { 'WWW-Authenticate': challenges }
  return { status, headers: { ...refusalHeaders(denial, decision), ...challenge }, body: JSON.stringify(body) }
}

/** The JSON-RPC message of a recorded refusal, for an answer that has begun as a stream. */
export function refusalMessage({ denial, entry }: Refusal, form: RefusalForm): Uint8Array {
  return utf8(JSON.stringify(rpcBody(denial, decisionIdOf(entry), form)))
}

/** 200 is for answers to JSON-RPC requests; what expects no answer is refused by its status. */
function httpStatus({ method }: Pick<RequestHead, 'method'>, denial: Denial, form: RefusalForm): number {
  const status = denial.http ?? denialRow(denial.code).http
  if (status !== 200 || (form.rpc === true && denial.rpcId !== undefined)) return status
  return form.rpc === true && method === 'POST' ? 400 : 403
}

function refusalHeaders(denial: Denial, decision: string | null): Readonly<Record<string, string>> {
  return {
    'Content-Type': 'application/json',
    'Cache-Control': 'no-store',
    'Doorward-Code': denial.code,
    ...(decision === null ? {} : { 'Doorward-Decision': decision }),
    ...(denial.retryAfterSeconds === null ? {} : { 'Retry-After': String(denial.retryAfterSeconds) }),
    ...(denial.limit === null ? {} : rateLimitFields(denial.limit, denial.retryAfterSeconds)),
  }
}

/** RFC 6750 §3: the error is named only when a token was presented. */
function challengeOf({ headers }: Pick<RequestHead, 'headers'>): string {
  return headers['authorization'] === undefined ? 'Bearer' : 'Bearer error="invalid_token"'
}

function plainBody(denial: Denial, decision: string | null): JsonObject {
  const told = { ...denial.details, ...approvalMember(denial) }
  const details = Object.keys(told).length === 0 ? {} : { details: told }
  const message = denialRow(denial.code).text
  return { error: { code: denial.code, message, decision, permission: denial.wouldAllow, ...details } }
}

function rpcBody(
  denial: Denial,
  decision: string | null,
  { toolCall = false, modern = false }: RefusalForm,
): JsonObject {
  const row = denialRow(denial.code)
  const id = denial.rpcId ?? null
  if (toolCall && id !== null && row.http === 200 && row.rpc === POLICY) {
    const result = toolResult(denial, decision)
    return { jsonrpc: '2.0', id, result: modern ? { resultType: 'complete', ...result } : result }
  }
  const { code, consent } = denial
  const link = consent === null ? {} : { consent_url: consent.url }
  const own = { code, decision, permission: denial.wouldAllow, ...approvalMember(denial), ...link }
  const data = (denial.rpcData ?? own) as JsonValue
  const message = `${row.text}${consentHint(denial)}`
  return { jsonrpc: '2.0', id, error: { code: denial.rpc ?? row.rpc, message, data } }
}

const POLICY = -31403

function toolResult(denial: Denial, decision: string | null): JsonObject {
  return {
    content: [{ type: 'text', text: `${denialRow(denial.code).text}${hints(denial)}${decisionHint(decision)}` }],
    isError: true,
    _meta: {
      'doorward/code': denial.code,
      'doorward/decision': decision,
      'doorward/permission': denial.wouldAllow,
      ...(denial.approval === null ? {} : { 'doorward/approval': denial.approval.id }),
    },
  }
}

function approvalMember({ approval }: Denial): JsonObject {
  if (approval === null) return {}
  const { id, by, expires } = approval
  return { approval: { id, by: [...by], expires } }
}

function hints(denial: Denial): string {
  return `${permissionHint(denial)}${approvalHint(denial)}${consentHint(denial)}`
}

/** Models read it, and people behind them. Who has answered is nobody's business. */
function approvalHint({ code, approval }: Denial): string {
  if (code === 'approval_pending') {
    if (approval === null) return ': what was approved has been used by another call; call again to ask anew'
    const { id, by, expires } = approval
    const until = new Date(expires * 1000).toISOString()
    return `: ${by.join(' and ')} can approve the request ${id} until ${until}; then call again with the same arguments`
  }
  return approval === null ? '' : `: the request ${approval.id}`
}

/** Hosts show it to their person. The link is good for that person alone. */
function consentHint({ consent }: Denial): string {
  if (consent === null) return ''
  const until = new Date(consent.expires * 1000).toISOString()
  return `: open ${consent.url} before ${until}, then call again`
}

function permissionHint(denial: Denial): string {
  return denial.wouldAllow === null ? '' : `: the permission ${denial.wouldAllow} would allow this call`
}

function decisionHint(decision: string | null): string {
  return decision === null ? '' : ` (decision ${decision})`
}
