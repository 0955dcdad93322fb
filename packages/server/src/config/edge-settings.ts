/** `edge` as plain values, with absolute paths. */

import { resolve } from 'node:path'
import { unlistedClient } from '@doorward/core'
import type { ProofAlgorithm } from '@doorward/core'
import { frontClientNames } from './client-names.ts'
import type { EdgeSection } from './edge-schema.ts'
import type { ProviderAccess } from './issuer-settings.ts'
import type { Configuration } from './schema.ts'
import { readAddress } from './settings.ts'
import type { Address, Deployment } from './settings.ts'

export interface EdgeSettings {
  readonly address: Address
  /** Origin, without trailing slash. */
  readonly publicUrl: string
  readonly certificate: EdgeCertificatePlace | AcmePlace
  /** Names of `issuers`. */
  readonly issuers: readonly string[]
  /** Our own authorization server, where it is the edge's; null where tokens of `issuers` alone are accepted. */
  readonly front: EdgeFront | null
  readonly servers: ReadonlySet<string>
  /** By the id that issuers know a client by. */
  readonly clients: ReadonlyMap<string, string>
  readonly unlistedClients: boolean
  readonly bearer: boolean
  readonly origins: readonly string[]
  readonly scopesRequired: boolean
  readonly requestScopes: readonly string[]
  readonly algorithms: readonly ProofAlgorithm[]
  readonly nonceRequired: boolean
}

/** What the edge has to know of the authority's front. */
export interface EdgeFront {
  /** `iss` of its tokens. */
  readonly publicUrl: string
  /** `issuer` of the provider at which it signs people in. */
  readonly provider: string
  /** What a client of its tokens is called; null for one that is not let in. */
  readonly clientName: (clientId: string) => string | null
}

/** PEM files: the chain, leaf first, and its key. */
export interface EdgeCertificatePlace {
  readonly file: string
  readonly keyFile: string
}

/** A certificate authority that is asked for a certificate and for each that follows. */
export interface AcmePlace {
  readonly directory: string
  /** Null names nobody. */
  readonly email: string | null
  readonly access: ProviderAccess
}

/** Null where there is no edge. */
export function edgeSettings({ configuration, folder }: Deployment): EdgeSettings | null {
  const { edge, listeners } = configuration
  if (edge === undefined || listeners.edge === undefined) return null
  const ids = Object.entries(edge.clients).flatMap(([name, clients]) => clients.map((id) => [id, name] as const))
  return {
    address: readAddress(listeners.edge),
    publicUrl: edge.public_url,
    certificate: certificateFrom(edge.certificate, (path) => resolve(folder, path)),
    issuers: edge.issuers,
    front: frontOf(configuration),
    servers: new Set(edge.servers),
    clients: new Map(ids),
    unlistedClients: edge.unlisted_clients,
    bearer: edge.bearer,
    origins: edge.origins,
    scopesRequired: edge.scopes === 'required',
    requestScopes: edge.request_scopes,
    algorithms: edge.dpop.algorithms,
    nonceRequired: edge.dpop.nonce === 'required',
  }
}

/** The check of the configuration has seen that there is one, and its provider. */
function frontOf({ edge, authority, issuers }: Configuration): EdgeFront | null {
  const { front } = authority
  const provider = front === undefined ? undefined : issuers[front.provider]
  if (edge?.authorization_server !== 'front' || front === undefined || provider === undefined) return null
  const clientName = frontClientNames({ edge, authority })
  return { publicUrl: front.public_url, provider: provider.issuer, clientName }
}

/** The check of the configuration has let one of the two pass, and whole. Paths are made absolute by `place`. */
export function certificateFrom(
  { file = '', key_file: keyFile = '', acme }: EdgeSection['certificate'],
  place: (path: string) => string,
): EdgeCertificatePlace | AcmePlace {
  if (acme === undefined) return { file: place(file), keyFile: place(keyFile) }
  const { directory, email = null, ca_file: caFile, allow_private_addresses: allowPrivateAddresses } = acme
  return {
    directory,
    email,
    access: { caFile: caFile === undefined ? null : place(caFile), allowPrivateAddresses },
  }
}

/** What configuration calls a client; null for one that is not let in. Clients of the front are known by its tokens alone. */
export function clientNameOf(
  { front, clients, unlistedClients }: Pick<EdgeSettings, 'front' | 'clients' | 'unlistedClients'>,
  { clientId, ofFront }: { readonly clientId: string | null; readonly ofFront: boolean },
): string | null {
  const own = ofFront && clientId !== null ? (front?.clientName(clientId) ?? null) : null
  const listed = clientId === null ? undefined : clients.get(clientId)
  return own ?? listed ?? (unlistedClients ? unlistedClient : null)
}
