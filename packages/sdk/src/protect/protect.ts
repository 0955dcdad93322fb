/** A program's own API behind the decision path that a gateway has: same stages, same record, nobody in between. */

import { DoorwardError } from '@doorward/core'
import {
  addressKey,
  CallPlaces,
  connectionProblem,
  defaultCipherSuites,
  deny,
  KnownIdentities,
  MemoryRateLimiter,
  openListener,
  Pipeline,
} from '@doorward/enforcement'
import type { Connection, Listener, ListenerLimits, Rate } from '@doorward/enforcement'
import type { ConnectedIdentity } from '../connect.ts'
import type { Identity } from '../identity.ts'
import { importP256 } from '../platform/p256.ts'
import { systemRuntime } from '../runtime.ts'
import { CallsUnderWay } from './calls-under-way.ts'
import { openRecordOf } from './callee-record.ts'
import type { OpenRecord, RecordPlace } from './callee-record.ts'
import { serveProtected } from './protected-call.ts'
import type { ProtectedListener, ProtectedServing } from './protected-call.ts'
import { roleDecisions } from './role-decisions.ts'
import type { ProtectPolicy } from './role-decisions.ts'
import { listenerLimitsOf, requireLimits, requireRates } from './protect-limits.ts'
import { a2aSurface } from './a2a-surface.ts'
import type { A2aOptions } from './a2a-surface.ts'
import { mcpSurface } from './mcp-surface.ts'
import type { McpOptions } from './mcp-surface.ts'
import { rpcSurface } from './rpc-surface.ts'
import type { JsonRpcOptions } from './rpc-surface.ts'
import { RouteTable } from './route-table.ts'
import type { RouteText } from './route-table.ts'
import { routeSurface } from './surface.ts'
import type { Surface } from './surface.ts'

/** What of a connected identity decides about callers. */
export interface CalleeIdentity extends Pick<ConnectedIdentity, 'id' | 'trustDomain' | 'sealer'> {
  readonly identity: Pick<Identity, 'trust' | 'authorityUrl' | 'material' | 'onMaterial'>
}

export interface ProtectOptions {
  /** Connected as a `callee`. */
  readonly identity: CalleeIdentity
  /** URL at which callers reach this program: one of the `audiences` of its registration, and what tokens must be for. */
  readonly audience: string
  readonly listen: { readonly host: string; readonly port: number }
  /** Name of this program in permissions: `read:<service>/orders/*`. */
  readonly service: string
  /** Everything that may be asked; the rest exists for nobody. Either this, or one of the three that follow. */
  readonly routes?: readonly RouteText[]
  /** The handler is an MCP server: messages are judged instead of routes, and lists are filtered. */
  readonly mcp?: McpOptions
  /** The handler is an agent that is asked over A2A: methods are judged, and tasks belong to who began them. */
  readonly a2a?: A2aOptions
  /** The handler is asked by plain JSON-RPC: methods are judged as they are declared. */
  readonly jsonRpc?: JsonRpcOptions
  readonly policy: ProtectPolicy
  /** Where its log lies, or one that is open: then it stays open, and its refusals are written by whoever opened it. */
  readonly record: RecordPlace | OpenRecord
  readonly limits?: ProtectLimits
  /** Hears of failures that were survived: handlers that threw, outcomes that could not be recorded. Must not throw. */
  readonly onProblem?: (error: unknown) => void
}

export interface ProtectLimits {
  /** Of all requests together; 1000 a second by default. */
  readonly global?: Rate
  /** Of one address, a /64 of IPv6; 200 a second by default. */
  readonly perAddress?: Rate
  /** Of one caller, whatever its address; 100 a second by default. */
  readonly perCaller?: Rate
  /** Calls of all callers at once, from the body on until the answer has ended; 1000 by default. One more is `overloaded`. */
  readonly callsUnderWay?: number
  /** Those of one caller, and of each for whom it acts; 100 by default. One more is `limit_concurrency`. */
  readonly callsUnderWayPerCaller?: number
  /** Of a request's body; 1 MiB by default. */
  readonly bodyBytes?: number
  /** Single values of the listener: connections, handshakes, header bytes and times. */
  readonly listener?: Partial<ListenerLimits>
}

