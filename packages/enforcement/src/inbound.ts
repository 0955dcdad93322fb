/** A request as the transport hands it over: parsed head, the connection it came on, no body yet. */

import type { PeerCertificate } from '@doorward/core'
import type { CertificateStanding } from './certificate-standing.ts'

/** One TLS connection. The transport makes one value per connection and keeps it for the connection's life. */
export interface Connection {
  /** Unique in this process. */
  readonly id: number
  /** Textual IP address, IPv4-mapped IPv6 already written as IPv4. */
  readonly remoteAddress: string
  /** Name of the listener: `main`, `admin`, `enrol`. */
  readonly listener: string
  /** The peer's leaf as parsed from DER; null when none was presented or it does not parse. */
  readonly certificate: PeerCertificate | null
  /** True when OpenSSL resumed a session; such connections are refused. */
  readonly resumed: boolean
  /** What was judged about the certificate and tokens, kept between requests. */
  readonly standing: CertificateStanding
}

/** Head of one HTTP request after header hygiene: names lowercase, repeats of single headers already refused. */
export interface RequestHead {
  readonly method: string
  /** Canonical absolute path without query. */
  readonly path: string
  readonly query: string
  readonly headers: Readonly<Record<string, string | undefined>>
}

export interface Inbound {
  readonly connection: Connection
  readonly head: RequestHead
  /** What the token must be for: the resource identifier of this route, from configuration. */
  readonly audience: string
  /** Who says all this of a request that lies elsewhere, for us to decide about; nobody where the request came to us. */
  readonly asker?: Asker
}

/** A proxy that asks for the decision about a request that it holds: what it says of that request is its word. */
export interface Asker {
  /** As configuration calls it. */
  readonly name: string
  readonly id: string
  readonly certificateFingerprint: string
}
