/** The four listeners of an authority and what each of them serves. */

import { encodeTrustBundle, readCertificate } from '@doorward/core'
import type { Clock, Sha256 } from '@doorward/core'
import { isDenial, openListener, standingProblem } from '@doorward/enforcement'
import type { Connection, Exchange, Listener, ListenerOptions, Pipeline, TlsMaterial } from '@doorward/enforcement'
import type { Authority } from '../authority/authority.ts'
import type { CrlPublisher } from '../authority/crl-publisher.ts'
import { adminRoutes } from '../transports/admin-api.ts'
import { serveApi } from '../transports/api-routes.ts'
import { authorityRoutes } from '../transports/authority-api.ts'
import { serveEnrol } from '../transports/enrol-api.ts'
import type { PolicyPort } from '../transports/policy-routes.ts'
import type { RedactionPort } from '../transports/redaction-route.ts'
import { servePublic } from '../transports/public-api.ts'
import type { PublicBundle } from '../transports/public-api.ts'
import type { WitnessPort } from '../transports/witness-routes.ts'
import { ownListenerOptions } from './own-listener.ts'
import type { OwnMetrics } from './own-metrics.ts'
import { reachedAt } from './reached-at.ts'
import type { Reached } from './reached-at.ts'

export type ListenerName = 'main' | 'admin' | 'enrol' | 'public'

export interface ListenAddress {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
}

export interface ListenerSettings extends Reached {
  readonly listeners: Readonly<Record<ListenerName, ListenAddress>>
  readonly cipherSuites: readonly string[]
  readonly headers: Readonly<Record<string, string>>
  /** Replaces single values of the listeners' default limits. */
  readonly limits: Partial<ListenerOptions['limits']>
  /** Addresses that say whom their connections are from; none by default. */
  readonly proxies?: Readonly<Record<ListenerName, (address: string) => boolean>>
}

export interface ListenerParts {
  readonly settings: ListenerSettings
  readonly authority: Authority
  readonly crls: Pick<CrlPublisher, 'current'>
  readonly pipeline: Pipeline
  readonly material: TlsMaterial
  readonly clock: Clock
  readonly sha256: Sha256
  /** Folder of the authority's log. */
  readonly recordFolder: string
  readonly policy: PolicyPort
  readonly redactions: RedactionPort
  readonly witness: WitnessPort
  /** Aborts when the authority stops: streams end. */
  readonly stopping: AbortSignal
  readonly ready: () => boolean
  readonly metrics: Pick<OwnMetrics, 'handshakeRefused' | 'apiAnswered' | 'enrolled' | 'port'>
  readonly onProblem: (error: unknown) => void
}

export type Listeners = Readonly<Record<ListenerName, Listener>>

/** A follower acknowledges on a connection beside its stream: kept, or each change would cost everybody a handshake. */
const followerIdleMilliseconds = 600_000
const REFRESH_HINT_SECONDS = 60
const clientCertificates = { main: 'required', admin: 'required', enrol: 'self-signed', public: 'none' } as const
const names: readonly ListenerName[] = ['main', 'admin', 'enrol', 'public']

/** Opens all four; what was opened is given to `stack`. Throws `port_in_use`, `address_unavailable`, `tls_material_invalid`. */
export async function openListeners(
  parts: ListenerParts,
  stack: AsyncDisposableStack,
  graceMilliseconds: number,
): Promise<Listeners> {
  const open = async (name: ListenerName): Promise<Listener> => {
    const listener = await openListener(listenerOptions(name, parts))
    stack.defer(() => listener.close(graceMilliseconds))
    return listener
  }
  return {
    main: await open('main'),
    admin: await open('admin'),
    enrol: await open('enrol'),
    public: await open('public'),
  }
}

