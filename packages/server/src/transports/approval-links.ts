/**
 * `/approve/<token>` on the public listener: a GET shows a call that waits and changes nothing, so that whoever fetches a
 * link beforehand approves nothing; a POST of the form that it shows answers it, once.
 */

import { equalBytes, fromUtf8, utf8 } from '@doorward/core'
import { deny, isDenial, limitArrival, send, sendRefusal } from '@doorward/enforcement'
import type {
  ApprovalDesk,
  DecisionOutcome,
  DecisionRefusal,
  Denial,
  Exchange,
  Inbound,
  Pipeline,
} from '@doorward/enforcement'
import { answeredPage, approvalPage, approvalPageHeaders } from './approval-page.ts'

export interface ApprovalLinks {
  readonly desk: Pick<ApprovalDesk, 'linked' | 'decide'>
  /** Origin of the pages, as browsers name it. */
  readonly origin: string
}

const PATH = /^\/approve\/([A-Za-z0-9_-]{43})$/
const MAX_FORM = 4096
const MAX_REASON = 500

export function isApprovalLink(path: string): boolean {
  return path.startsWith('/approve/')
}

/** Answers one request; rejects when the answer cannot be recorded. Nobody shows who they are: the link alone opens it. */
export async function serveApprovalLink(
  exchange: Exchange,
  { pipeline, links }: { readonly pipeline: Pipeline; readonly links: ApprovalLinks },
): Promise<void> {
  const inbound: Inbound = { connection: exchange.connection, head: exchange.head, audience: '' }
  const { limiter, connectionLimits } = pipeline.dependencies
  const refused = (await limitArrival(inbound, limiter, connectionLimits)) ?? exchange.problem
  const answer = refused ?? (await answerOf(exchange, links))
  if (typeof answer !== 'string') return sendRefusal(exchange, await pipeline.refuse(inbound, answer))
  send(exchange, 200, approvalPageHeaders, answer)
}

async function answerOf(exchange: Exchange, { desk, origin }: ApprovalLinks): Promise<string | Denial> {
  const { head, connection } = exchange
  const [, token = ''] = PATH.exec(head.path) ?? []
  const linked = token === '' || head.query !== '' ? null : desk.linked(token)
  if (linked === null) return deny('path_unknown', 'the link leads to nothing that waits for an answer')
  const { request, group } = linked
  if (head.method === 'GET') return approvalPage(request, group, token)
  if (head.method !== 'POST') return deny('http_method', `expected GET or POST, got ${head.method}`)
  const form = await readForm(exchange, origin)
  if ('denied' in form) return form
  if (!equalBytes(utf8(form.token), utf8(token))) return deny('request_invalid', 'the form is not that of the link')
  const { approve, reason } = form
  const approver = { kind: 'link', group, remoteAddress: connection.remoteAddress } as const
  return pageOf(await desk.decide(request, approver, { approve, reason }))
}

interface Form {
  readonly token: string
  readonly approve: boolean
  readonly reason: string
}

/** A form of another page is none of ours, whatever it says. */
async function readForm(exchange: Exchange, origin: string): Promise<Form | Denial> {
  const { headers } = exchange.head
  const site = headers['sec-fetch-site']
  if (headers['origin'] !== origin || (site !== undefined && site !== 'same-origin'))
    return deny('origin_unknown', 'the form was not sent by the page of the link')
  if ((headers['content-type'] ?? '').toLowerCase() !== 'application/x-www-form-urlencoded')
    return deny('content_type', 'expected application/x-www-form-urlencoded')
  const body = await exchange.readBody(MAX_FORM)
  if (isDenial(body)) return body
  const fields = new URLSearchParams(fromUtf8(body))
  const [tokens, decisions, reasons] = ['token', 'decision', 'reason'].map((name) => fields.getAll(name))
  const [decision] = decisions ?? []
  const [reason = ''] = reasons ?? []
  const single = tokens?.length === 1 && decisions?.length === 1 && (reasons?.length ?? 0) <= 1
  if (!single || (decision !== 'approve' && decision !== 'deny') || reason.length > MAX_REASON)
    return deny('request_invalid', 'expected token, decision and perhaps reason, each once')
  return { token: tokens[0] ?? '', approve: decision === 'approve', reason }
}

const texts: Readonly<Record<DecisionOutcome | DecisionRefusal, string>> = {
  approved: 'Approved: the call may be made once.',
  denied: 'Denied.',
  waiting: 'Approved for this group. Somebody of another group has to approve it, too.',
  unknown: 'This is over.',
  changed: 'This is over.',
  decided: 'Somebody has answered before.',
  takes_part: 'Somebody else has to answer.',
}

function pageOf(outcome: DecisionOutcome | DecisionRefusal): string {
  return answeredPage(texts[outcome])
}
