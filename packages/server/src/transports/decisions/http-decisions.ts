/** Questions over HTTP: `/decide/<service>`, answered by a status and headers, as nginx, Caddy, Traefik, HAProxy and Envoy expect. */

import { deny, isDenial, isRefusal, refusalAnswer, send } from '@doorward/enforcement'
import type { Denial, Exchange, Inbound, Refusal } from '@doorward/enforcement'
import { askerOf } from './decision-desk.ts'
import type { DecisionDesk, Question } from './decision-desk.ts'
import { askedAddress, asksByPath, readAsked, statusFor } from './proxy-kinds.ts'
import type { ProxyKind } from './proxy-kinds.ts'

/**
 * Headers of the caller that the service must not see: credentials, what passes for the word of a proxy (RFC 7239, RFC 9440),
 * and what would make another request of the judged one.
 */
export const withheld: readonly string[] = [
  'authorization',
  'client-cert',
  'client-cert-chain',
  'dpop',
  'forwarded',
  'x-client-certificate',
  'x-forwarded-client-cert',
  'x-forwarded-host',
  'x-forwarded-method',
  'x-forwarded-port',
  'x-forwarded-prefix',
  'x-forwarded-server',
  'x-forwarded-tls-client-cert',
  'x-forwarded-uri',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-original-address',
  'x-original-host',
  'x-original-method',
  'x-original-uri',
  'x-original-url',
  'x-real-ip',
  'x-rewrite-url',
]

export const decisionsPrefix = '/decide/'

/** Answers one question; never rejects for what whoever asks does. */
export async function serveDecision(exchange: Exchange, desk: DecisionDesk): Promise<void> {
  const { connection, head, problem } = exchange
  const own: Inbound = { connection, head, audience: '' }
  const asking = await desk.proxyOf(own)
  if (isDenial(asking)) return answerRefusal(exchange, await desk.pipeline.refuseHead(own, problem ?? asking), null)
  const { proxy } = asking
  // Some proxies ask with the words of their callers, so that these may be at fault for anything.
  const refuse = async (denial: Denial) => {
    const asked = { method: head.method, target: head.path, address: askedAddress(proxy.kind, head) }
    answerRefusal(exchange, await desk.refuse({ own, asker: askerOf(asking) }, { denial, asked }), proxy.kind)
  }
  if (problem !== null) return refuse(problem)
  const place = placeOf(head.path, proxy.kind)
  if (place === null) return refuse(deny('path_unknown', `expected ${decisionsPrefix}<service>`))
  const question = desk.question(own, asking, place.name)
  if (isDenial(question)) return answerRefusal(exchange, await desk.pipeline.refuseHead(own, question), proxy.kind)
  if (!asksByPath(proxy.kind) && head.method !== 'GET')
    return refuse(deny('http_method', `expected a question by GET, got ${head.method}`))
  const body = await exchange.readBody(0)
  if (isDenial(body)) return refuse(body)
  return answer(exchange, await desk.decide(question, readAsked(proxy.kind, head, place.rest)), question)
}

/** The service that is asked about; null when the path names none. */
function placeOf(path: string, kind: ProxyKind): { readonly name: string; readonly rest: string } | null {
  if (!path.startsWith(decisionsPrefix)) return null
  const below = path.slice(decisionsPrefix.length)
  const slash = below.indexOf('/')
  if (asksByPath(kind)) return slash < 0 ? null : { name: below.slice(0, slash), rest: below.slice(slash) }
  return slash < 0 ? { name: below, rest: '' } : null
}

function answer(
  exchange: Exchange,
  result: Awaited<ReturnType<DecisionDesk['decide']>>,
  { proxy }: Pick<Question, 'proxy'>,
): void {
  if (isRefusal(result)) return answerRefusal(exchange, result, proxy.kind)
  const removed = proxy.kind === 'envoy' ? { 'X-Envoy-Auth-Headers-To-Remove': withheld.join(',') } : {}
  send(exchange, 200, { 'Cache-Control': 'no-store', ...removed, ...result.headers })
}

/** `Doorward-Status` is the status of the refusal where a proxy can only be told a plain no. */
function answerRefusal(exchange: Exchange, refusal: Refusal, kind: ProxyKind | null): void {
  const { status, headers, body } = refusalAnswer(exchange.head, refusal)
  const told = { ...headers, 'Doorward-Status': String(status) }
  if (exchange.problem !== null) exchange.response.setHeader('Connection', 'close')
  send(exchange, kind === null ? status : statusFor(kind, status), told, body)
}