export interface ProtectedServer extends AsyncDisposable {
  readonly address: { readonly host: string; readonly port: number }
  /** Name of this program's log. */
  readonly log: string
  /** Takes no more requests, lets those under way end for that long (8 s by default), then closes record and connections. */
  close(graceMilliseconds?: number): Promise<void>
}

const GRACE = 8000
const LOOK = 1000
const staleness = { fullSeconds: 60, reducedSeconds: 300 }
const MIRROR_WAIT = 1000
const perSecond = (count: number): Rate => ({ count, periodSeconds: 1 })
const securityHeaders = { 'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer' }

/**
 * Opens the listener and gives the handler only what passed: the caller's certificate and a token bound to it and meant for
 * this audience, a declared route, a role that allows it, the limits, and an entry that is durable in this program's
 * record. Everything else is refused and on record; whatever cannot be decided or recorded is refused. Answers under way end
 * when their caller is revoked or loses the role. Without news of the authority known callers are served for a minute in
 * full, until five minutes at a reduced rate, then nobody. Throws `identity_scope` for an identity that is no callee,
 * `audience_invalid`, `route_invalid`, `mcp_path`, `mcp_effects`, `a2a_path`, `a2a_card`, `rpc_path`, `rpc_methods`,
 * `limit_invalid`, the codes of `roleDecisions` and `openCalleeRecord`, `port_in_use` and `address_unavailable`.
 */
export async function protect(handler: ProtectedListener, options: ProtectOptions): Promise<ProtectedServer> {
  const { identity, audience, service, onProblem = () => undefined } = options
  requireCallee(identity)
  const surfaceOn = surfaceOf(options)
  const decisions = roleDecisions(options.policy, service, identity.trustDomain)
  const authority = authorityOf(audience)
  const { rates, listenerLimits, calls } = boundsOf(options)
  await using stack = new AsyncDisposableStack()
  const { record: place } = options
  const opened = 'log' in place ? place : stack.use(await openRecordOf(identity, place))
  const { log: record } = opened
  const pipeline = pipelineOf(identity, { opened, decisions, rates })
  const surface = await surfaceOn({ pipeline, opened, bodyBytes: calls.bodyBytes, onProblem })
  const serving = { pipeline, surface, audience, ...calls, handler, onProblem }
  await record.append({ kind: 'lifecycle', body: { event: 'callee.start', name: service, audience } })
  const listener = await listen(options, serving, { authority, limits: listenerLimits })
  const unfollow = follow(identity, { pipeline, surface }, listener)
  const kept = stack.move()
  let closed: Promise<void> | null = null
  const close = async (graceMilliseconds: number) => {
    surface.lasting?.endStreams()
    await listener.close(graceMilliseconds)
    unfollow()
    await record.append({ kind: 'lifecycle', body: { event: 'callee.stop', name: service } }).catch(onProblem)
    await kept.disposeAsync()
  }
  const once = (graceMilliseconds = GRACE) => (closed ??= close(graceMilliseconds))
  return { address: listener.address, log: record.stats().origin, close: once, [Symbol.asyncDispose]: () => once() }
}

interface SurfaceParts extends Pick<ProtectedServing, 'pipeline' | 'bodyBytes' | 'onProblem'> {
  readonly opened: OpenRecord
}

/** What is wrong with it is found before anything is opened. */
function surfaceOf(options: ProtectOptions): (parts: SurfaceParts) => Surface | Promise<Surface> {
  const { routes, mcp, a2a, jsonRpc, service, audience } = options
  if ([routes, mcp, a2a, jsonRpc].filter((one) => one !== undefined).length > 1)
    throw new DoorwardError('route_invalid', 'what a program is asked by is one thing', {
      expected: 'one of routes, mcp, a2a and jsonRpc',
    })
  if (a2a !== undefined) {
    const agent = a2aSurface(a2a)
    return async ({ opened }) => agent({ service, audience, nameKey: await opened.nameKey() })
  }
  if (jsonRpc !== undefined) {
    const judging = rpcSurface(jsonRpc)
    return () => judging(service)
  }
  if (mcp === undefined) {
    const surface = routeSurface(new RouteTable(routes ?? []), service)
    return () => surface
  }
  const judging = mcpSurface(mcp)
  return async ({ pipeline, opened, bodyBytes, onProblem }) => {
    const { decisions, trust } = pipeline.dependencies
    return judging({ service, bodyBytes, decisions, trust, nameKey: await opened.nameKey(), onProblem })
  }
}

