/** The way of a gateway to a configured server. */

import { parseSpiffeId } from '@doorward/core'
import type { JsonObject, Principal } from '@doorward/core'
import type { Pipeline, TrafficOptions } from '@doorward/enforcement'
import { systemRuntime } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import type { Log } from '../observability/log.ts'
import { BoundedCalls } from '../transports/bounded-calls.ts'
import { Circuit, defaultCircuitThreshold } from '../transports/circuit.ts'
import type { CircuitState } from '../transports/circuit.ts'
import { guardUpstream } from '../transports/guarded-upstream.ts'
import type { McpServer } from '../transports/streamable-http.ts'
import { possibleEffects, toolEffects } from '@doorward/enforcement'
import type { ServerCredential } from '../transports/server-credential.ts'
import { openHttpUpstream } from '../transports/upstream-http.ts'
import type { UpstreamTls } from '../transports/upstream-http.ts'
import { ownUse } from '../transports/upstream-http-wire.ts'
import { openSseUpstream } from '../transports/upstream-sse.ts'
import { openStdioUpstream } from '../transports/upstream-stdio.ts'
import { defaultUpstreamLimits } from '../transports/upstream.ts'
import type { UpstreamLimits } from '../transports/upstream.ts'
import { denialsOf } from './credentials/denials.ts'
import { GrantClient } from './credentials/grant-client.ts'
import type { KeepingParts } from './credentials/header-credential.ts'
import { openCredential } from './credentials/open-credential.ts'
import type { PeopleGrants } from './credentials/people-grants.ts'
import { userCredential } from './credentials/user-credential.ts'
import type { GatewaySecrets } from './credentials/gateway-secrets.ts'
import { KnownValues } from './credentials/known-values.ts'
import { secretVariables } from './credentials/secret-variables.ts'
import type { GatewayDefinitions } from './gateway-definitions.ts'
import { audienceOfServer } from './gateway-settings.ts'
import type { GatewaySettings, HttpServerSettings, ServerSettings, StdioServerSettings } from './gateway-settings.ts'
import { inspectHttpServer } from './inspect-http-server.ts'
import { inspectServer, withVariables } from './inspect-server.ts'
import { inspectSseServer } from './inspect-sse-server.ts'
import { Asking } from './inspection.ts'
import { callBounds } from './live-settings.ts'
import type { LiveSettings } from './live-settings.ts'
import { ownUpstream } from './own-upstream.ts'
import { planSandbox } from './server-sandbox.ts'
import type { ServerDefinitions } from './server-definitions.ts'

/** One configured server as the gateway holds it. */
export interface GatewayServer extends McpServer {
  readonly circuit: Circuit
  /** What is approved of it; null where `approval` is off. */
  readonly approved: ServerDefinitions | null
}

export interface ServerParts {
  readonly settings: GatewaySettings
  /** For what is looked at for each call. */
  readonly live: LiveSettings
  readonly pipeline: Pipeline
  readonly identity: Identity
  readonly definitions: GatewayDefinitions
  readonly secrets: GatewaySecrets
  /** Null: people grant nothing here. */
  readonly people: PeopleGrants | null
  readonly log: Log
  readonly warn: (code: string, text: string) => void
}

/** After this a stdio server's answer becomes a stream, so that nobody takes silence for death. */
const PATIENCE_MILLISECONDS = 10_000
/** Callers may wait for it. */
const INSPECTION_MILLISECONDS = 15_000

/** Opens the way to one server, closed by `stack`; connects to nothing and starts nothing yet. Throws `upstream_url_invalid`. */
export async function openServer(
  parts: ServerParts,
  { name, server }: { readonly name: string; readonly server: ServerSettings },
  stack: AsyncDisposableStack,
): Promise<GatewayServer> {
  const effectOf = toolEffects(server.effects)
  const asking = new Asking()
  stack.defer(() => asking.close())
  const opened = await parts.definitions.open(name, server, () => asking.definitions())
  stack.defer(async () => opened?.close())
  const definitions = opened?.gate ?? null
  const known = new KnownValues()
  const output = server.output === undefined ? null : { ...server.output, withoutKnown: known.without }
  const effects = possibleEffects(server.effects)
  const traffic = { ...trafficOptions(parts, name, effectOf), effects, definitions, output }
  const circuit = new Circuit(defaultCircuitThreshold, systemRuntime.chance)
  const bare =
    server.kind === 'stdio'
      ? await openStdio(parts, { name, server, traffic, asking, known }, stack)
      : openHttp(parts, { name, server, traffic, asking, known }, stack)
  stack.defer(() => bare.close())
  const calls = new BoundedCalls(callBounds(parts.live, name))
  const upstream = guardUpstream(bare, { circuit, monotonic, calls, onChange: tellOfCircuit(parts, name, circuit) })
  return {
    upstream,
    circuit,
    effectOf,
    definitions,
    approved: opened,
    audience: audienceOfServer(parts.settings, name),
    legacySse: server.legacySse === true,
  }
}

