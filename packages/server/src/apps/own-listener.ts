/** What every listener of ours has in common, whichever part opens it. */

import { isIP } from 'node:net'
import type { Clock } from '@doorward/core'
import { defaultListenerLimits } from '@doorward/enforcement'
import type {
  HandshakeReason,
  ListenerLimits,
  ListenerOptions,
  LoadShedding,
  Pipeline,
  TlsMaterial,
} from '@doorward/enforcement'
import { descriptorLimit } from '../config/machine.ts'

export interface OwnListener {
  readonly name: string
  readonly address: { readonly host: string; readonly port: number }
  /** The URL by which callers reach it, where it has one. */
  readonly publicUrl: string | null
  /** Further `host:port` by which callers reach it; none by default. */
  readonly hosts?: readonly string[]
  readonly material: TlsMaterial | null
  readonly cipherSuites: readonly string[]
  readonly headers: Readonly<Record<string, string>>
  /** Replaces single values of the default limits. */
  readonly limits: Partial<ListenerLimits>
  /** Addresses that say whom their connections are from; none by default. */
  readonly isProxy?: (address: string) => boolean
  readonly pipeline: Pipeline
  /** Told in every answer; nothing is told by default. */
  readonly time?: Clock
  /** How many listeners the process has for callers beside main, such as an edge; none by default. */
  readonly doors?: number
  /** Told of connections and handshakes that were refused; must not throw. */
  readonly onRefusedHandshake: (listener: string, reason: HandshakeReason) => void
}

/** Options but for who may connect and what is served. Refused handshakes go to the record as strangers' refusals. */
export function ownListenerOptions(own: OwnListener): Omit<ListenerOptions, 'clientCertificate' | 'onExchange'> {
  const {
    name,
    address,
    publicUrl,
    hosts = [],
    material,
    cipherSuites,
    headers,
    limits,
    isProxy,
    pipeline,
    time,
    doors = 0,
    onRefusedHandshake,
  } = own
  return {
    name,
    ...address,
    material,
    authorities: [...new Set([...acceptedHosts(address, publicUrl), ...hosts])],
    cipherSuites,
    securityHeaders: headers,
    limits: { ...ownLimits(name, pipeline.dependencies.load, doors), ...limits },
    // A clock that is set ends no connection, and keeps none: the authority's time goes on.
    clock: () => pipeline.dependencies.trust.now(),
    ...(time === undefined ? {} : { time }),
    ...(isProxy === undefined ? {} : { isProxy }),
    monotonic: () => performance.now(),
    onRefusedHandshake: ({ remoteAddress, reason }) => {
      pipeline.dependencies.refusals.count({ source: remoteAddress, reason })
      pipeline.dependencies.watch?.handshakeRefused?.(remoteAddress, reason)
      onRefusedHandshake(name, reason)
    },
  }
}

/** Our own limits. */
export function ownLimits(name: string, load: LoadShedding | undefined, doors = 0): ListenerLimits {
  return {
    ...defaultListenerLimits,
    ...descriptorShare(name, descriptorLimit(), doors),
    sheds: () => load?.connectionRefusal() ?? null,
  }
}

/** Of the file descriptors: connections, and handshakes under way. */
type Share = readonly [number, number]
const callers: Share = [0.5, 0.0256]
const callersBesideDoors: Share = [0.4, 0.0206]
/** The edge and the listener for decisions, together. */
const doorways: Share = [0.1, 0.005]
const doorNames: ReadonlySet<string> = new Set(['edge', 'decisions'])
const others: Share = [0.0118, 0.013]

/**
 * What a listener may have open, so that all of a process take at most 60 % of its file descriptors: half for the callers,
 * of which the doors beside main have a fifth where there are any, and little for each of the three others.
 */
export function descriptorShare(
  name: string,
  descriptors: number | null,
  doors = 0,
): Partial<Pick<ListenerLimits, 'connections' | 'pendingHandshakes'>> {
  if (descriptors === null) return {}
  const main = doors > 0 ? callersBesideDoors : callers
  const door: Share = [doorways[0] / Math.max(1, doors), doorways[1] / Math.max(1, doors)]
  const [connections, pending] = name === 'main' ? main : doorNames.has(name) ? door : others
  const share = (part: number, most: number) => Math.max(LEAST_SHARE, Math.min(most, Math.floor(part * descriptors)))
  return {
    connections: share(connections, defaultListenerLimits.connections),
    pendingHandshakes: share(pending, defaultListenerLimits.pendingHandshakes),
  }
}

const LEAST_SHARE = 8

/** Values of `Host`: the address itself, its loopback name, and the host of the public URL. */
function acceptedHosts({ host, port }: OwnListener['address'], publicUrl: string | null): readonly string[] {
  const shown = isIP(host) === 6 ? `[${host}]` : host
  const loopback = host === '127.0.0.1' || host === '::1' ? [`localhost:${port}`] : []
  return [`${shown}:${port}`, ...loopback, ...(publicUrl === null ? [] : [new URL(publicUrl).host])]
}
