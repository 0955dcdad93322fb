/** What every listener insists on in a handshake: TLS 1.3, two suites, hybrid groups first, nothing resumed. */

import { constants, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { SecureContextOptions } from 'node:tls'
import { DoorwardError } from '@doorward/core'

export interface TlsMaterial {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
  readonly privateKey: KeyObject
  /** DER of the anchors that client certificates must chain to. */
  readonly anchors: readonly Uint8Array[]
}

export const defaultCipherSuites = ['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'] as const
/** Hybrid post-quantum first; no finite-field groups (threats F6). */
const tlsGroups = 'X25519MLKEM768:X25519:P-256:P-384'

/** Everything that `setSecureContext` forgets when it is not repeated. Without material no handshake succeeds. Throws `tls_material_invalid`. */
export function contextOptions(material: TlsMaterial | null, cipherSuites: readonly string[]): SecureContextOptions {
  try {
    return {
      ...(material === null ? {} : shownOf(material)),
      minVersion: 'TLSv1.3',
      maxVersion: 'TLSv1.3',
      ciphers: cipherSuites.join(':'),
      honorCipherOrder: true,
      ecdhCurve: tlsGroups,
      secureOptions: constants.SSL_OP_NO_TICKET,
      sessionTimeout: 1,
    }
  } catch (error) {
    throw new DoorwardError('tls_material_invalid', 'the certificate or key of a listener does not parse', {
      cause: error,
    })
  }
}

function shownOf({ privateKey, chain, anchors }: TlsMaterial): Pick<SecureContextOptions, 'key' | 'cert' | 'ca'> {
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    cert: chain.map(pem).join(''),
    ca: anchors.map(pem),
  }
}

function pem(der: Uint8Array): string {
  return new X509Certificate(der).toString()
}
