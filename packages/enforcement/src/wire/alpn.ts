/**
 * What a listener speaks inside TLS: HTTP/1.1, gRPC's HTTP/2 where somebody asks by it, and where a name is being proven to a certificate authority, the handshake of
 * tls-alpn-01 (RFC 8737), which ends with itself. Only this handshake is shown the certificate of the challenge.
 */

import { createSecureContext } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { contextOptions } from './tls-context.ts'
import type { TlsMaterial } from './tls-context.ts'

export interface NameProofs {
  /** What proves the name now; null when nothing is to be proven. */
  proofOf(serverName: string): TlsMaterial | null
}

/** RFC 8737 §6.2. */
export const acmeProtocol = 'acme-tls/1'
const HTTP = 'http/1.1'

interface AlpnOffer {
  readonly servername: string
  readonly protocols: readonly string[]
}

type AlpnOptions =
  | { readonly ALPNProtocols: string[] }
  | { readonly ALPNCallback: (this: TLSSocket, offer: AlpnOffer) => string | undefined }

/** Offers that are not accepted end the handshake with no_application_protocol. */
export function alpnOptions(proofs: NameProofs | null, cipherSuites: readonly string[], http2 = false): AlpnOptions {
  // Whoever speaks both is answered in HTTP/1.1.
  if (proofs === null) return { ALPNProtocols: http2 ? [HTTP, 'h2'] : [HTTP] }
  return {
    ALPNCallback({ servername, protocols }) {
      // Who proves a name offers that protocol alone (RFC 8737 §3).
      if (!protocols.includes(acmeProtocol)) return protocols.includes(HTTP) ? HTTP : undefined
      const proof = protocols.length === 1 ? proofs.proofOf(servername.toLowerCase()) : null
      if (proof === null) return undefined
      this.setKeyCert(createSecureContext(contextOptions(proof, cipherSuites)))
      return acmeProtocol
    },
  }
}