const monotonic = () => performance.now()

/** Tells log and operator when the circuit of a server opens and closes. */
export function tellOfCircuit(
  { log, warn }: Pick<ServerParts, 'log' | 'warn'>,
  server: string,
  circuit: Circuit,
): () => void {
  let told: CircuitState = 'closed'
  return () => {
    const state = circuit.state(monotonic())
    log.notice('server_circuit', { server, state, failures: circuit.inARow })
    // A trial that fails says nothing new.
    if (state !== told) warn('server_circuit', `server ${server}: ${circuitWords[state]}`)
    told = state
  }
}

const circuitWords: Readonly<Record<CircuitState, string>> = {
  closed: 'it answers again, and calls go there as before',
  open: 'it has failed too often; for a while nothing is sent there, then one call at a time',
  'half-open': 'the next call shows whether it is back',
}

interface Opening<Settings> {
  readonly name: string
  readonly server: Settings
  readonly traffic: TrafficOptions
  readonly asking: Asking
  /** What the server was given. */
  readonly known: KnownValues
}

export function upstreamLimits({ limits }: GatewaySettings): UpstreamLimits {
  return { ...defaultUpstreamLimits, ...limits?.upstream }
}

/** Those of one server or service: its own deadline stands in for the general one. */
export function boundedLimits(
  { settings, live }: Pick<ServerParts, 'settings' | 'live'>,
  name: string,
): UpstreamLimits {
  const limits = upstreamLimits(settings)
  const bounds = callBounds(live, name)
  return {
    ...limits,
    get responseMilliseconds() {
      return bounds.deadlineMilliseconds ?? limits.responseMilliseconds
    },
  }
}

function trafficOptions(
  { settings, pipeline, log }: ServerParts,
  server: string,
  effectOf: TrafficOptions['effectOf'],
): TrafficOptions {
  const { decisions, trust } = pipeline.dependencies
  return {
    decisions,
    trust,
    effectOf,
    messageBytes: upstreamLimits(settings).messageBytes,
    onDropped: (session, reason) => log.warning('server_message_dropped', { server, reason, caller: session.owner }),
  }
}

async function openStdio(
  parts: ServerParts,
  { name, server, traffic, asking, known }: Opening<StdioServerSettings>,
  stack: AsyncDisposableStack,
) {
  const { settings, pipeline, secrets, log, warn } = parts
  const hidden = [settings.stateDir, settings.keyDir, ...(settings.keyOutsideOf ?? [])]
  const plan = await planSandbox({ name, server, path: settings.path, hidden })
  stack.defer(plan.release)
  if (plan.warning !== null) warn('server_not_isolated', plan.warning)
  const recordAct = actsOf({ pipeline })
  const onOwnUse = ownUses({ name, recordAct })
  const variablesFor = secretVariables(server.secretEnv ?? {}, { server: name, secrets, known })
  asking.inspect = async (signal) => {
    const command = await withVariables(plan.command, variablesFor, (use) => onOwnUse(use, null))
    return inspectServer(command, signal, INSPECTION_MILLISECONDS)
  }
  return openStdioUpstream({
    name,
    command: plan.command,
    limits: boundedLimits(parts, name),
    traffic,
    patienceMilliseconds: PATIENCE_MILLISECONDS,
    recordAct,
    onOwnUse,
    variablesFor,
    ...(server.processes === undefined ? {} : { processes: server.processes }),
    ...(server.idleMilliseconds === undefined ? {} : { idleMilliseconds: server.idleMilliseconds }),
    monotonic,
    chance: systemRuntime.chance,
    onLog: (text) =>
      log.notice('server_stderr', { server: name, text: known.without(withoutValues(text, server.env)) }),
    onFailure: (reason) => {
      log.warning('server_ended', { server: name, reason })
      warn('server_ended', `server ${name}: ${reason}`)
    },
  })
}

