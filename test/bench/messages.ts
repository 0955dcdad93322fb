/** What the processes of one measurement tell each other. */

import type { AuthorityReady, BenchDatabase } from './authority/messages.ts'

/** Certificate, key and anchors of one end. */
export interface Pem {
  readonly cert: string
  readonly key: string
  readonly anchors: string
}

/** One after the other, as the gateway asks for them. */
export const gateControls = ['token', 'policy', 'limits', 'record'] as const
export type GateControl = (typeof gateControls)[number]

/** A gateway that has been registered and has not joined yet. */
export interface GatewayPlace {
  readonly name: string
  readonly configFile: string
  readonly folder: string
  readonly joinString: string
}

/** First message to every process. */
export type Start =
  | { readonly process: 'upstream'; readonly pem: Pem }
  | {
      readonly process: 'forwarding'
      readonly pem: Pem
      readonly upstreamPort: number | null
      /** Whether callers have to show a certificate; they have to by default. */
      readonly callers?: 'required' | 'none'
    }
  | ({
      readonly process: 'gate'
      /** The last of its controls. */
      readonly upTo: GateControl
      /** What tokens have to be for. */
      readonly audience: string
      readonly upstreamPort: number
    } & GatewayPlace)
  | ({ readonly process: 'gateway'; readonly upstreamPort: number; readonly upstreamId: string } & GatewayPlace)
  | { readonly process: 'load'; readonly pem: Pem }
  | { readonly process: 'stages'; readonly folder: string }
  /** Without a database on SQLite. */
  | { readonly process: 'authority'; readonly workloads: number; readonly database: BenchDatabase | null }
  | ({ readonly process: 'renewals' } & Pick<AuthorityReady, 'addresses' | 'tokens'>)

/** Answer to `Start`. */
export interface Ready {
  /** Port that it listens on; 0 for those that do not. */
  readonly port: number
}

/** One measurement by the load process. */
export interface LoadRequest {
  readonly port: number
  /** Plain HTTP instead of mutual TLS. */
  readonly plain: boolean
  readonly path: string
  readonly token: string
  readonly connections: number
  readonly milliseconds: number
  /** The measurement ends here at the latest. */
  readonly maximumCalls: number
  readonly warmupCalls: number
  /** Calls in a second, by the clock and not by the answers; as many as there are by default. */
  readonly perSecond?: number
  /** A connection of its own for each call, with its handshake; kept ones by default. */
  readonly fresh?: boolean
}

export interface LoadResult {
  readonly calls: number
  readonly milliseconds: number
  /** Microseconds of each call. */
  readonly latencies: Float64Array
}

export const callBytes = 200
export const callPath = '/mcp/bench'
/** The server that the gateway starts itself. */
export const stdioPath = '/mcp/stdio'
const padding = 'x'.repeat(callBytes)

/** A `tools/call` of exactly `callBytes` bytes; the id has seven digits. */
export function callBody(id: number): string {
  const open = `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"echo","arguments":{"text":"`
  const close = '"}}}'
  return `${open}${padding.slice(0, callBytes - open.length - close.length)}${close}`
}