interface Bounds {
  readonly rates: Readonly<Record<'global' | 'perAddress' | 'perCaller', Rate>>
  readonly listenerLimits: ListenerLimits
  readonly calls: Pick<ProtectedServing, 'bodyBytes' | 'underWay'>
}

function boundsOf({ limits = {} }: ProtectOptions): Bounds {
  const { callsUnderWay = 1000, callsUnderWayPerCaller = 100, bodyBytes = 1024 * 1024 } = limits
  requireLimits({ callsUnderWay, callsUnderWayPerCaller, bodyBytes })
  const { global = perSecond(1000), perAddress = perSecond(200), perCaller = perSecond(100) } = limits
  const rates = { global, perAddress, perCaller }
  requireRates(rates)
  const underWay = new CallsUnderWay({ all: callsUnderWay, perCaller: callsUnderWayPerCaller })
  return { rates, listenerLimits: listenerLimitsOf(limits.listener), calls: { bodyBytes, underWay } }
}

function requireCallee({ identity }: CalleeIdentity): void {
  if (identity.trust.current()?.state.scope === 'full') return
  throw new DoorwardError('identity_scope', 'this identity may not decide about callers', {
    expected: 'one that was connected with callee: true',
  })
}

/** Values of `Host` derive from the audience alone. */
function authorityOf(audience: string): string {
  const url = URL.canParse(audience) ? new URL(audience) : null
  if (url?.protocol === 'https:') return url.host
  throw new DoorwardError('audience_invalid', 'the audience is not a URL of this program', {
    got: audience.slice(0, 200),
    expected: 'https://orders.acme.example:9443',
  })
}

interface PipelineParts extends Pick<Bounds, 'rates'> {
  readonly opened: OpenRecord
  readonly decisions: ReturnType<typeof roleDecisions>
}

function pipelineOf({ identity }: CalleeIdentity, { opened, decisions, rates }: PipelineParts): Pipeline {
  const { log, refusals } = opened
  const { trust, authorityUrl: issuer } = identity
  const { global, perAddress, perCaller: perUser } = rates
  return new Pipeline({
    trust,
    limiter: new MemoryRateLimiter({ monotonic: systemRuntime.monotonic }),
    importP256,
    known: new KnownIdentities(),
    settings: { issuer, staleness, perUser, mirrorWaitMilliseconds: MIRROR_WAIT },
    decisions,
    log,
    refusals,
    connectionLimits: { global, perIp: () => perAddress, ipKey: addressKey },
    quotas: [],
    places: new CallPlaces(),
  })
}

function listen(
  { identity, listen: at }: ProtectOptions,
  serving: ProtectedServing,
  { authority, limits }: { readonly authority: string; readonly limits: ListenerLimits },
): Promise<Listener> {
  const { pipeline } = serving
  return openListener({
    name: 'main',
    ...at,
    clientCertificate: 'required',
    material: identity.identity.material(),
    authorities: [authority],
    cipherSuites: defaultCipherSuites,
    securityHeaders,
    limits,
    clock: () => pipeline.dependencies.trust.now(),
    monotonic: systemRuntime.monotonic,
    onExchange: (exchange) => serveProtected(exchange, serving),
    onRefusedHandshake: ({ remoteAddress, reason }) => {
      pipeline.dependencies.refusals.count({ source: remoteAddress, reason })
    },
  })
}

/** New certificates and anchors reach the listener, and a new trust state whoever is connected; without news nobody stays. */
function follow(
  { identity }: CalleeIdentity,
  { pipeline, surface }: Pick<ProtectedServing, 'pipeline' | 'surface'>,
  listener: Listener,
): () => void {
  const { trust } = identity
  const stops = [
    identity.onMaterial(() => listener.update(identity.material())),
    trust.onApply((view) => {
      listener.closeConnections((connection: Connection) => connectionProblem(connection, view, pipeline) !== null)
      void pipeline.review()
      surface.lasting?.review(view)
    }),
  ]
  const look = () => {
    surface.lasting?.sweep()
    if (trust.ageSeconds() <= staleness.reducedSeconds) return
    pipeline.open.endAll(deny('trust_stale', 'the trust state was not confirmed for too long'))
    listener.closeConnections(() => true)
  }
  const timer = setInterval(look, LOOK).unref()
  return () => {
    clearInterval(timer)
    for (const stop of stops) stop()
  }
}