function listenerOptions(name: ListenerName, parts: ListenerParts): ListenerOptions {
  const { settings, pipeline, material, clock, metrics } = parts
  const { cipherSuites, headers, limits, proxies, publicUrl } = settings
  const address = settings.listeners[name]
  return {
    ...ownListenerOptions({
      name,
      address,
      publicUrl: name === 'main' ? publicUrl : null,
      hosts: name === 'public' ? [] : [reachedAt(name, settings, address)],
      material,
      cipherSuites,
      headers,
      limits: name === 'main' ? { idleMilliseconds: followerIdleMilliseconds, ...limits } : limits,
      ...(proxies === undefined ? {} : { isProxy: proxies[name] }),
      pipeline,
      onRefusedHandshake: metrics.handshakeRefused,
      time: clock,
    }),
    clientCertificate: clientCertificates[name],
    onExchange: exchangeFor(name, parts),
  }
}

function exchangeFor(name: ListenerName, parts: ListenerParts): (exchange: Exchange) => Promise<void> {
  const { settings, authority, crls, pipeline, recordFolder, policy, redactions, witness, stopping, ready, onProblem } =
    parts
  const { metrics } = parts
  const own = { pipeline, audience: settings.publicUrl, server: 'authority', onProblem } as const
  const api = { ...own, onAnswered: metrics.apiAnswered }
  switch (name) {
    case 'main': {
      const routes = authorityRoutes(authority, stopping, witness)
      return (exchange) => serveApi(exchange, { ...api, routes })
    }
    case 'admin': {
      const routes = adminRoutes(authority, { recordFolder, stopping, policy, redactions, metrics: metrics.port })
      return (exchange) => serveApi(exchange, { ...api, routes })
    }
    case 'enrol': {
      const enrol = { pipeline, authority, publicUrl: settings.publicUrl, onProblem, onAnswered: metrics.enrolled }
      return (exchange) => serveEnrol(exchange, enrol)
    }
    case 'public': {
      const documents = { bundle: bundleOf(parts), crls: () => crls.current() }
      return (exchange) => servePublic(exchange, { pipeline, ready, ...documents })
    }
  }
}

/**
 * The SPIFFE bundle, made once for each state that callers see: that changes with every key, and seldom otherwise, and its
 * sequence is the same at every authority. Keys of access tokens are no part of it, because those are no JWT-SVIDs (JW-6).
 */
function bundleOf({ authority, sha256 }: ListenerParts): () => PublicBundle {
  let held: PublicBundle | null = null
  return () => {
    const { sequence: number, anchors, jwtSvidKeys } = authority.trustState().callers.state
    const sequence = BigInt(number)
    if (held?.sequence === sequence) return held
    const x509 = anchors.flatMap(({ certificate }) => {
      const read = readCertificate(certificate, { sha256 })
      return 'problem' in read ? [] : [read]
    })
    const text = encodeTrustBundle({ sequence, refreshHintSeconds: REFRESH_HINT_SECONDS, x509, jwt: jwtSvidKeys })
    return (held = { sequence, text })
  }
}

/** New connections get the new material. */
export function updateListeners(listeners: Listeners, material: TlsMaterial): void {
  for (const name of names) listeners[name].update(material)
}

/** Ends answers and live connections to those whom the newest trust state no longer accepts (reference id RV-4). */
function closeRefused(listeners: Listeners, pipeline: Pipeline): void {
  const { trust, importP256 } = pipeline.dependencies
  const view = trust.current()
  if (view === null) return
  void pipeline.review()
  const refused = ({ certificate, standing }: Connection): boolean => {
    const leaf = standing.judge(certificate, view, trust.now(), importP256)
    return isDenial(leaf) || standingProblem(leaf, view, trust.now()) !== null
  }
  listeners.main.closeConnections(refused)
  listeners.admin.closeConnections(refused)
}

/** Enough to send what is on its way. */
const LAST_WORDS_MILLISECONDS = 500

/**
 * `closeRefused` a moment after it is called, once for all calls meanwhile: until then followers hear of the state that
 * denies them, which tells them to come back as their machine key, and who has asked for the denial hears of it. Nothing
 * else is answered to them: every request is judged by the newest state.
 */
export function closingRefused(listeners: Listeners, pipeline: Pipeline): () => void {
  let waiting = false
  return () => {
    if (waiting) return
    waiting = true
    setTimeout(() => {
      waiting = false
      closeRefused(listeners, pipeline)
    }, LAST_WORDS_MILLISECONDS).unref()
  }
}
