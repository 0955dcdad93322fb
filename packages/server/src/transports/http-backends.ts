/** Plain HTTP services and agents: `/http/<service>/…`, `/a2a/<agent>`, each request decided and recorded on its own, and forwarded as it was judged. */

import { utf8 } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { deny, isRefusal, recordOutcome, sendRefusal, StageTimes, whenGone } from '@doorward/enforcement'
import type { Exchange, Inbound, Outcome, Permit, Pipeline, BeginTrace } from '@doorward/enforcement'
import { allowedReport, refusedReport } from './call-report.ts'
import type { CallReport } from './call-report.ts'
import type { BoundedCalls } from './bounded-calls.ts'
import type { Circuit } from './circuit.ts'
import { resultOf } from './guarded-upstream.ts'
import { backendRoute } from './backend-call.ts'
import type { BackendCall, BackendProtocol, BackendRoute } from './backend-call.ts'
import { BackendReply } from './backend-reply.ts'
import type { BackendUpstream } from './backend-upstream.ts'

export interface HttpBackend {
  /** Methods that it has; any other is refused. */
  readonly methods: ReadonlySet<string>
  readonly protocol: BackendProtocol
  readonly upstream: BackendUpstream
  readonly circuit: Circuit
  readonly calls: BoundedCalls
  /** The circuit has opened or closed. */
  readonly onCircuit: () => void
  /** Resource identifier of its paths, from configuration. */
  readonly audience: string
}

export interface HttpBackendsOptions {
  readonly pipeline: Pipeline
  readonly backends: ReadonlyMap<string, HttpBackend>
  /** Bytes of a request body. */
  readonly bodyBytes: number
  readonly monotonic: () => number
  readonly onCall: (call: CallReport) => void
  /** No call has a trace by default. */
  readonly beginTrace?: BeginTrace | undefined
  /** Told of outcomes that could not be recorded. */
  readonly onProblem: (error: unknown) => void
}

const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

export class HttpBackends {
  readonly #options: HttpBackendsOptions

  constructor(options: HttpBackendsOptions) {
    this.#options = options
  }

  /** Answers one request. */
  async serve(exchange: Exchange): Promise<void> {
    const { head } = exchange
    const route = backendRoute(head.path)
    const named = route === null ? undefined : this.#options.backends.get(route.backend)
    const backend = named?.protocol.prefix === route?.prefix ? named : undefined
    const inbound: Inbound = { connection: exchange.connection, head, audience: backend?.audience ?? '' }
    const problem =
      exchange.problem ??
      (route === null || backend === undefined
        ? deny('path_unknown', 'no such path')
        : backend.protocol.headProblem(head, route.path))
    if (problem === null && route !== null && backend !== undefined)
      return this.#decide(exchange, inbound, { route, backend })
    const refusal = await this.#options.pipeline.refuseHead(inbound, problem ?? deny('path_unknown', 'no such path'))
    if (refusal.denial.code === 'http_method' && backend !== undefined)
      exchange.response.setHeader('Allow', [...backend.methods].join(', '))
    sendRefusal(exchange, refusal, backend?.protocol.form(head))
  }

  async #decide(
    exchange: Exchange,
    inbound: Inbound,
    { route, backend }: { readonly route: BackendRoute; readonly backend: HttpBackend },
  ): Promise<void> {
    const { pipeline, monotonic, beginTrace, bodyBytes, onCall } = this.#options
    const { head } = exchange
    const trace = beginTrace?.(head) ?? null
    const times = new StageTimes(monotonic, trace?.sampled === true)
    const { protocol } = backend
    const result = await pipeline.enforce(inbound, {
      credential: 'token',
      times,
      whenGone: (listener) => whenGone(exchange, listener),
      readBody: () => exchange.readBody(BODILESS.has(head.method) ? 0 : bodyBytes),
      classifier: protocol.classifier({ ...route, head, trace }),
    })
    if (!isRefusal(result)) return this.#forward(exchange, result, { backend, times })
    sendRefusal(exchange, result, protocol.form(head))
    times.mark('closed')
    onCall(refusedReport(exchange, result, { server: route.backend, times, trace }))
  }

  #forward(
    exchange: Exchange,
    permit: Permit<BackendCall>,
    { backend, times }: { readonly backend: HttpBackend; readonly times: StageTimes },
  ): void {
    const { pipeline, monotonic } = this.#options
    const { authorized, hold } = permit.admitted
    const reply = new BackendReply({
      exchange,
      authorized,
      entry: permit.entry,
      times,
      ...(hold === undefined ? {} : { hold }),
      form: backend.protocol.form(exchange.head),
      onOutcome: (outcome) => {
        pipeline.open.remove(reply)
        this.#ended(permit, outcome, times)
      },
    })
    pipeline.track(reply)
    if (reply.closed) return
    const { circuit, onCircuit, upstream, calls } = backend
    if (this.#options.backends.get(authorized.classified.call.resource.server) !== backend)
      return reply.fail('server_changed', 'the service was changed or taken away while the request was judged')
    const { own } = authorized.classified.call.detail
    if (own !== undefined) return answer(permit, reply, own())
    if (!calls.begin(reply, (reason) => reply.fail('upstream_timeout', reason))) return
    const now = monotonic()
    const ticket = circuit.enter(now)
    if (ticket === null)
      return reply.fail('upstream_circuit_open', 'nothing is sent to the service', circuit.retryAfterSeconds(now))
    reply.onClose((end) => {
      if (circuit.ended(ticket, resultOf(end, false), monotonic())) onCircuit()
    })
    upstream.forward(permit, reply)
  }

  #ended(permit: Permit<BackendCall>, outcome: Outcome, times: StageTimes): void {
    const { pipeline, onProblem, onCall } = this.#options
    recordOutcome(permit.entry, outcome, pipeline.dependencies.log).catch(onProblem)
    const { method, trace, message } = permit.admitted.authorized.classified.call.detail
    const stream = message?.streams === true ? 'answer' : 'none'
    onCall(allowedReport(permit, outcome, { times, trace, method, stream }))
  }
}

/** What is known here is answered here, by a permit like everything else. */
function answer(permit: Permit<BackendCall>, reply: BackendReply, value: JsonObject | null): void {
  permit.use()
  if (value === null) return reply.fail('upstream_unavailable', 'what is answered here is not known')
  const bytes = utf8(JSON.stringify(value))
  reply.begin(200, { 'content-type': 'application/json', 'content-length': String(bytes.length) })
  reply.write(bytes)
  reply.end()
}
