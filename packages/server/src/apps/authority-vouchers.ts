/** Issuers and trust anchors by which workloads are attested, put together from configuration. */

import { DoorwardError, readCertificate } from '@doorward/core'
import type { PeerCertificate, PlatformAlgorithm } from '@doorward/core'
import { sha256 } from '@doorward/sdk'
import { IssuerKeys } from '../issuers/issuer-keys.ts'
import type { PlatformIssuer, Vouchers } from '../authority/attest/vouchers.ts'
import { readCertificateFile } from '../config/certificate-file.ts'
import { fetchOptions, keyLoader } from './issuers.ts'

export interface IssuerSettings {
  readonly issuer: string
  readonly audience: string
  readonly algorithms: readonly PlatformAlgorithm[]
  readonly maxLifetimeSeconds: number
  readonly keys:
    | { readonly kind: 'file'; readonly path: string }
    | {
        readonly kind: 'fetched'
        /** Null: the issuer's discovery document says it. */
        readonly jwksUrl: string | null
        /** PEM file; null for the platform's trust. */
        readonly caFile: string | null
        readonly allowPrivateAddresses: boolean
      }
}

export interface VoucherSettings {
  readonly oidc: Readonly<Record<string, IssuerSettings>>
  readonly x509: Readonly<Record<string, { readonly caFile: string }>>
}

const MAX_ANCHORS = 32

/**
 * Reads every file that is named, so that what is wrong is told at the start. What is to be fetched is fetched when it
 * is needed first. Throws `file_unreadable`, `certificates_invalid`, `issuer_keys_invalid`.
 */
export async function openVouchers({ oidc, x509 }: VoucherSettings): Promise<Vouchers> {
  const issuers = new Map<string, PlatformIssuer>()
  for (const [name, settings] of Object.entries(oidc)) issuers.set(name, await issuerOf(settings))
  const anchors = new Map<string, readonly PeerCertificate[]>()
  for (const [name, { caFile }] of Object.entries(x509)) anchors.set(name, await anchorsOf(caFile))
  return { issuers, anchors }
}

async function issuerOf(settings: IssuerSettings): Promise<PlatformIssuer> {
  const { issuer, audience, algorithms, maxLifetimeSeconds } = settings
  const load = await loaderOf(settings)
  const keys = new IssuerKeys({ load, algorithms, monotonic: () => performance.now() })
  return { issuer, audience, algorithms, maxLifetimeSeconds, keys }
}

async function loaderOf({ keys, issuer, algorithms }: IssuerSettings): Promise<() => Promise<Uint8Array>> {
  return keys.kind === 'file'
    ? keyLoader({ keys, issuer, algorithms }, { allowPrivateAddresses: false })
    : keyLoader({ keys, issuer, algorithms }, await fetchOptions(keys))
}

async function anchorsOf(caFile: string): Promise<readonly PeerCertificate[]> {
  const certificates = await readCertificateFile(caFile, MAX_ANCHORS)
  return certificates.map((der) => {
    const read = readCertificate(der, { sha256 })
    if (!('problem' in read) && read.isCa) return read
    throw new DoorwardError('certificates_invalid', 'a certificate cannot be a trust anchor', {
      where: caFile,
      expected: 'certificates of authorities (CA:TRUE) in strict DER',
      got: 'problem' in read ? read.message : 'one of an end entity',
    })
  })
}
