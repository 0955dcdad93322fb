/** What every listener of ours has in common, whichever part opens it. */

import { isIP } from 'node:net'
import type { Clock } from '@doorward/core'
import type { Pipeline } from '@doorward/enforcement'
import { defaultListenerLimits } from '../transports/listener.ts'
import type { HandshakeReason } from '../transports/handshake-refusal.ts'
import type { ListenerLimits, ListenerOptions, TlsMaterial } from '../transports/listener.ts'

export interface OwnListener {
  readonly name: string
  readonly address: { readonly host: string; readonly port: number }
  /** The URL by which callers reach it, where it has one. */
  readonly publicUrl: string | null
  /** Further `host:port` by which callers reach it; none by default. */
  readonly hosts?: readonly string[]
  readonly material: TlsMaterial
  readonly cipherSuites: readonly string[]
  readonly headers: Readonly<Record<string, string>>
  /** Replaces single values of the default limits. */
  readonly limits: Partial<ListenerLimits>
  readonly pipeline: Pipeline
  /** Told in every answer; nothing is told by default. */
  readonly time?: Clock
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
    pipeline,
    time,
    onRefusedHandshake,
  } = own
  return {
    name,
    ...address,
    material,
    authorities: [...new Set([...acceptedHosts(address, publicUrl), ...hosts])],
    cipherSuites,
    securityHeaders: headers,
    limits: { ...defaultListenerLimits, ...limits },
    // A clock that is set ends no connection, and keeps none: the authority's time goes on.
    clock: () => pipeline.dependencies.trust.now(),
    ...(time === undefined ? {} : { time }),
    monotonic: () => performance.now(),
    onRefusedHandshake: ({ remoteAddress, reason }) => {
      pipeline.dependencies.refusals.count({ source: remoteAddress, reason })
      pipeline.dependencies.watch?.handshakeRefused?.(remoteAddress, reason)
      onRefusedHandshake(name, reason)
    },
  }
}

/** Values of `Host`: the address itself, its loopback name, and the host of the public URL. */
function acceptedHosts({ host, port }: OwnListener['address'], publicUrl: string | null): readonly string[] {
  const shown = isIP(host) === 6 ? `[${host}]` : host
  const loopback = host === '127.0.0.1' || host === '::1' ? [`localhost:${port}`] : []
  return [`${shown}:${port}`, ...loopback, ...(publicUrl === null ? [] : [new URL(publicUrl).host])]
}
