/** One request at a protected program: judged, recorded, and only then given to the handler; then what became of it. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { Secret } from '@doorward/core'
import type { JsonObject, Principal } from '@doorward/core'
import {
  closeAfterAnswer,
  deny,
  isDenial,
  isRefusal,
  recordOutcome,
  sendJson,
  sendRefusal,
} from '@doorward/enforcement'
import type { Denial, DenialCode, Exchange, Inbound, OpenCall, Outcome, Permit, Pipeline } from '@doorward/enforcement'
import type { CallsUnderWay, Place } from './calls-under-way.ts'
import { deliveredRequest, tellIdentity } from './delivered-request.ts'
import { ownRequest, unheard } from './own-message.ts'
import type { Answering, Asked, Surface } from './surface.ts'
import { mute } from './written-answer.ts'

/** What a handler knows of a call that it may answer. */
export interface ProtectedCall {
  /** Who calls, on whose behalf, and through whom (`act`). */
  readonly principal: Principal
  /** Names the entry of the decision in this program's record; the caller has it as `Doorward-Decision`. */
  readonly decision: string
  /** As it was declared; of an MCP server its endpoint. */
  readonly route: string
  /** The caller's token, of use to whoever exchanges it for one of its own. */
  readonly token: Secret
  /** Aborts when the caller has gone, or may not have the answer any more. */
  readonly signal: AbortSignal
}

/** A listener as `node:http` has them, with what is known of the call. */
export type ProtectedListener = (request: IncomingMessage, response: ServerResponse, call: ProtectedCall) => unknown

export interface ProtectedServing {
  readonly pipeline: Pipeline
  readonly surface: Surface
  readonly audience: string
  readonly bodyBytes: number
  readonly underWay: CallsUnderWay
  readonly handler: ProtectedListener
  readonly onProblem: (error: unknown) => void
}

/** What a handler throws that could not answer, and knows why: the code is the caller's, the explanation the record's. */
export class CallFailed extends Error {
  readonly code: DenialCode

  constructor(code: DenialCode, explanation: string) {
    super(explanation)
    this.code = code
  }
}

const calls = new WeakMap<object, ProtectedCall>()
/** One for all: to make it costs as much as a stage of the decision. */
const nobodyWaits = new DOMException('nobody waits for the answer any more', 'AbortError')

/** Whether anybody waits for the answer. Few handlers ask for the signal, and one is made for those alone: it costs as much as a stage. */
class Ending {
  #over = false
  #controller: AbortController | null = null

  get over(): boolean {
    return this.#over
  }

