/** What a TLS connection of ours presents and insists on, as OpenSSL holds it: made once for many connections. */

import { createSecureContext } from 'node:tls'
import type { SecureContext, SecureContextOptions } from 'node:tls'
import { DoorwardError, equalBytes, toBase64 } from '@doorward/core'
import type { Svid } from './svid.ts'

type Presented = Pick<Svid, 'chain' | 'privateKey'>

const CIPHERS = 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256'
const GROUPS = 'X25519MLKEM768:X25519:P-256'
/** The trust state's anchors, and newer ones towards the authority. */
const KEPT = 2

/** PEM of DER certificates. */
function pemOf(certificates: readonly Uint8Array[]): string {
  return certificates
    .map(
      (der) =>
        `-----BEGIN CERTIFICATE-----\n${toBase64(der).replaceAll(/(.{64})/g, '$1\n')}\n-----END CERTIFICATE-----\n`,
    )
    .join('')
}

/** Version, suites, groups and our certificate. These belong to the context: a connection that is given one ignores its own. */
export function contextOptions({ chain, privateKey }: Presented): SecureContextOptions {
  return {
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: CIPHERS,
    ecdhCurve: GROUPS,
    cert: pemOf(chain),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  }
}

/** Trusts these anchors (DER) and never the system's roots. Throws `server_untrusted` when there are none. */
export function clientContext(svid: Presented, anchors: readonly Uint8Array[]): SecureContext {
  // Node.js takes its own roots where it is given an empty text.
  if (anchors.length === 0)
    throw new DoorwardError('server_untrusted', 'the trust state has no anchors: no server can be trusted')
  return createSecureContext({ ...contextOptions(svid), ca: pemOf(anchors) })
}

interface Kept {
  readonly chain: readonly Uint8Array[]
  readonly anchors: readonly Uint8Array[]
  readonly context: SecureContext
}

/**
 * The contexts of the newest connections, by the bytes of our certificate and of the anchors: reading both and the key from
 * PEM is a third of what a connection costs its client. Two at most; a change of either makes another.
 */
export class ClientContexts {
  #kept: readonly Kept[] = []

  /** Throws as `clientContext`. */
  of(svid: Presented, anchors: readonly Uint8Array[]): SecureContext {
    const known = this.#kept.find((one) => areSame(one.chain, svid.chain) && areSame(one.anchors, anchors))
    const newest = known ?? {
      chain: svid.chain.map((der) => der.slice()),
      anchors: anchors.map((der) => der.slice()),
      context: clientContext(svid, anchors),
    }
    this.#kept = [newest, ...this.#kept.filter((one) => one !== newest)].slice(0, KEPT)
    return newest.context
  }

  /** Forgets every context: connections that have one keep it. */
  clear(): void {
    this.#kept = []
  }
}

function areSame(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((der, i) => equalBytes(der, b[i] as Uint8Array))
}
