/** Configured issuers put together: their keys, what they answer about opaque tokens, and the port that judges by both. */

import { DoorwardError, toSeconds } from '@doorward/core'
import type { Clock, IssuerAlgorithm } from '@doorward/core'
import type { IssuerTokens } from '@doorward/enforcement'
import { readBoundedFile, readCertificateFile } from '../config/certificate-file.ts'
import type { IssuerSettings, ProviderAccess } from '../config/issuer-settings.ts'
import { readSecretFile } from '../config/secret-file.ts'
import { Introspection } from '../issuers/introspection.ts'
import type { Issuer } from '../issuers/issuer.ts'
import { issuerKeySetBytes, readIssuerKeySet } from '../issuers/issuer-key-set.ts'
import { IssuerKeys } from '../issuers/issuer-keys.ts'
import { verifiedIssuers } from '../issuers/verified-issuers.ts'
import type { FetchOptions } from '../transports/fetch-document.ts'
import { askAboutToken } from '../transports/introspection-request.ts'
import { fetchIssuerKeys } from '../transports/issuer-key-source.ts'

const MAX_ANCHORS = 32
const monotonic = () => performance.now()

export interface OpenedIssuer extends Issuer, Pick<IssuerSettings, 'login'> {
  /** What its tokens are judged by: one with another text is another issuer. */
  readonly text: string
}

export interface OpenedIssuers {
  readonly issuers: readonly OpenedIssuer[]
  readonly tokens: IssuerTokens
}

/**
 * Reads every file that is named, so that what is wrong is told at the start. What is to be fetched is fetched when it is
 * needed first; what was fetched for one of `before` that is still the same is not fetched again. Throws `file_unreadable`,
 * `certificates_invalid`, `issuer_keys_invalid`, `secret_file`.
 */
export async function openIssuers(
  settings: readonly IssuerSettings[],
  clock: Clock,
  before: readonly OpenedIssuer[] = [],
): Promise<OpenedIssuers> {
  const issuers: OpenedIssuer[] = []
  for (const one of settings) issuers.push(await openIssuer(one, clock, before))
  return { issuers, tokens: verifiedIssuers(issuers, () => toSeconds(clock())) }
}

async function openIssuer(
  settings: IssuerSettings,
  clock: Clock,
  before: readonly OpenedIssuer[],
): Promise<OpenedIssuer> {
  const { login, consent: _consent, ...judged } = settings
  const { name, issuer, audience, otherAudiences, algorithms, types, claims, maxLifetimeSeconds } = settings
  const access = await fetchOptions(settings.access)
  const load = await keyLoader(settings, access)
  const text = JSON.stringify([judged, access.ca ?? null])
  const same = before.find((one) => one.text === text)
  // Keys of a file are read with it: nobody reloads to keep what stood there before.
  if (same !== undefined && settings.keys.kind === 'fetched') return { ...same, login }
  const introspection = await openIntrospection(settings, access, clock)
  const keys = new IssuerKeys({ load, algorithms, monotonic })
  const plain = { name, issuer, audience, otherAudiences, algorithms, types, claims, maxLifetimeSeconds, login, text }
  return { ...plain, keys, introspection }
}

/** How anything is fetched from a provider. Throws `file_unreadable` and `certificates_invalid`. */
export async function fetchOptions({ caFile, allowPrivateAddresses }: ProviderAccess): Promise<FetchOptions> {
  return { ...(caFile === null ? {} : { ca: await trustedPem(caFile) }), allowPrivateAddresses }
}

type KeyPlace = Pick<IssuerSettings, 'issuer' | 'algorithms' | 'keys'>

/** Brings the JWK Set of an issuer whenever it is wanted. A file is read once here, so that a mistake in it is told now. */
export async function keyLoader(
  { keys, issuer, algorithms }: KeyPlace,
  access: FetchOptions,
): Promise<() => Promise<Uint8Array>> {
  if (keys.kind === 'fetched') return () => fetchIssuerKeys({ issuer, jwksUrl: keys.jwksUrl }, access)
  const load = () => readBoundedFile(keys.path, issuerKeySetBytes)
  refuseUnusable(keys.path, await load(), algorithms)
  return load
}

async function openIntrospection(
  { introspection, issuer }: IssuerSettings,
  access: FetchOptions,
  clock: Clock,
): Promise<Introspection | null> {
  if (introspection === null) return null
  const { clientSecretFile, cacheSeconds, ...client } = introspection
  const secret = () => readSecretFile(clientSecretFile)
  await secret()
  return new Introspection({
    issuer,
    ask: (token) => askAboutToken(token, { ...client, secret }, access),
    cacheSeconds,
    monotonic,
    nowSeconds: () => toSeconds(clock()),
  })
}

function refuseUnusable(where: string, bytes: Uint8Array, algorithms: readonly IssuerAlgorithm[]): void {
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
