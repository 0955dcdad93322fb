/** The edge of a gateway: a listener for hosts that hold no certificate, and by what they are known instead. */

import { toSeconds } from '@doorward/core'
import type { EpochMillis, JsonObject, TrustDomain } from '@doorward/core'
import { openListener } from '@doorward/enforcement'
import type {
  EdgeRules,
  Exchange,
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
import { Edge, resourceAtEdge } from '../transports/edge.ts'
import type { StreamableHttp } from '../transports/streamable-http.ts'
import type { EdgeCertificates } from './edge-certificate-source.ts'
import { doorsOf } from './gateway-settings.ts'
import type { GatewaySettings } from './gateway-settings.ts'
import { openIssuers } from './issuers.ts'
import type { OpenedIssuer } from './issuers.ts'
import { ownListenerOptions } from './own-listener.ts'
import type { OwnMetrics } from './own-metrics.ts'

export interface EdgeRuleParts {
  readonly edge: EdgeSettings
  readonly issuers: readonly IssuerSettings[]
  readonly trustDomain: TrustDomain
  readonly trust: TrustSource
}

export interface OpenedEdgeRules extends EdgeRules {
  readonly opened: readonly OpenedIssuer[]
}

/** What was remembered of proofs, and fetched of issuers, by the rules before is not forgotten. Throws the codes of `openIssuers`. */
export async function openEdgeRules(
  { edge, issuers, trustDomain, trust }: EdgeRuleParts,
  before: EdgeRules | null = null,
): Promise<OpenedEdgeRules> {
  const accepted = issuers.filter(({ name }) => edge.issuers.includes(name))
  // Tokens and proofs are judged by the time that no stepped local clock turns back.
  const now = () => trust.now()
  const { tokens, issuers: opened } = await openIssuers(accepted, now, before === null ? [] : openedOf(before))
  const kept = before?.proofs ?? {
    guard: new MemoryReplayGuard({ now }),
    nonces: new SealedNonces(now),
    since: toSeconds(now()),
  }
  const { front } = edge
  return {
    tokens: front === null ? tokens : withFront(front, frontTokens(front, trust), tokens),
    opened,
    issuers: new Map(opened.map(({ issuer, text }) => [issuer, text])),
    front: front === null ? null : JSON.stringify([front.publicUrl, front.provider]),
    resources: new Set([...edge.servers].map((name) => resourceAtEdge(edge, name))),
    trustDomain,
    publicUrl: edge.publicUrl,
    clientName: ({ clientId, own }) => clientNameOf(edge, { clientId, ofFront: own !== null }),
    bearer: edge.bearer,
    scopesRequired: edge.scopesRequired,
    proofs: {
      algorithms: edge.algorithms,
      importKey: importIssuerKey,
      sha256,
      guard: kept.guard,
      nonces: kept.nonces,
      nonceRequired: edge.nonceRequired,
      since: kept.since,
    },
  }
}

function openedOf(rules: EdgeRules | OpenedEdgeRules): readonly OpenedIssuer[] {
  return 'opened' in rules ? rules.opened : []
}

export interface EdgeParts {
  readonly settings: Pick<GatewaySettings, 'edge' | 'decisions' | 'issuers' | 'security'>
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
  /** As they are now. */
  readonly settings: EdgeSettings
  readonly listener: Listener
  /** Makes ready what other settings ask for; address, public URL and authority stand. Throws as the start. */
  prepare(settings: EdgeParts['settings'], trustDomain: TrustDomain): Promise<PreparedEdge | null>
  /** When the certificate that it shows now ends; null while there is none. */
  readonly certificateEnds: () => EpochMillis | null
  /** Takes up a certificate that replaces the one it shows. Runs until the signal aborts; never rejects. */
  run(signal: AbortSignal): Promise<void>
}

export interface PreparedEdge {
  /** By which callers are to be judged. */
  readonly rules: EdgeRules
  /** What the record is told before it counts; null where nothing of it is new. */
  readonly facts: JsonObject | null
  /** Lets it count. Never throws. */
  apply(): void
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
  const live = { settings: edge, serves: servedBy(parts, edge, rules) }
  const serving = { material, proofs: certificates.proofs, serve: (exchange: Exchange) => live.serves.serve(exchange) }
  const listener = await openListener(listenerOptions(parts, edge, serving))
  stack.defer(() => listener.close(graceMilliseconds))
  warnOf(edge, parts.warn)
  await parts.record.append({ kind: 'lifecycle', body: { event: 'edge.open', ...edgeFacts({ settings: edge }) } })
  if (shown === null)
    parts.warn('edge_certificate', 'the edge has no certificate yet: it refuses handshakes until it has')
  return {
    get settings() {
      return live.settings
    },
    listener,
    prepare: (next, trustDomain) => prepareEdge(parts, { live, listener, certificates }, { next, trustDomain }),
    certificateEnds: () => certificates.current()?.notAfter ?? null,
    run: (signal) => certificates.run(signal, (certificate) => listener.update(materialOf(certificate))),
  }
}

interface Opened {
  /** What counts now. */
  readonly live: { settings: EdgeSettings; serves: Edge }
  readonly listener: Listener
  readonly certificates: EdgeCertificates
}

async function prepareEdge(
  parts: EdgeParts,
  { live, listener, certificates }: Opened,
  { next, trustDomain }: { readonly next: EdgeParts['settings']; readonly trustDomain: TrustDomain },
): Promise<PreparedEdge | null> {
  const { edge, issuers = [] } = next
  const { trust, edge: before = null } = parts.pipeline.dependencies
  if (edge === undefined) return null
  const rules = await openEdgeRules({ edge, issuers, trustDomain, trust }, before)
  const show = await certificates.prepare(edge.certificate, (certificate) => listener.update(materialOf(certificate)))
  const serves = servedBy({ ...parts, settings: next }, edge, rules)
  const facts = edgeFacts({ settings: edge })
  const isNew = JSON.stringify(facts) !== JSON.stringify(edgeFacts(live))
  return {
    rules,
    facts: isNew ? { event: 'edge.change', ...facts } : null,
    apply: () => {
      warnOf(edge, parts.warn, live.settings)
      live.settings = edge
      live.serves = serves
      listener.acceptOrigins(originsOf(parts, edge))
      try {
        show()
      } catch (error) {
        parts.warn('edge_certificate', `the edge goes on with the certificate that it has: ${String(error)}`)
      }
    },
  }
}

function servedBy({ settings, pipeline, endpoint }: EdgeParts, edge: EdgeSettings, { proofs }: EdgeRules): Edge {
  const { nonces, nonceRequired } = proofs
  return new Edge({
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
}

/** Our own pages have forms alone. */
function originsOf({ people }: Pick<EdgeParts, 'people'>, { origins, publicUrl }: EdgeSettings): readonly string[] {
  return people === null ? origins : [...origins, publicUrl]
}

interface EdgeServing {
  readonly material: TlsMaterial | null
  readonly proofs: NameProofs | null
  readonly serve: (exchange: Exchange) => Promise<void>
}

function listenerOptions(
  parts: EdgeParts,
  edge: EdgeSettings,
  { serve, material, proofs }: EdgeServing,
): ListenerOptions {
  const { settings, limits, pipeline, people, own } = parts
  const consents = people?.consents ?? null
  const { cipherSuites, headers, proxies } = settings.security
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
      doors: doorsOf(settings),
      onRefusedHandshake: own.handshakeRefused,
    }),
    clientCertificate: 'none',
    ...(proofs === null ? {} : { proofs }),
    origins: originsOf(parts, edge),
    onExchange: (exchange) =>
      consents !== null && isConsentPath(exchange.head.path)
        ? serveConsent(exchange, { pipeline, publicUrl: edge.publicUrl, consents })
        : serve(exchange),
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

/** Loudly, but not again of what was so before. */
function warnOf(edge: EdgeSettings, warn: EdgeParts['warn'], before: EdgeSettings | null = null): void {
  const { publicUrl, front, bearer, unlistedClients } = edge
  if (before === null)
    warn(
      'edge_open',
      `callers without a certificate are let in at ${publicUrl}, ${front === null ? 'by tokens of other issuers' : `by tokens of ${front.publicUrl}`}`,
    )
  if (bearer && before?.bearer !== true)
    warn('edge_bearer', 'edge.bearer is on: whoever has a token of somebody is taken for them')
  if (unlistedClients && before?.unlistedClients !== true)
    warn('edge_unlisted_clients', 'edge.unlisted_clients is on: every OAuth client is let in')
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
