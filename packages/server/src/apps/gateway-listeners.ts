/** The three listeners of a gateway and what each of them serves. */

import { deny, openListener, sendRefusal } from '@doorward/enforcement'
import type { ApprovalDesk, Exchange, Listener, ListenerOptions, Pipeline, TlsMaterial } from '@doorward/enforcement'
import { isApprovalLink, serveApprovalLink } from '../transports/approval-links.ts'
import type { ApprovalLinks } from '../transports/approval-links.ts'
import { isBackendPath } from '../transports/backend-call.ts'
import { serveApi } from '../transports/api-routes.ts'
import type { ApiRoute, ApiTraces } from '../transports/api-routes.ts'
import type { HttpBackends } from '../transports/http-backends.ts'
import { metricsPath } from '../transports/metrics-route.ts'
import { legacyPrefix } from '../transports/legacy-sse.ts'
import type { LegacySse } from '../transports/legacy-sse.ts'
import { servePublic } from '../transports/public-api.ts'
import { ownListenerOptions } from './own-listener.ts'
import type { OwnMetrics } from './own-metrics.ts'
import type { StreamableHttp } from '../transports/streamable-http.ts'
import { audienceOfAdmin, audienceOfGateway, doorsOf } from './gateway-settings.ts'
import type { GatewayListenerName, GatewaySettings } from './gateway-settings.ts'

export interface GatewayListenerParts {
  readonly settings: GatewaySettings
  /** In place of those of the settings. */
  readonly limits: Partial<ListenerOptions['limits']>
  readonly pipeline: Pipeline
  readonly endpoint: StreamableHttp
  readonly httpBackends: HttpBackends
  readonly legacySse: LegacySse
  /** Of requests to our own API. */
  readonly traces: ApiTraces
  /** Of the admin API. */
  readonly routes: readonly ApiRoute[]
  /** For every caller, beside the servers. */
  readonly callerRoutes: readonly ApiRoute[]
  readonly material: TlsMaterial
  readonly ready: () => boolean
  readonly approvals: ApprovalDesk
  /** Null where no service is told who calls. */
  readonly principalKeys: (() => string) | null
  readonly own: Pick<OwnMetrics, 'handshakeRefused' | 'apiAnswered'>
  readonly onProblem: (error: unknown) => void
}

export type GatewayListeners = Readonly<Record<GatewayListenerName, Listener>>

/** Servers have their paths under `/mcp/`, services under `/http/`. */
const isOwnPath = (path: string) => path.startsWith('/v1/') || path === metricsPath

const clientCertificates = { main: 'required', admin: 'required', public: 'none' } as const

/** Opens all three; what was opened is given to `stack`. Throws `port_in_use`, `address_unavailable`, `tls_material_invalid`. */
export async function openGatewayListeners(
  parts: GatewayListenerParts,
  stack: AsyncDisposableStack,
  graceMilliseconds: number,
): Promise<GatewayListeners> {
  const open = async (name: GatewayListenerName): Promise<Listener> => {
    const listener = await openListener(listenerOptions(name, parts))
    stack.defer(() => listener.close(graceMilliseconds))
    return listener
  }
  return { main: await open('main'), admin: await open('admin'), public: await open('public') }
}

function listenerOptions(name: GatewayListenerName, parts: GatewayListenerParts): ListenerOptions {
  const { settings, limits, pipeline, material, own } = parts
  const { cipherSuites, headers, origins = [], proxies } = settings.security
  const { linksAt = null } = settings.approvalNotices ?? {}
  return {
    ...ownListenerOptions({
      name,
      address: settings.listeners[name],
      publicUrl: name === 'main' ? settings.publicUrl : name === 'public' ? linksAt : null,
      material,
      cipherSuites,
      headers,
      limits,
      ...(proxies === undefined ? {} : { isProxy: proxies[name] }),
      pipeline,
      doors: doorsOf(settings),
      onRefusedHandshake: own.handshakeRefused,
    }),
    clientCertificate: clientCertificates[name],
    ...(name === 'main' ? { origins } : name === 'public' && linksAt !== null ? { origins: [linksAt] } : {}),
    onExchange: exchangeFor(name, parts),
  }
}

function exchangeFor(name: GatewayListenerName, parts: GatewayListenerParts): (exchange: Exchange) => Promise<void> {
  const { settings, pipeline, endpoint, legacySse, httpBackends, routes, callerRoutes, ready, own, traces, onProblem } =
    parts
  const api = { pipeline, server: 'gateway', traces, onProblem, onAnswered: own.apiAnswered } as const
  switch (name) {
    case 'main':
      return (exchange) => {
        const { path } = exchange.head
        if (isOwnPath(path))
          return serveApi(exchange, { ...api, routes: callerRoutes, audience: audienceOfGateway(settings) })
        if (path.startsWith(legacyPrefix)) return legacySse.serve(exchange)
        return isBackendPath(path) ? httpBackends.serve(exchange) : endpoint.serve(exchange)
      }
    case 'admin':
      return (exchange) => serveApi(exchange, { ...api, routes, audience: audienceOfAdmin(settings) })
    case 'public':
      return (exchange) => {
        const links = linksOf(parts)
        return links !== null && isApprovalLink(exchange.head.path)
          ? serveApprovalLink(exchange, { pipeline, links }).catch((error: unknown) => failLink(exchange, parts, error))
          : servePublic(exchange, { pipeline, ready, bundle: null, crls: null, principalKeys: parts.principalKeys })
      }
  }
}

function linksOf({ settings, approvals }: GatewayListenerParts): ApprovalLinks | null {
  const { linksAt = null } = settings.approvalNotices ?? {}
  return linksAt === null ? null : { desk: approvals, origin: linksAt }
}

/** Nothing counts that is not on record. */
async function failLink(
  exchange: Exchange,
  { pipeline, onProblem }: GatewayListenerParts,
  error: unknown,
): Promise<void> {
  onProblem(error)
  const inbound = { connection: exchange.connection, head: exchange.head, audience: '' }
  sendRefusal(exchange, await pipeline.refuse(inbound, deny('record_unavailable', String(error))))
}
