/** What an export needs to know a receiver and to be known by it. Read anew for each connection, so that files may be replaced. */

import { outwardTls } from '@doorward/core'
import type { Secret } from '@doorward/core'
import { DeliveryError } from './sink.ts'

export interface ClientTls {
  /** PEM of the only authorities that count; null for those of the platform. */
  readonly ca: string | null
  /** PEM; null when the receiver asks for none. */
  readonly own: { readonly certificate: string; readonly key: Secret } | null
}

/** Rejects with the error of a file that cannot be read. */
export type ReadClientTls = () => Promise<ClientTls>

/** For node:tls. The receiver's certificate and name are always checked. */
export function tlsOptions({ ca, own }: ClientTls) {
  return {
    ...outwardTls,
    rejectUnauthorized: true,
    ...(ca === null ? {} : { ca }),
    ...(own === null ? {} : { cert: own.certificate, key: own.key.reveal() }),
  } as const
}

/** Alerts of the oldest kind are `SSL/TLS` since OpenSSL 3.2, and were `SSLV3` before. */
const untrusted =
  /^(CERT_|ERR_TLS_CERT|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERR_SSL_(TLSV\d+|SSLV3|SSL\/TLS)_ALERT|INVALID_CA|HOSTNAME_MISMATCH)/

/** An error of socket or TLS as a DeliveryError; one stays as it is. */
export function connectionFailure(error: unknown, where: string): DeliveryError {
  if (error instanceof DeliveryError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const got = code || (error instanceof Error ? error.message : String(error))
  if (untrusted.test(code)) {
    return new DeliveryError('export_untrusted', 'the TLS of the receiver is not accepted by one side', {
      where,
      got,
      next: 'compare ca_file, certificate_file and the name in the address with what the receiver shows and asks for',
    })
  }
  return new DeliveryError('export_unreachable', 'the receiver cannot be reached', { where, got })
}
