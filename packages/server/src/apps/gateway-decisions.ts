/** The listener of a gateway at which proxies of others ask for decisions about requests that they hold. */

import type { JsonObject, SpiffeId } from '@doorward/core'
import { openListener } from '@doorward/enforcement'
import type { Listener, ListenerOptions, Pipeline, Record as AuditRecord, TlsMaterial } from '@doorward/enforcement'
import type { DecisionsSettings } from '../config/decisions-settings.ts'
import { gatewayRows } from '../observability/metric-rows.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { CallReport } from '../transports/call-report.ts'
import type { DecidedRoutes } from '../transports/decisions/asked.ts'
import { DecisionDesk } from '../transports/decisions/decision-desk.ts'
import type { AskingProxy, DecisionRules } from '../transports/decisions/decision-desk.ts'
import { serveChecks } from '../transports/decisions/grpc-decisions.ts'
import { serveDecision } from '../transports/decisions/http-decisions.ts'
import { audienceOfBackend, doorsOf } from './gateway-settings.ts'
import type { GatewaySettings } from './gateway-settings.ts'
import { Assertions } from './sidecar/assertions.ts'
import { ownListenerOptions } from './own-listener.ts'
import type { OwnMetrics } from './own-metrics.ts'

type AskedAbout = Pick<DecisionsSettings, 'services' | 'proxies'>
type RuleSettings = Pick<GatewaySettings, 'publicUrl' | 'backends' | 'decisions'>

export interface GatewayDecisionsParts {
  readonly settings: RuleSettings & Pick<GatewaySettings, 'security' | 'edge'>
  /** In place of those of the settings. */
  readonly limits: Partial<ListenerOptions['limits']>
  readonly pipeline: Pipeline
  readonly material: TlsMaterial
  /** Of the gateway, which vouches for what services are told. */
  readonly id: SpiffeId
  /** That others are believed about who calls is on it each time. */
  readonly record: Pick<AuditRecord, 'append'>
  readonly own: Pick<OwnMetrics, 'handshakeRefused' | 'metrics'>
  readonly log: { call(line: CallReport): void }
  readonly onProblem: (error: unknown) => void
}

export interface RunningDecisions {
  /** By which services verify what they are told: a JWK Set. */
  readonly keys: () => string
  readonly listener: Listener
  /** Makes ready what other settings ask for; the address stands. By settings without decisions nobody may ask. */
  prepare(settings: RuleSettings): PreparedDecisions
}

export interface PreparedDecisions {
  /** What the record is told before it counts; null where nothing of it is new. */
  readonly facts: JsonObject | null
  /** Lets it count. Never throws. */
  apply(): void
}

/** Null where nothing is configured. Throws the codes of `openListener`. */
export async function openGatewayDecisions(
  parts: GatewayDecisionsParts,
  stack: AsyncDisposableStack,
  graceMilliseconds: number,
): Promise<RunningDecisions | null> {
  const { settings, pipeline, own, log } = parts
  const { decisions } = settings
  if (decisions === undefined) return null
  const live = { rules: rulesOf(settings), facts: decisionFacts(decisions) }
  const assertions = await openAssertions(parts)
  const desk = new DecisionDesk({
    pipeline,
    assertionFor: ({ service, principal, decision, method, target }) =>
      assertions.of({ call: { principal, decision }, method, target, body: new Uint8Array(), audience: service }),
    rules: () => live.rules,
    monotonic: () => performance.now(),
    onDecision: (proxy, report) => {
      log.call(report)
      count(own.metrics, proxy, report)
    },
  })
  await parts.record.append({ kind: 'lifecycle', body: { event: 'decisions.open', ...live.facts } })
  const listener = await openListener(listenerOptions(parts, decisions, desk))
  stack.defer(() => listener.close(graceMilliseconds))
  listener.acceptHosts(askedHosts(decisions))
  return {
    listener,
    keys: () => assertions.jwks,
    prepare(next) {
      const { decisions: asking = { services: {}, proxies: {} } } = next
      const rules = rulesOf(next)
      const facts = decisionFacts(asking)
      const isNew = JSON.stringify(facts) !== JSON.stringify(live.facts)
      return {
        facts: isNew ? { event: 'decisions.change', ...facts } : null,
        apply: () => {
          Object.assign(live, { rules, facts })
          listener.acceptHosts(askedHosts(asking))
        },
      }
    },
  }
}

/** By the time that no stepped local clock turns back. */
function openAssertions({ id, settings, pipeline }: GatewayDecisionsParts): Promise<Assertions> {
  const clock = () => pipeline.dependencies.trust.now()
  return Assertions.open({ issuer: id, audience: settings.publicUrl, clock })
}

function listenerOptions(
  { settings, limits, pipeline, material, own, onProblem }: GatewayDecisionsParts,
  { address, publicUrl }: DecisionsSettings,
  desk: DecisionDesk,
): ListenerOptions {
  const { cipherSuites, headers } = settings.security
  return {
    ...ownListenerOptions({
      name: 'decisions',
      address,
      publicUrl,
      material,
      cipherSuites,
      headers,
      limits,
      pipeline,
      doors: doorsOf(settings),
      onRefusedHandshake: own.handshakeRefused,
    }),
    clientCertificate: 'required',
    onExchange: (exchange) => serveDecision(exchange, desk),
    onHttp2: (socket, connection, onCall) => serveChecks(socket, connection, { desk, onProblem, onCall }),
  }
}

/** The configuration has been checked by `decisionsProblems`. */
function rulesOf(settings: RuleSettings): DecisionRules {
  const { decisions, backends = {} } = settings
  const services = Object.entries(decisions?.services ?? {}).flatMap(
    ([name, url]): readonly (readonly [string, DecidedRoutes])[] => {
      const backend = backends[name]
      // Who cannot read the message cannot say what is asked for.
      if (backend === undefined || backend.speaks !== undefined) return []
      const { host, pathname } = new URL(url)
      const methods = new Set(backend.methods)
      const audience = audienceOfBackend(settings, name)
      return [[name, { audience, methods, host, prefix: pathname === '/' ? '' : pathname }]]
    },
  )
  const proxies = Object.entries(decisions?.proxies ?? {}).map(([name, proxy]): readonly [string, AskingProxy] => [
    proxy.id,
    { name, kind: proxy.kind, services: new Set(proxy.services) },
  ])
  return { proxies: new Map(proxies), services: new Map(services) }
}

/** Envoy asks with the `Host` of the request. */
function askedHosts({ proxies, services }: AskedAbout): readonly string[] {
  const asked = Object.values(proxies).flatMap((proxy) => (proxy.kind === 'envoy' ? proxy.services : []))
  return asked.flatMap((name) => (services[name] === undefined ? [] : [new URL(services[name]).host]))
}

function decisionFacts({ services, proxies }: AskedAbout) {
  const asking = Object.entries(proxies).map(([name, { id, kind, services: about }]) => ({
    name,
    id,
    kind,
    services: [...about],
  }))
  return { services: { ...services }, proxies: asking }
}

function count(metrics: Metrics, proxy: string, { server, code }: CallReport): void {
  const decision = code === 'allowed' ? 'allow' : 'deny'
  metrics
    .numbers(gatewayRows.askedDecisions)
    .cell(proxy, server ?? '', decision, code)
    .add()
}
