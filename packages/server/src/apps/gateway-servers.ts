/** The configured servers of a gateway, each with its way to it. */

import { parseSpiffeId } from '@doorward/core'
import type { Pipeline } from '@doorward/enforcement'
import type { Identity } from '@doorward/sdk'
import type { Log } from '../observability/log.ts'
import type { McpServer } from '../transports/streamable-http.ts'
import type { TrafficOptions } from '../transports/server-traffic.ts'
import { toolEffects } from '../transports/tool-effects.ts'
import { openHttpUpstream } from '../transports/upstream-http.ts'
import type { UpstreamTls } from '../transports/upstream-http.ts'
import { openStdioUpstream } from '../transports/upstream-stdio.ts'
import { defaultUpstreamLimits } from '../transports/upstream.ts'
import type { UpstreamLimits } from '../transports/upstream.ts'
import { audienceOfServer } from './gateway-settings.ts'
import type { GatewaySettings, HttpServerSettings, StdioServerSettings } from './gateway-settings.ts'
import { ownUpstream } from './own-upstream.ts'
import { planSandbox } from './server-sandbox.ts'

export interface ServerParts {
  readonly settings: GatewaySettings
  readonly pipeline: Pipeline
  readonly identity: Identity
  readonly log: Log
  readonly warn: (code: string, text: string) => void
}

/** After this a stdio server's answer becomes a stream, so that nobody takes silence for death. */
const PATIENCE_MILLISECONDS = 10_000

/** Opens the way to every server; connects to nothing and starts nothing yet. Throws `upstream_url_invalid`. */
export async function openServers(
  parts: ServerParts,
  stack: AsyncDisposableStack,
): Promise<ReadonlyMap<string, McpServer>> {
  const servers = new Map<string, McpServer>()
  for (const [name, server] of Object.entries(parts.settings.servers)) {
    const effectOf = toolEffects(server.effects)
    const traffic = trafficOptions(parts, name, effectOf)
    const upstream =
      server.kind === 'stdio'
        ? await openStdio(parts, { name, server, traffic }, stack)
        : openHttp(parts, { name, server, traffic }, stack)
    stack.defer(() => upstream.close())
    servers.set(name, { upstream, effectOf, audience: audienceOfServer(parts.settings, name) })
  }
  return servers
}

export function upstreamLimits({ limits }: GatewaySettings): UpstreamLimits {
  return { ...defaultUpstreamLimits, ...limits?.upstream }
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
  { settings, log, warn }: ServerParts,
  { name, server, traffic }: { name: string; server: StdioServerSettings; traffic: TrafficOptions },
  stack: AsyncDisposableStack,
) {
  const hidden = [settings.stateDir, settings.keyDir, ...(settings.keyOutsideOf ?? [])]
  const plan = await planSandbox({ name, server, path: settings.path, hidden })
  stack.defer(plan.release)
  if (plan.warning !== null) warn('server_not_isolated', plan.warning)
  return openStdioUpstream({
    name,
    command: plan.command,
    limits: upstreamLimits(settings),
    traffic,
    patienceMilliseconds: PATIENCE_MILLISECONDS,
    onLog: (text) => log.notice('server_stderr', { server: name, text }),
    onFailure: (reason) => {
      log.warning('server_ended', { server: name, reason })
      warn('server_ended', `server ${name}: ${reason}`)
    },
  })
}

function openHttp(
  parts: ServerParts,
  { name, server, traffic }: { name: string; server: HttpServerSettings; traffic: TrafficOptions },
  stack: AsyncDisposableStack,
) {
  const { settings, log, warn } = parts
  if (server.insecureUpstream) warn('server_insecure', `server ${name} is reached without TLS, as configured`)
  return openHttpUpstream({
    name,
    url: server.url,
    tls: tlsOf(parts, server, stack),
    limits: upstreamLimits(settings),
    traffic,
    onFailure: (reason) => log.warning('server_unreachable', { server: name, reason }),
  })
}

function tlsOf(parts: ServerParts, server: HttpServerSettings, stack: AsyncDisposableStack): UpstreamTls {
  if (server.insecureUpstream) return { kind: 'none' }
  if (server.identity === undefined) return { kind: 'system' }
  const { tls, close } = ownUpstream(parts.identity, parseSpiffeId(server.identity))
  stack.defer(close)
  return tls
}
