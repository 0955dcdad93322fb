/** The edge of a gateway: a listener for hosts that hold no certificate, and by what they are known instead. */

import { toSeconds } from '@doorward/core'
import type { EpochMillis, TrustDomain } from '@doorward/core'
import { openListener } from '@doorward/enforcement'
import type {
  EdgeRules,
  Listener,
  ListenerOptions,
  NameProofs,
  Pipeline,
  Record as AuditRecord,
  TlsMaterial,
  TrustSource,
} from '@doorward/enforcement'
import { sha256 } from '@doorward/sdk'
import type { EdgeCertificate } from '../config/edge-certificate.ts'
import { clientNameOf } from '../config/edge-settings.ts'
import type { EdgeSettings } from '../config/edge-settings.ts'
import type { IssuerSettings } from '../config/issuer-settings.ts'
import { frontTokens, withFront } from '../issuers/front-tokens.ts'
import { importIssuerKey } from '../issuers/issuer-key-set.ts'
import { MemoryReplayGuard } from '../state/memory-replay-guard.ts'
import { SealedNonces } from '../state/sealed-nonces.ts'
import { isConsentPath, serveConsent } from '../transports/consent-pages.ts'
import type { ConsentPort } from '../transports/consent-pages.ts'
import { Edge } from '../transports/edge.ts'
import type { StreamableHttp } from '../transports/streamable-http.ts'
import type { EdgeCertificates } from './edge-certificate-source.ts'
import type { GatewaySettings } from './gateway-settings.ts'
import { openIssuers } from './issuers.ts'
import { ownListenerOptions } from './own-listener.ts'
import type { OwnMetrics } from './own-metrics.ts'

export interface EdgeRuleParts {
  readonly edge: EdgeSettings
  readonly issuers: readonly IssuerSettings[]
  readonly trustDomain: TrustDomain
  readonly trust: TrustSource
}

/** Throws the codes of `openIssuers`. */
export async function openEdgeRules({ edge, issuers, trustDomain, trust }: EdgeRuleParts): Promise<EdgeRules> {
  const accepted = issuers.filter(({ name }) => edge.issuers.includes(name))
  // Tokens and proofs are judged by the time that no stepped local clock turns back.
  const now = () => trust.now()
  const { tokens } = await openIssuers(accepted, now)
  const { front } = edge
  return {
    tokens: front === null ? tokens : withFront(front, frontTokens(front, trust), tokens),
    trustDomain,
    publicUrl: edge.publicUrl,
    clientName: ({ clientId, own }) => clientNameOf(edge, { clientId, ofFront: own !== null }),
    bearer: edge.bearer,
    scopesRequired: edge.scopesRequired,
    proofs: {
      algorithms: edge.algorithms,
      importKey: importIssuerKey,
      sha256,
      guard: new MemoryReplayGuard({ now }),
      nonces: new SealedNonces(now),
      nonceRequired: edge.nonceRequired,
      since: toSeconds(now()),
    },
  }
}

export interface EdgeParts {
  readonly settings: Pick<GatewaySettings, 'edge' | 'issuers' | 'security'>
  readonly limits: Partial<ListenerOptions['limits']>
  readonly pipeline: Pipeline
  readonly endpoint: StreamableHttp
  /** Where people grant the gateway something; null serves no such pages. */
  readonly people: { readonly consents: ConsentPort } | null
  /** That callers without a certificate are let in is on it each time. */
  readonly record: Pick<AuditRecord, 'append'>
  readonly own: Pick<OwnMetrics, 'handshakeRefused'>
  /** Null where there is no edge. */
  readonly certificates: EdgeCertificates | null
  readonly warn: (code: string, text: string) => void
}

export interface RunningEdge {
  readonly settings: EdgeSettings
  readonly listener: Listener
  /** When the certificate that it shows now ends; null while there is none. */
  readonly certificateEnds: () => EpochMillis | null
  /** Takes up a certificate that replaces the one it shows. Runs until the signal aborts; never rejects. */
  run(signal: AbortSignal): Promise<void>
}

