/** Issuers and trust anchors by which workloads are attested, put together from configuration. */

import { DoorwardError, readCertificate } from '@doorward/core'
import type { PeerCertificate, PlatformAlgorithm } from '@doorward/core'
import { sha256 } from '@doorward/sdk'
import { issuerKeySetBytes, readIssuerKeySet } from '../authority/attest/issuer-key-set.ts'
import { IssuerKeys } from '../authority/attest/issuer-keys.ts'
import type { PlatformIssuer, Vouchers } from '../authority/attest/vouchers.ts'
import { readBoundedFile, readCertificateFile } from '../config/certificate-file.ts'
import { fetchIssuerKeys } from '../transports/issuer-key-source.ts'

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
  if (keys.kind === 'file') {
    const load = () => readBoundedFile(keys.path, issuerKeySetBytes)
    refuseUnusable(keys.path, await load(), algorithms)
    return load
  }
  const { jwksUrl, caFile, allowPrivateAddresses } = keys
  const ca = caFile === null ? {} : { ca: await trustedPem(caFile) }
  return () => fetchIssuerKeys({ issuer, jwksUrl }, { ...ca, allowPrivateAddresses })
}

/** The file is read anew later; a mistake in it is told now. */
function refuseUnusable(where: string, bytes: Uint8Array, algorithms: readonly PlatformAlgorithm[]): void {
  try {
    readIssuerKeySet(bytes, algorithms)
  } catch (error) {
    if (!(error instanceof DoorwardError)) throw error
    const { code, message, expected = '', got = '' } = error
    throw new DoorwardError(code, message, { where, expected, got })
  }
}

async function trustedPem(caFile: string): Promise<string> {
  const certificates = await readCertificateFile(caFile, MAX_ANCHORS)
  return certificates.map((der) => pemOf(der)).join('')
}

function pemOf(der: Uint8Array): string {
  return `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE-----\n`
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
