/** HAProxy with mutual TLS on both sides: what a proxy that decides nothing costs on the same machine. */

import { runHaproxy } from '../fixtures/haproxy.ts'
import type { Haproxy } from '../fixtures/haproxy.ts'

export interface HaproxyOptions {
  /** Loopback port that HAProxy listens on. */
  readonly port: number
  /** Loopback port of the server behind it, which must demand a client certificate. */
  readonly upstreamPort: number
  /** Path of a PEM file with certificate chain and key, shown to clients. */
  readonly serverPem: string
  /** Path of a PEM file with certificate chain and key, shown to the server behind. */
  readonly clientPem: string
  /** Path of a PEM file with the anchors of both sides. */
  readonly anchorsPem: string
}

/**
 * Starts HAProxy with two threads, TLS 1.3 and kept connections on both sides. Null where it is not installed, so that
 * the caller says NOT MEASURED; an error where it does not start.
 */
export function startHaproxy(options: HaproxyOptions): Promise<Haproxy | null> {
  return runHaproxy(configuration(options), options.port)
}

function configuration(options: HaproxyOptions): string {
  return `global
  nbthread 2
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  http-reuse safe
frontend callers
  bind 127.0.0.1:${options.port} ssl crt ${options.serverPem} ca-file ${options.anchorsPem} verify required alpn http/1.1
  default_backend servers
backend servers
  server upstream 127.0.0.1:${options.upstreamPort} ssl crt ${options.clientPem} ca-file ${options.anchorsPem} verify required
`
}