/** Null where nothing is configured. Throws the codes of `openListener`. */
export async function openEdge(
  parts: EdgeParts,
  stack: AsyncDisposableStack,
  graceMilliseconds: number,
): Promise<RunningEdge | null> {
  const { settings, pipeline, certificates } = parts
  const { edge } = settings
  const rules = pipeline.dependencies.edge
  if (edge === undefined || rules === undefined || certificates === null) return null
  const shown = certificates.current()
  const material = shown === null ? null : materialOf(shown)
  const listener = await openListener(listenerOptions(parts, edge, { rules, material, proofs: certificates.proofs }))
  stack.defer(() => listener.close(graceMilliseconds))
  warnOf(edge, parts.warn)
  await parts.record.append({ kind: 'lifecycle', body: { event: 'edge.open', ...edgeFacts({ settings: edge }) } })
  if (shown === null)
    parts.warn('edge_certificate', 'the edge has no certificate yet: it refuses handshakes until it has')
  return {
    settings: edge,
    listener,
    certificateEnds: () => certificates.current()?.notAfter ?? null,
    run: (signal) => certificates.run(signal, (certificate) => listener.update(materialOf(certificate))),
  }
}

interface EdgeServing {
  readonly rules: EdgeRules
  readonly material: TlsMaterial | null
  readonly proofs: NameProofs | null
}

function listenerOptions(
  parts: EdgeParts,
  edge: EdgeSettings,
  { rules, material, proofs }: EdgeServing,
): ListenerOptions {
  const { settings, limits, pipeline, endpoint, people, own } = parts
  const consents = people?.consents ?? null
  const { cipherSuites, headers, proxies } = settings.security
  const { nonces, nonceRequired } = rules.proofs
  const served = new Edge({
    pipeline,
    endpoint,
    publicUrl: edge.publicUrl,
    servers: edge.servers,
    issuers: authorizationServers(edge, settings.issuers ?? []),
    bearer: edge.bearer,
    algorithms: edge.algorithms,
    requestScopes: edge.requestScopes,
    scopesRequired: edge.scopesRequired,
    origins: new Set(edge.origins),
    nonce: nonceRequired ? () => nonces.current() : null,
  })
  return {
    ...ownListenerOptions({
      name: 'edge',
      address: edge.address,
      publicUrl: edge.publicUrl,
      material,
      cipherSuites,
      headers,
      limits,
      ...(proxies === undefined ? {} : { isProxy: proxies.edge }),
      pipeline,
      onRefusedHandshake: own.handshakeRefused,
    }),
    clientCertificate: 'none',
    ...(proofs === null ? {} : { proofs }),
    // Our own pages have forms alone.
    origins: [...edge.origins, ...(consents === null ? [] : [edge.publicUrl])],
    onExchange: (exchange) =>
      consents !== null && isConsentPath(exchange.head.path)
        ? serveConsent(exchange, { pipeline, publicUrl: edge.publicUrl, consents })
        : served.serve(exchange),
  }
}

/** Where hosts get tokens; ours first, because many ask the first alone. */
function authorizationServers(
  { front, issuers }: EdgeSettings,
  configured: readonly IssuerSettings[],
): readonly string[] {
  const others = configured.flatMap(({ name, issuer }) => (issuers.includes(name) ? [issuer] : []))
  return front === null ? others : [front.publicUrl, ...others]
}

/** Nobody is asked for a certificate, so no anchor is named. */
function materialOf({ chain, privateKey }: EdgeCertificate): TlsMaterial {
  return { chain, privateKey, anchors: [] }
}

function warnOf({ publicUrl, front, bearer, unlistedClients }: EdgeSettings, warn: EdgeParts['warn']): void {
  warn(
    'edge_open',
    `callers without a certificate are let in at ${publicUrl}, ${front === null ? 'by tokens of other issuers' : `by tokens of ${front.publicUrl}`}`,
  )
  if (bearer) warn('edge_bearer', 'edge.bearer is on: whoever has a token of somebody is taken for them')
  if (unlistedClients) warn('edge_unlisted_clients', 'edge.unlisted_clients is on: every OAuth client is let in')
}

/** What the record says of it when it opens. */
export function edgeFacts({ settings }: Pick<RunningEdge, 'settings'>) {
  const { publicUrl, issuers, front, servers, bearer, unlistedClients, scopesRequired, nonceRequired, origins } =
    settings
  return {
    public_url: publicUrl,
    issuers: [...issuers],
    ...(front === null ? {} : { front: front.publicUrl }),
    servers: [...servers],
    bearer,
    unlisted_clients: unlistedClients,
    scopes: scopesRequired ? 'required' : 'optional',
    nonce: nonceRequired ? 'required' : 'optional',
    origins: [...origins],
  }
}
