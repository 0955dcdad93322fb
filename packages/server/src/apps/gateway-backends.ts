/** The way of a gateway to a configured plain HTTP service or agent. */

import { issuerAlgorithms, utf8 } from '@doorward/core'
import { AgentNames, TaskOwners } from '@doorward/enforcement'
import type { CardKeyOf } from '@doorward/enforcement'
import { systemRuntime } from '@doorward/sdk'
import { keyName, readIssuerKeySet } from '../issuers/issuer-key-set.ts'
import { AgentCardGate } from '../transports/agent-card.ts'
import { agentProtocol } from '../transports/agent-call.ts'
import { plainProtocol } from '../transports/backend-call.ts'
import { answerHeaders, requestHeaders } from '../transports/backend-headers.ts'
import { openBackendUpstream } from '../transports/backend-upstream.ts'
import type { BackendUpstream } from '../transports/backend-upstream.ts'
import { rpcProtocol } from '../transports/rpc-call.ts'
import { BoundedCalls } from '../transports/bounded-calls.ts'
import { Circuit, defaultCircuitThreshold } from '../transports/circuit.ts'
import type { HttpBackend } from '../transports/http-backends.ts'
import { KnownValues } from './credentials/known-values.ts'
import { openCredential } from './credentials/open-credential.ts'
import { boundedLimits, keepingParts, tellOfCircuit, tlsOf } from './gateway-servers.ts'
import type { ServerParts } from './gateway-servers.ts'
import { audienceOfBackend } from './gateway-settings.ts'
import type { BackendSettings } from './gateway-settings.ts'
import { callBounds } from './live-settings.ts'
import type { ServerDefinitions } from './server-definitions.ts'

export interface BackendParts extends Omit<ServerParts, 'pipeline'> {
  /** 32 bytes. */
  readonly handleKey: Uint8Array
}

/** One configured service or agent as the gateway holds it. */
export interface GatewayBackend extends HttpBackend {
  /** What is approved of an agent; null for services, and where `approval` is off. */
  readonly approved: ServerDefinitions | null
}

/** Opens the way to one service, closed by `stack`; connects to nothing yet. Throws `upstream_url_invalid`. */
export async function openBackend(
  parts: BackendParts,
  { name, server: backend }: { readonly name: string; readonly server: BackendSettings },
  stack: AsyncDisposableStack,
): Promise<GatewayBackend> {
  const { settings, live, secrets, log, warn } = parts
  if (backend.insecureUpstream) warn('server_insecure', `service ${name} is reached without TLS, as configured`)
  const known = new KnownValues()
  const upstream = openBackendUpstream({
    name,
    url: backend.url,
    tls: tlsOf(parts, backend, stack),
    limits: boundedLimits(parts, name),
    credential: openCredential(backend.credential ?? null, {
      server: name,
      secrets,
      known,
      ...keepingParts(parts, stack),
    }),
    known,
    answerBytes: backend.answerBytes,
    redact: backend.redact === true,
    requestHeaders: [...requestHeaders, ...backend.requestHeaders],
    answerHeaders: [...answerHeaders, ...backend.answerHeaders],
    onFailure: (reason) => log.warning('server_unreachable', { server: name, reason }),
  })
  stack.defer(() => upstream.close())
  const circuit = new Circuit(defaultCircuitThreshold, systemRuntime.chance)
  const methods = new Set(backend.methods)
  const audience = audienceOfBackend(settings, name, backend.speaks)
  return {
    ...(await spoken(parts, { name, backend, upstream, audience, methods }, stack)),
    methods,
    upstream,
    circuit,
    calls: new BoundedCalls(callBounds(live, name)),
    onCircuit: tellOfCircuit(parts, name, circuit),
    audience,
  }
}

interface Opening {
  readonly name: string
  readonly backend: BackendSettings
  readonly upstream: BackendUpstream
  readonly audience: string
  readonly methods: ReadonlySet<string>
}

async function spoken(
  parts: BackendParts,
  { name, backend, upstream, audience, methods }: Opening,
  stack: AsyncDisposableStack,
): Promise<Pick<GatewayBackend, 'protocol' | 'approved'>> {
  const { speaks } = backend
  if (speaks === undefined) return { protocol: plainProtocol(methods), approved: null }
  if (speaks.kind === 'json-rpc')
    return { protocol: rpcProtocol(new Map(Object.entries(speaks.methods))), approved: null }
  const cards = new AgentCardGate({
    agent: name,
    url: audience,
    fetch: () => upstream.document(speaks.card),
    known: () => approved?.known ?? null,
    keyOf: speaks.cardKeys === undefined ? null : keysIn(speaks.cardKeys),
    monotonic: () => performance.now(),
  })
  const approved = await parts.definitions.open(name, speaks, () => cards.definitions())
  stack.defer(async () => approved?.close())
  const names = new AgentNames(parts.handleKey)
  return { protocol: agentProtocol({ names, owners: new TaskOwners(), cards }), approved }
}

/** Throws `issuer_keys_invalid`. */
function keysIn(text: string): CardKeyOf {
  const keys = readIssuerKeySet(utf8(text), issuerAlgorithms)
  return (algorithm, kid) => {
    const known = issuerAlgorithms.find((one) => one === algorithm)
    return known === undefined ? null : (keys.get(keyName(known, kid)) ?? null)
  }
}
