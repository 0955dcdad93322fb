/** One entry of `issuers` as plain values, with absolute paths. */

import { parseSpiffeIdPattern } from '@doorward/core'
import type { ClaimRules, IssuerAlgorithm, SpiffeIdPattern, TrustDomain } from '@doorward/core'
import type { IssuerSection } from './issuer-schema.ts'

/** How the provider is reached. */
export interface ProviderAccess {
  /** PEM file; null for the platform's trust. */
  readonly caFile: string | null
  readonly allowPrivateAddresses: boolean
}

export interface IntrospectionSettings {
  readonly url: string
  readonly clientId: string
  readonly clientSecretFile: string
  readonly auth: 'basic' | 'post'
  readonly cacheSeconds: number
}

export interface LoginSettings {
  readonly clientId: string
  /** Null for a public client. */
  readonly clientSecretFile: string | null
  readonly scopes: readonly string[]
  /** Who may act for people who have signed in there. */
  readonly workloads: readonly SpiffeIdPattern[]
  readonly lifetimeSeconds: number
  readonly maxAgeSeconds: number | null
  /** People may sign in by device code, whose ID tokens no nonce binds to a key. */
  readonly device: boolean
}

export interface IssuerSettings {
  /** In configuration. */
  readonly name: string
  readonly issuer: string
  /** Null: the resource that is asked for. */
  readonly audience: string | null
  readonly otherAudiences: readonly string[]
  readonly algorithms: readonly IssuerAlgorithm[]
  readonly types: readonly string[]
  readonly claims: ClaimRules
  readonly maxLifetimeSeconds: number
  readonly access: ProviderAccess
  /** `url` null: the issuer's metadata says it. */
  readonly keys:
    | { readonly kind: 'file'; readonly path: string }
    | { readonly kind: 'fetched'; readonly jwksUrl: string | null }
  readonly introspection: IntrospectionSettings | null
  /** Null: nobody signs in there with `doorward login`. */
  readonly login: LoginSettings | null
  /** The gateway's own client there, by which people show who they are; null for none. */
  readonly consent: { readonly clientId: string; readonly clientSecretFile: string | null } | null
}

export interface IssuerPlaces {
  readonly file: (path: string) => string
  readonly trustDomain: TrustDomain
}

export function readIssuer(name: string, section: IssuerSection, { file, trustDomain }: IssuerPlaces): IssuerSettings {
  const { claims, jwks_file, jwks_url, ca_file, introspection, login, consent } = section
  return {
    name,
    issuer: section.issuer,
    audience: section.audience ?? null,
    otherAudiences: section.other_audiences,
    algorithms: section.algorithms,
    types: section.types,
    claims: {
      user: claims.user,
      groups: claims.groups ?? null,
      groupPrefix: claims.group_prefix ?? null,
      require: claims.require,
    },
    maxLifetimeSeconds: section.max_lifetime_seconds,
    access: {
      caFile: ca_file === undefined ? null : file(ca_file),
      allowPrivateAddresses: section.allow_private_addresses,
    },
    keys:
      jwks_file === undefined
        ? { kind: 'fetched', jwksUrl: jwks_url ?? null }
        : { kind: 'file', path: file(jwks_file) },
    introspection:
      introspection === undefined
        ? null
        : {
            url: introspection.url,
            clientId: introspection.client_id,
            clientSecretFile: file(introspection.client_secret_file),
            auth: introspection.auth,
            cacheSeconds: introspection.cache_seconds,
          },
    login:
      login === undefined
        ? null
        : {
            clientId: login.client_id,
            clientSecretFile: login.client_secret_file === undefined ? null : file(login.client_secret_file),
            scopes: login.scopes,
            workloads: (login.workloads ?? [`spiffe://${trustDomain}/**`]).map((text) => parseSpiffeIdPattern(text)),
            lifetimeSeconds: login.lifetime_seconds,
            maxAgeSeconds: login.max_age_seconds ?? null,
            device: login.device,
          },
    consent:
      consent === undefined
        ? null
        : {
            clientId: consent.client_id,
            clientSecretFile: consent.client_secret_file === undefined ? null : file(consent.client_secret_file),
          },
  }
}
