/** `authority.front` as plain values, with absolute paths. */

import { resolve } from 'node:path'
import type { ProofAlgorithm } from '@doorward/core'
import { frontClientNames } from './client-names.ts'
import { certificateFrom } from './edge-settings.ts'
import type { AcmePlace, EdgeCertificatePlace } from './edge-settings.ts'
import type { IssuerSettings, ProviderAccess } from './issuer-settings.ts'
import { authorityProxies, issuerSettings, readAddress } from './settings.ts'
import type { Address, Deployment } from './settings.ts'

export interface FrontResourceSettings {
  /** `<edge>/mcp/<server>`. */
  readonly url: string
  readonly name: string
  readonly scopes: readonly string[]
  readonly defaultScopes: readonly string[]
}

export interface FrontSettings {
  readonly address: Address
  /** Origin, without trailing slash: `iss` of its tokens. */
  readonly publicUrl: string
  readonly certificate: EdgeCertificatePlace | AcmePlace
  readonly provider: {
    readonly issuer: IssuerSettings
    readonly clientId: string
    readonly clientSecretFile: string | null
    readonly scopes: readonly string[]
  }
  readonly clients: readonly { readonly name: string; readonly id: string; readonly redirectUris: readonly string[] }[]
  /** How documents about clients are fetched; null: none are. */
  readonly cimd: ProviderAccess | null
  readonly resources: readonly FrontResourceSettings[]
  readonly bearer: boolean
  /** The edge demands a scope for what is done. */
  readonly scopesNarrow: boolean
  readonly nonceRequired: boolean
  readonly algorithms: readonly ProofAlgorithm[]
  readonly origins: readonly string[]
  readonly refreshSeconds: number
  readonly consentSeconds: number
  /** What the edge calls a client; null for one that it does not let in. */
  readonly clientName: (clientId: string) => string | null
  readonly isProxy?: (address: string) => boolean
}

const groups = ['read', 'write', 'admin']

/** Null where there is none. The configuration has been checked by `frontProblems`. */
export function frontSettings(deployment: Deployment): FrontSettings | null {
  const { configuration, folder } = deployment
  const { edge, authority } = configuration
  const { front, listeners } = authority
  const issuer = issuerSettings(deployment).find(({ name }) => name === front?.provider)
  if (front === undefined || edge === undefined || listeners.front === undefined || issuer === undefined) return null
  const place = (path: string) => resolve(folder, path)
  return {
    address: readAddress(listeners.front),
    publicUrl: front.public_url,
    certificate: certificateFrom(front.certificate, place),
    provider: {
      issuer,
      clientId: front.client_id,
      clientSecretFile: front.client_secret_file === undefined ? null : place(front.client_secret_file),
      scopes: front.scopes,
    },
    clients: Object.entries(front.clients).map(([name, { client_id, redirect_uris }]) => ({
      name,
      id: client_id,
      redirectUris: redirect_uris,
    })),
    cimd: accessOf(front.cimd, place),
    resources: edge.servers.map((name) => ({
      url: `${edge.public_url}/mcp/${name}`,
      name,
      scopes: groups.map((group) => `${name}:${group}`),
      defaultScopes: [`${name}:read`],
    })),
    bearer: edge.bearer,
    scopesNarrow: edge.scopes === 'required',
    nonceRequired: edge.dpop.nonce === 'required',
    algorithms: edge.dpop.algorithms,
    origins: edge.origins,
    refreshSeconds: front.refresh_seconds,
    consentSeconds: front.consent_seconds,
    clientName: frontClientNames(configuration),
    isProxy: authorityProxies(configuration).front,
  }
}

function accessOf(
  cimd: NonNullable<Deployment['configuration']['authority']['front']>['cimd'],
  place: (path: string) => string,
): ProviderAccess | null {
  if (cimd === undefined) return null
  const { ca_file: caFile, allow_private_addresses: allowPrivateAddresses } = cimd
  return { caFile: caFile === undefined ? null : place(caFile), allowPrivateAddresses }
}
