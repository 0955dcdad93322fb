/** Decides about requests that other proxies hold, on the path that requests take that come to us. */

import { createHash } from 'node:crypto'
import { readCertificate } from '@doorward/core'
import type { Principal } from '@doorward/core'
import { CertificateStanding, deny, identifyAsker, isDenial, isRefusal, StageTimes } from '@doorward/enforcement'
import type {
  Asker,
  Connection,
  Denial,
  Inbound,
  PartialCaller,
  Permit,
  Pipeline,
  Refusal,
} from '@doorward/enforcement'
import { backendClassifier } from '../backend-call.ts'
import type { BackendCall } from '../backend-call.ts'
import type { CallReport } from '../call-report.ts'
import { addressOf, askedRequest } from './asked.ts'
import type { Asked, AskedRequest, DecidedRoutes, Unreadable } from './asked.ts'
import type { ProxyKind } from './proxy-kinds.ts'

/** A workload that may ask. */
export interface AskingProxy {
  readonly name: string
  readonly kind: ProxyKind
  /** About these it may ask. */
  readonly services: ReadonlySet<string>
}

export interface DecisionRules {
  /** By SPIFFE ID. */
  readonly proxies: ReadonlyMap<string, AskingProxy>
  readonly services: ReadonlyMap<string, DecidedRoutes>
}

export interface DecisionDeskOptions {
  readonly pipeline: Pipeline
  /** As they are now. */
  readonly rules: () => DecisionRules
  readonly monotonic: () => number
  /** What the service is told of the call, and can verify. May throw, and then nobody goes on. */
  readonly assertionFor: (said: AssertedDecision) => Promise<string>
  readonly onDecision: (proxy: string, report: CallReport) => void
}

export interface AssertedDecision {
  readonly service: string
  readonly principal: Principal
  readonly decision: string
  readonly method: string
  /** As its caller has written it. */
  readonly target: string
}

/** What the proxy is told of a request that may go on: headers for the service. */
export interface Granted {
  readonly headers: Readonly<Record<string, string>>
}

/** Who asks, and about what. */
export interface Question {
  readonly own: Inbound
  readonly asker: Asker
  readonly proxy: AskingProxy
  readonly name: string
  readonly service: DecidedRoutes
}

/** Certificates whose standing is kept between questions. */
const MOST_KEPT = 1024

const nothing = () => Promise.resolve(new Uint8Array())
const sha256 = (data: Uint8Array): Uint8Array => createHash('sha256').update(data).digest()

export class DecisionDesk {
  readonly #options: DecisionDeskOptions
  readonly #standings = new Map<string, CertificateStanding>()

  constructor(options: DecisionDeskOptions) {
    this.#options = options
  }

  get pipeline(): Pipeline {
    return this.#options.pipeline
  }

  /** The proxy that asks over this connection; who is none may ask nothing. */
  async proxyOf(own: Inbound): Promise<{ readonly proxy: AskingProxy; readonly caller: PartialCaller } | Denial> {
    const caller = await identifyAsker(own, this.#options.pipeline.dependencies)
    if (isDenial(caller)) return caller
    const proxy = this.#options.rules().proxies.get(caller.id)
    return proxy === undefined ? deny('asker_refused', 'no proxy of decisions.proxies', { caller }) : { proxy, caller }
  }

  /** Whether it may ask about that service. */
  question(
    own: Inbound,
    { proxy, caller }: { readonly proxy: AskingProxy; readonly caller: PartialCaller },
    name: string,
  ): Question | Denial {
    const service = proxy.services.has(name) ? this.#options.rules().services.get(name) : undefined
    if (service === undefined)
      return deny('asker_refused', `${proxy.name} may not ask about ${JSON.stringify(name.slice(0, 64))}`, { caller })
    return { own, asker: askerOf({ proxy, caller }), proxy, name, service }
  }

  /**
   * Refuses what cannot be asked about, as strangers are refused at the main listener: whatever a caller of the proxy sends, the
   * proxy has not done it, and spends nothing for it.
   */
  refuse({ own, asker }: Pick<Question, 'own' | 'asker'>, { denial, asked }: Unreadable): Promise<Refusal> {
    return this.#options.pipeline.refuseHead(unread({ own, asker }, asked), { ...denial, caller: null })
  }

  /** The decision, on record. Never rejects. */
  async decide(question: Question, asked: Asked | Unreadable): Promise<Granted | Refusal> {
    const { monotonic, onDecision } = this.#options
    const times = new StageTimes(monotonic, false)
    const decided = await this.#decided(question, asked, times)
    times.mark('closed')
    onDecision(
      question.proxy.name,
      reportOf(decided.told, { method: saidOf(asked).method ?? '', server: question.name, times }),
    )
    return decided.granted ?? decided.told
  }

  async #decided(question: Question, asked: Asked | Unreadable, times: StageTimes): Promise<Decided> {
    const { pipeline } = this.#options
    if ('denial' in asked) return refusedBy(await this.refuse(question, asked))
    const request = askedRequest(asked, question.service)
    if (isDenial(request)) return refusedBy(await this.refuse(question, { denial: request, asked }))
    const { method, path, query, route, authorization } = request
    const head = { method, path, query, headers: { authorization } }
    const { own, asker, service } = question
    const connection = this.#connectionOf(own.connection, request)
    const inbound = { connection, head, audience: service.audience, asker }
    const permit = await pipeline.enforce(inbound, {
      credential: 'token',
      times,
      elsewhere: true,
      readBody: nothing,
      classifier: backendClassifier({ backend: question.name, path: route, head, trace: null }),
    })
    this.#keep(connection)
    if (isRefusal(permit)) return refusedBy(permit)
    try {
      return { told: permit, granted: await this.#grant(permit, question.name, request) }
    } catch (error) {
      const { principal: caller } = permit.admitted.authorized.classified.identified
      const why = `nothing could be told of ${permit.entry.toString()}: ${String(error)}`
      return refusedBy(await pipeline.refuse(inbound, deny('internal', why, { caller })))
    }
  }

  /** Whoever has asked forwards it: nothing of ours does. */
  async #grant(permit: Permit<BackendCall>, service: string, { method, target }: AskedRequest): Promise<Granted> {
    const { principal } = permit.use().authorized.classified.identified
    const decision = permit.entry.toString()
    const assertion = await this.#options.assertionFor({ service, principal, decision, method, target })
    return { headers: { 'Doorward-Decision': decision, 'Doorward-Principal': assertion } }
  }