  get signal(): AbortSignal {
    const controller = (this.#controller ??= new AbortController())
    if (this.#over) controller.abort(nobodyWaits)
    return controller.signal
  }

  end(): void {
    this.#over = true
    this.#controller?.abort(nobodyWaits)
  }
}

/** For what makes calls in tests. */
export function rememberCall(source: object, call: ProtectedCall): void {
  calls.set(source, call)
}

/**
 * The call behind a request that a handler was given, for frameworks that pass the request alone; or behind what the
 * official MCP SDK gives its tools beside their arguments. Null for anything else.
 */
export function callOf(source: object): ProtectedCall | null {
  const http: unknown = Reflect.get(source, 'http')
  const within = typeof http === 'object' && http !== null ? Reflect.get(http, 'authInfo') : undefined
  const candidates: readonly unknown[] = [source, Reflect.get(source, 'authInfo'), within]
  for (const one of candidates) {
    const call = typeof one === 'object' && one !== null ? calls.get(one) : undefined
    if (call !== undefined) return call
  }
  return null
}

/** Never rejects. Strangers learn nothing about which routes exist: they are refused first. */
export async function serveProtected(exchange: Exchange, serving: ProtectedServing): Promise<void> {
  const { pipeline, surface, audience, bodyBytes, underWay } = serving
  const { head } = exchange
  const inbound: Inbound = { connection: exchange.connection, head, audience }
  if (exchange.problem !== null) {
    const refusal = await pipeline.refuseHead(inbound, exchange.problem)
    return sendRefusal(exchange, refusal, surface.form(refusal.denial, head))
  }
  const held: { place: Place | null; undo: () => void } = { place: null, undo: () => undefined }
  const onRefused = (undo: () => void) => void (held.undo = undo)
  try {
    const permit = await pipeline.enforce<Asked>(inbound, {
      credential: 'token',
      // Bodies that are being read take up as much as answers do.
      readBody: async ({ principal }) => {
        const entered = underWay.enter(principal)
        if (isDenial(entered)) return entered
        held.place = entered
        return exchange.readBody(bodyBytes)
      },
      classifier: (body, identified) => surface.classify({ head, body, identified, onRefused }),
    })
    if (isRefusal(permit)) {
      held.undo()
      sendRefusal(exchange, permit, surface.form(permit.denial, head))
    } else await answer(exchange, permit, { ...serving, place: held.place })
  } finally {
    held.place?.leave()
  }
}

async function answer(
  exchange: Exchange,
  permit: Permit<Asked>,
  serving: ProtectedServing & { readonly place: Place | null },
): Promise<void> {
  const { pipeline, onProblem } = serving
  const started = performance.now()
  const admitted = permit.use()
  const { body, call, identified } = admitted.authorized.classified
  const { own, message } = call.detail
  const overtaken = pipeline.overtaken(admitted) ?? (hasGone(exchange) ? null : (message?.permitted() ?? null))
  const sent =
    overtaken !== null
      ? refused(exchange, { permit, serving }, { ...overtaken, caller: identified.principal })
      : hasGone(exchange)
        ? ({ status: 'cancelled', http: 0, bytes: 0 } as const)
        : own === undefined
          ? await handled(exchange, serving, { permit, body, asked: call.detail })
          : told(exchange, permit, own)
  message?.ended?.()
  serving.place?.leave()
  admitted.hold?.release()
  const outcome = { ...sent, milliseconds: Math.round(performance.now() - started) }
  await recordOutcome(permit.entry, outcome, pipeline.dependencies.log).catch(onProblem)
}

/** Whoever has gone while it was judged and recorded gets no answer, and nothing happens for them. */
function hasGone({ response, request }: Exchange): boolean {
  return response.destroyed || request.socket.destroyed
}

type Sent = Omit<Outcome, 'milliseconds'>

interface Refusing {
  readonly permit: Permit<Asked>
  readonly serving: ProtectedServing
}

function refused(exchange: Exchange, { permit: { entry }, serving }: Refusing, denial: Denial): Sent {
  sendRefusal(exchange, { refused: true, denial, entry }, serving.surface.form(denial, exchange.head))
  const { code, explanation } = denial
  return { status: 'failed', http: exchange.response.statusCode, bytes: 0, code, explanation }
}

/** What is known here already. */
function told(exchange: Exchange, { entry }: Permit<Asked>, own: JsonObject): Sent {
  sendJson(exchange, 200, own, { 'Doorward-Decision': entry.toString(), 'Doorward-Code': 'allowed' })
  return { status: 'completed', http: 200, bytes: Number(exchange.response.getHeader('content-length') ?? 0) }
}

interface Handled {
  readonly permit: Permit<Asked>
  readonly body: Uint8Array
  readonly asked: Asked
}

function knownCall({ head }: Exchange, { permit, asked }: Handled, ending: Ending): ProtectedCall {
  return {
    principal: permit.admitted.authorized.classified.identified.principal,
    decision: permit.entry.toString(),
    route: asked.route,
    token: new Secret((head.headers['authorization'] ?? '').slice('Bearer '.length)),
    get signal() {
      return ending.signal
    },
  }
}

/** Resolves when the answer has ended, however that was. */
async function handled(exchange: Exchange, serving: ProtectedServing, { permit, body, asked }: Handled): Promise<Sent> {
  const { pipeline, handler, onProblem } = serving
  const { response, request } = exchange
  const { authorized } = permit.admitted
  const ending = new Ending()
  let held: Denial | null = null
  const end = (denial: Denial): void => {
    held ??= denial
    ending.end()
    // Half an answer is no answer: the connection goes with it. An answer whose turn has not come has none of its own.
    request.socket.destroy()
  }
  let noted: DenialCode | null = null
  const answering: Answering = {
    fails: (code, explanation) => fails(new CallFailed(code, explanation)),
    note: (code) => void (noted ??= code),
    end,
    tell: (message, headers) => tell(serving, { asked, known, head: exchange.head, message, headers }),
  }
  const forbid = (denial: Denial): void => {
    asked.message?.forbidden?.(answering)
    end(denial)
  }
  const open: OpenCall = { authorized, withdraw: end, forbid }
  const before = request.socket.bytesWritten
  const { promise: ended, resolve: settle } = Promise.withResolvers<void>()
  response.once('close', settle)
  response.setHeader('Doorward-Decision', permit.entry.toString())
  response.setHeader('Doorward-Code', 'allowed')
  const delivered = deliveredRequest(exchange, body, asked.message)
  const known = knownCall(exchange, { permit, body, asked }, ending)
  calls.set(delivered, known)
  if (asked.identity !== null) calls.set(tellIdentity(delivered, asked.identity), known)
  // The request that came, with its credentials, is not to be had by way of the answer.
  Reflect.set(response, 'req', delivered)
  pipeline.track(open)
  let failed: CallFailed | null = null
  let release: () => void = () => undefined
  const fails = (why: CallFailed) => {
    // What fails because the caller has gone is no failure of the answer.
    if (ending.over || failed !== null) return mute(response)
    failed = why
    release()
    try {
      fail(exchange, { permit, serving }, why)
    } finally {
      // A write after the end is an error, which would take the connection from under the refusal.
      mute(response)
    }
  }
  release = asked.message?.guard(response, answering) ?? release
  run(() => handler(delivered, response, known), fails, onProblem)
  await ended
  ending.end()
  pipeline.open.remove(open)
  const [http, bytes] = [response.statusCode, request.socket.bytesWritten - before]
  return sentOf({ held, failed, noted, finished: response.writableFinished, http, bytes })
}

interface Told {
  readonly asked: Asked
  readonly known: ProtectedCall
  readonly head: Exchange['head']
  readonly message: Uint8Array
  readonly headers: Readonly<Record<string, string>>
}

/** A message of our own, in the name of the call that it is about, and past its end. */
function tell(
  { handler, audience, onProblem }: ProtectedServing,
  { asked, known, head, message: body, headers }: Told,
): void {
  const own: ProtectedCall = { ...known, signal: new AbortController().signal }
  const request = ownRequest({ url: head.path, host: new URL(audience).host, headers, body })
  calls.set(request, own)
  if (asked.identity !== null) calls.set(tellIdentity(request, asked.identity), own)
  run(() => handler(request, unheard(request), own), onProblem, onProblem)
}

/** Tells why it could not answer. A handler that is no promise makes none. */
function run(work: () => unknown, fails: (why: CallFailed) => void, onProblem: (error: unknown) => void): void {
  const failed = (error: unknown) => {
    try {
      fails(failureOf(error, onProblem))
    } catch (problem) {
      onProblem(problem)
    }
  }
  try {
    const working = work()
    if (isThenable(working)) Promise.resolve(working).catch(failed)
  } catch (error) {
    failed(error)
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value
}

function failureOf(error: unknown, onProblem: (error: unknown) => void): CallFailed {
  if (error instanceof CallFailed) return error
  onProblem(error)
  return new CallFailed('internal', 'the handler failed')
}

/** What a handler throws is nobody's business outside. An answer that has begun is broken off. */
function fail(
  exchange: Exchange,
  { permit: { entry, admitted }, serving }: Refusing,
  { code, message }: CallFailed,
): void {
  const { response } = exchange
  if (response.writableEnded) return
  if (response.headersSent) return void exchange.request.socket.destroy()
  for (const name of response.getHeaderNames()) if (name.startsWith('content-')) response.removeHeader(name)
  closeAfterAnswer(exchange)
  const { call, identified } = admitted.authorized.classified
  const detail = { caller: identified.principal, action: call.action, rpcId: call.rpcId }
  const denial = deny(code, message, detail)
  sendRefusal(exchange, { refused: true, denial, entry }, serving.surface.form(denial, exchange.head))
}

interface Ended extends Pick<Outcome, 'http' | 'bytes'> {
  readonly held: Denial | null
  readonly failed: CallFailed | null
  /** The answer itself tells of a failure. */
  readonly noted: DenialCode | null
  readonly finished: boolean
}

function sentOf({ held, failed, noted, finished, http, bytes }: Ended): Sent {
  if (held !== null) return { status: 'failed', http, bytes, code: held.code, explanation: held.explanation }
  if (failed !== null) return { status: 'failed', http, bytes, code: failed.code, explanation: failed.message }
  if (noted !== null && finished) return { status: 'failed', http, bytes, code: noted }
  return { status: finished ? 'completed' : 'cancelled', http, bytes }
}
