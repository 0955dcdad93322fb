/** A refusal as a server of ours words it: code, decision and text, and nothing that somebody else put into the body. */

import { DoorwardError, isJsonObject, scanJson, utf8 } from '@doorward/core'
import type { ErrorDetail, JsonObject, JsonValue } from '@doorward/core'
import { denialRow, isDenialCode } from '@doorward/enforcement'
import { readShortText } from './https-exchange.ts'
import type { CallResponse } from './https-exchange.ts'

export interface ServerRefusal {
  readonly status: number
  /** A code of the denial table, or null when the answer is not from a server of ours. */
  readonly code: string | null
  /** Entry of the decision in the server's record; absent for refusals that are only counted. */
  readonly decision: string | null
  /** One line for people. Never markup of a third party. */
  readonly text: string
  readonly retryAfterSeconds: number | null
  /** The JSON body, when it is one. */
  readonly body: JsonValue | null
}

/** Reads what a non-success response says. Consumes the body. */
export async function readRefusal(response: CallResponse): Promise<ServerRefusal> {
  const text = await readShortText(response)
  const scan = text === null ? null : scanJson(utf8(text))
  const body = scan?.ok === true ? scan.value : null
  const header = headerText(response, 'doorward-code')
  const code = header !== null && isDenialCode(header) ? header : null
  const retryAfter = Number(headerText(response, 'retry-after') ?? Number.NaN)
  return {
    status: response.status,
    code,
    decision: headerText(response, 'doorward-decision'),
    text:
      said(body) ?? (code === null ? `the server answered with HTTP status ${response.status}` : denialRow(code).text),
    retryAfterSeconds: Number.isFinite(retryAfter) ? retryAfter : null,
    body,
  }
}

/** A server of ours said no: the code is the denial's, or `server_refused` when it named none. */
export class ServerRefused extends DoorwardError {
  /** Entry of the decision in the server's record. */
  readonly decision: string | null
  /** The narrowest permission that would have allowed the call. */
  readonly permission: string | null
  /** What the server told beside: problems of a request, what a conflict is about. */
  readonly details: JsonObject | null
  /** When the server asks to be tried again. */
  readonly retryAfterSeconds: number | null

  constructor(
    code: string,
    message: string,
    detail: ErrorDetail & {
      readonly decision: string | null
      readonly permission: string | null
      readonly details?: JsonObject | null
      readonly retryAfterSeconds?: number | null
    },
  ) {
    super(code, message, detail)
    this.decision = detail.decision
    this.permission = detail.permission
    this.details = detail.details ?? null
    this.retryAfterSeconds = detail.retryAfterSeconds ?? null
  }
}

/** What is expected and what to do next, by code, where the text of a refusal does not say it to whoever asked. */
const help: Readonly<Record<string, ErrorDetail>> = {
  approver_refused: {
    next: 'an operator names approvers under `approvals.groups`; whoever takes part in a call never answers for it',
  },
  scope_unknown: {
    expected: 'permissions, <group or action>[:<server>/<name>], with one space between',
    next: 'write them as roles have them, such as read:files/* or tools/call:files/get_*',
  },
  scope_widened: {
    expected: 'permissions that are within the scope of the token that is exchanged',
    next: 'ask for less, or leave the scope out to keep it; doorward token inspect shows it',
  },
  audience_unknown: {
    expected:
      'the URL of a configured server or service, of the authority, or of a workload that is called; for a JWT-SVID a SPIFFE ID, or one of authority.jwt_svid_audiences',
    next: 'compare it with servers: and services: of the configuration, and with doorward workload show; what is new counts from doorward gateway reload on',
  },
  exchange_audience: {
    expected: 'a token that somebody was given to call whoever exchanges it',
    next: 'exchange it as the workload that it is for; doorward token inspect shows its audience',
  },
}

/** The refusal as an error. */
export function refusalError(refusal: ServerRefusal, where: string): ServerRefused {
  const { code, text, status, decision, retryAfterSeconds } = refusal
  const { expected, next: usual } = help[code ?? ''] ?? {}
  const next = retryAfterSeconds === null ? usual : `try again in ${retryAfterSeconds} s`
  return new ServerRefused(code ?? 'server_refused', text, {
    where,
    got: `HTTP ${status}${decision === null ? '' : `, decision ${decision}`}`,
    decision,
    permission: permissionIn(refusal.body),
    details: detailsIn(refusal.body),
    retryAfterSeconds,
    ...(expected === undefined ? {} : { expected }),
    ...(next === undefined ? {} : { next }),
  })
}

function permissionIn(body: JsonValue | null): string | null {
  const permission = errorIn(body)['permission']
  return typeof permission === 'string' ? permission : null
}

function detailsIn(body: JsonValue | null): JsonObject | null {
  const { details } = errorIn(body)
  return isJsonObject(details) ? details : null
}

function errorIn(body: JsonValue | null): JsonObject {
  const error = body !== null && isJsonObject(body) ? body['error'] : undefined
  return isJsonObject(error) ? error : {}
}

function headerText({ headers }: CallResponse, name: string): string | null {
  const value = headers[name]
  return typeof value === 'string' && value.length <= 512 ? value : null
}

/** The message of a JSON-RPC error, an OAuth error (RFC 6749 §5.2) or our own `{code, message}`. */
function said(body: JsonValue | null): string | null {
  if (body === null || !isJsonObject(body)) return null
  const { error, error_description, message } = body
  const inner = error !== undefined && isJsonObject(error) ? error['message'] : undefined
  for (const text of [inner, error_description, message])
    if (typeof text === 'string' && text !== '') return text.slice(0, 2000)
  return null
}