function openHttp(
  parts: ServerParts,
  { name, server, traffic, asking, known }: Opening<HttpServerSettings>,
  stack: AsyncDisposableStack,
) {
  const { log, warn } = parts
  const limits = boundedLimits(parts, name)
  if (server.insecureUpstream) warn('server_insecure', `server ${name} is reached without TLS, as configured`)
  const tls = tlsOf(parts, server, stack)
  const recordAct = actsOf(parts)
  const onOwnUse = ownUses({ name, recordAct })
  const credential = credentialOf(parts, { name, server, known }, stack)
  const own = credential === null ? null : { credential, onUse: (use: JsonObject) => onOwnUse(use, null) }
  const place = { url: server.url, tls, limits, own }
  const inspectIt = server.transport === 'sse' ? inspectSseServer : inspectHttpServer
  asking.inspect = (signal) => inspectIt(place, signal, INSPECTION_MILLISECONDS)
  const options = {
    name,
    url: server.url,
    tls,
    limits,
    traffic,
    credential,
    onFailure: (reason: string) => log.warning('server_unreachable', { server: name, reason }),
  }
  if (server.transport === 'sse')
    return openSseUpstream({ ...options, onOwnUse, monotonic, patienceMilliseconds: PATIENCE_MILLISECONDS })
  return openHttpUpstream({
    ...options,
    recordAct,
    monotonic,
  })
}

function credentialOf(
  { people, secrets, identity }: ServerParts,
  { name, server, known }: Pick<Opening<HttpServerSettings>, 'name' | 'server' | 'known'>,
  stack: AsyncDisposableStack,
): ServerCredential | null {
  const settings = server.credential ?? null
  if (settings?.kind !== 'user' || people === null)
    return openCredential(settings, { server: name, secrets, known, ...keepingParts({ identity }, stack) })
  const client = new GrantClient({ server: name, url: server.url, settings, secrets, documentUrl: people.documentUrl })
  stack.defer(people.grants.register(client))
  return userCredential({ client, ...people, secrets, known })
}

/** What a credential needs that keeps something in the names of callers. */
export function keepingParts(
  { identity }: Pick<ServerParts, 'identity'>,
  stack: AsyncDisposableStack,
): Pick<KeepingParts, 'denials' | 'onClose'> {
  return { denials: denialsOf(identity.trust), onClose: (work) => stack.defer(work) }
}

export function tlsOf(
  parts: Pick<ServerParts, 'identity'>,
  server: Pick<HttpServerSettings, 'insecureUpstream' | 'identity'>,
  stack: AsyncDisposableStack,
): UpstreamTls {
  if (server.insecureUpstream) return { kind: 'none' }
  if (server.identity === undefined) return { kind: 'system' }
  const { tls, close } = ownUpstream(parts.identity, parseSpiffeId(server.identity))
  stack.defer(close)
  return tls
}

/** Shorter values are words that stand in any text. */
const SECRET_CHARACTERS = 8

/** What a server says about itself, without what it was given in its environment. */
function withoutValues(text: string, env: Readonly<Record<string, string>>): string {
  let kept = text
  for (const [name, value] of Object.entries(env))
    if (value.length >= SECRET_CHARACTERS) kept = kept.replaceAll(value, `[${name}]`)
  return kept
}

type RecordAct = (body: JsonObject) => Promise<void>

/** What of our credentials is used beside calls. */
function ownUses(of: { readonly name: string; readonly recordAct: RecordAct }) {
  return (use: JsonObject, principal: Principal | null) => ownUse(of, principal)(use)
}

/** Entries about what the gateway asks servers for itself. */
function actsOf({ pipeline }: Pick<ServerParts, 'pipeline'>): RecordAct {
  return async (body) => void (await pipeline.dependencies.log.append({ kind: 'lifecycle', body }))
}