  /** As if the caller had come to us: its certificate and address are the proxy's word. */
  #connectionOf(own: Connection, { certificate: der, address }: AskedRequest): Connection {
    const certificate = der === null ? null : readCertificate(der, { sha256 })
    const known = certificate === null || 'problem' in certificate ? null : certificate
    return {
      id: own.id,
      remoteAddress: address,
      listener: own.listener,
      certificate: known,
      resumed: false,
      standing: this.#standings.get(known?.fingerprint ?? '') ?? new CertificateStanding(),
    }
  }

  /** Of callers who have been identified alone: strangers, however many they show, put nobody out. */
  #keep({ certificate, standing }: Connection): void {
    if (certificate === null || !standing.identified) return
    this.#standings.delete(certificate.fingerprint)
    this.#standings.set(certificate.fingerprint, standing)
    if (this.#standings.size > MOST_KEPT) this.#standings.delete(this.#standings.keys().next().value ?? '')
  }
}

type Decided =
  | { readonly told: Refusal; readonly granted?: never }
  | { readonly told: Permit<BackendCall>; readonly granted: Granted }

/** How the record names a proxy that asks. */
export function askerOf({ proxy, caller }: { readonly proxy: AskingProxy; readonly caller: PartialCaller }): Asker {
  return { name: proxy.name, id: caller.id, certificateFingerprint: caller.certificateFingerprint }
}

function saidOf(asked: Asked | Unreadable): Unreadable['asked'] {
  return 'denial' in asked ? asked.asked : asked
}

function refusedBy(told: Refusal): Decided {
  return { told }
}

/** A request that cannot be decided about, as far as it can be told. It counts for its caller's address where that is said. */
function unread({ own, asker }: Pick<Question, 'own' | 'asker'>, asked: Unreadable['asked']): Inbound {
  const printable = (text = '') => text.slice(0, 256).replaceAll(/[^\x21-\x7e]/g, '?')
  const [path = ''] = printable(asked.target).split('?', 1)
  const head = { method: printable(asked.method).slice(0, 16), path, query: '', headers: {} }
  const remoteAddress = addressOf(asked.address) ?? own.connection.remoteAddress
  return { ...own, connection: { ...own.connection, remoteAddress }, head, asker }
}

function reportOf(
  result: Permit<BackendCall> | Refusal,
  { method, server, times }: Pick<CallReport, 'method' | 'times'> & { readonly server: string },
): CallReport {
  const none = { times, stream: 'none', method, http: 0, trace: null, traceId: null, outcome: null } as const
  if (isRefusal(result)) {
    const { caller, action, resource, code } = result.denial
    return {
      ...none,
      decision: typeof result.entry === 'string' ? null : result.entry.toString(),
      code,
      caller: caller === null ? null : 'presenter' in caller ? caller.presenter.uri : caller.id,
      server,
      action: action?.name ?? null,
      subject: resource?.name ?? null,
      group: action?.group ?? null,
    }
  }
  const { call, identified } = result.admitted.authorized.classified
  return {
    ...none,
    decision: result.entry.toString(),
    code: 'allowed',
    caller: identified.principal.presenter.uri,
    server,
    action: call.action.name,
    subject: call.resource.name,
    group: call.action.group,
  }
}
