/** What the configuration says of secrets and credentials, as a gateway goes by it. */

import { resolve } from 'node:path'
import { DoorwardError, fromUtf8 } from '@doorward/core'
import type { Secret } from '@doorward/core'
import { readBoundedFile } from './certificate-file.ts'
import type { Environment } from './environment.ts'
import type { ProviderAccess } from './issuer-settings.ts'
import type {
  ClientSection,
  CredentialSection,
  ExchangeSection,
  FixedSection,
  SecretSection,
  UserSection,
} from './secrets-schema.ts'
import type { Deployment } from './settings.ts'

export interface KeyringEntry {
  readonly service: string
  readonly account: string
  /** Of the session. */
  readonly env: Readonly<Record<string, string>>
}

export type SecretPlace =
  | { readonly kind: 'store' }
  /** Absolute. */
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'environment'; readonly variable: string; readonly value: Secret }
  | ({ readonly kind: 'keyring' } & KeyringEntry)
  | { readonly kind: 'vault'; readonly mount: string; readonly path: string; readonly field: string }

export interface SecretSettings {
  readonly place: SecretPlace
  /** Servers and services that may have it. */
  readonly servers: readonly string[]
  /** Only for calls of which every party has one of these; null for all. */
  readonly roles: readonly string[] | null
}

export interface VaultSettings {
  /** Origin. */
  readonly url: string
  readonly namespace: string | null
  /** PEM; null for what the platform trusts. */
  readonly ca: string | null
  readonly auth:
    | { readonly kind: 'token'; readonly file: string }
    | { readonly kind: 'approle'; readonly mount: string; readonly roleId: string; readonly secretIdFile: string }
  readonly cacheMilliseconds: number
  readonly allowPrivateAddresses: boolean
}

/** What of the environment secrets come from, or are found by. */
export type SecretEnvironment = Pick<Environment, 'take' | 'variable' | 'path' | 'home'>

/** What a gateway holds for servers, and where. Throws as both of its parts. */
export async function heldSettings(
  deployment: Pick<Deployment, 'configuration' | 'folder'>,
  environment: SecretEnvironment,
): Promise<{
  readonly secrets: Readonly<Record<string, SecretSettings>>
  readonly vault: VaultSettings | null
}> {
  const vault = await vaultSettings(deployment)
  return { secrets: secretSettings(deployment, environment), vault }
}

/** Null where none is configured. Throws `file_unreadable`. */
export async function vaultSettings({
  configuration,
  folder,
}: Pick<Deployment, 'configuration' | 'folder'>): Promise<VaultSettings | null> {
  const { vault } = configuration
  if (vault === undefined) return null
  const { approle, token_file: tokenFile = '', namespace = null, ca_file: caFile } = vault
  const file = (path: string) => resolve(folder, path)
  return {
    url: vault.url.replace(/\/$/, ''),
    namespace,
    ca: caFile === undefined ? null : fromUtf8(await readBoundedFile(file(caFile), MAX_CA)),
    auth:
      approle === undefined
        ? { kind: 'token', file: file(tokenFile) }
        : {
            kind: 'approle',
            mount: approle.mount,
            roleId: approle.role_id,
            secretIdFile: file(approle.secret_id_file),
          },
    cacheMilliseconds: vault.cache_seconds * 1000,
    allowPrivateAddresses: vault.allow_private_addresses,
  }
}

const MAX_CA = 256 * 1024

/** Of a header. */
export interface HeaderForm {
  /** In lower case. */
  readonly header: string
  /** Word before the value; null for the value alone. */
  readonly scheme: string | null
}

export type CredentialSettings =
  | { readonly kind: 'secret'; readonly secret: string; readonly form: HeaderForm }
  | {
      readonly kind: 'by'
      readonly by: readonly { readonly roles: readonly string[] | null; readonly secret: string }[]
      readonly own: string | null
      readonly form: HeaderForm
    }
  | ClientCredentialsSettings
  | TokenExchangeSettings
  | ({ readonly kind: 'user' } & UserOAuthSettings)

export type ClientAuth = 'basic' | 'post' | 'private_key_jwt'

/** The gateway as a client of an authorization server. */
export interface TokenClientSettings {
  /** One of the two. */
  readonly tokenUrl: string | null
  readonly issuer: string | null
  readonly clientId: string
  /** Name of the secret: the client's, or the private key of its assertions. */
  readonly secret: string
  readonly auth: ClientAuth
  readonly keyId: string | null
  readonly scopes: readonly string[]
  /** RFC 8707; null for none. */
  readonly resource: string | null
  /** PEM; null for what the platform trusts. */
  readonly ca: string | null
  readonly allowPrivateAddresses: boolean
}

/** Tokens for the gateway itself. */
export interface ClientCredentialsSettings extends TokenClientSettings {
  readonly kind: 'client'
}

/** Tokens in the names of callers, exchanged for what the gateway says of them. */
export interface TokenExchangeSettings extends TokenClientSettings {
  readonly kind: 'exchange'
  /** What the gateway signs of who calls: as whom, with the key of which secret, under which `kid`. */
  readonly assertion: { readonly issuer: string; readonly secret: string; readonly keyId: string | null }
  /** Whose people it speaks for: the text of their `iss`; null for nobody's. */
  readonly people: string | null
  /** Also for workloads that act for themselves or for each other. */
  readonly workloads: boolean
  /** RFC 8693; null for none. */
  readonly audience: string | null
  /** Secret for what the gateway asks for itself; null sends nothing then. */
  readonly own: string | null
}

/** Each person's own tokens, which they grant in a browser. */
export interface UserOAuthSettings {
  /** Of the authorization server, exactly. */
  readonly issuer: string
  /** Null: the URL of the document that the edge has of us. */
  readonly clientId: string | null
  /** Name of a secret; null for a public client. */
  readonly clientSecret: string | null
  /** Null: those that the server asks for. */
  readonly scopes: readonly string[] | null
  /** More that people are asked for when the server demands them. */
  readonly stepUp: readonly string[]
  /** Null: what the server's metadata says (RFC 9728). */
  readonly resource: string | null
  /** Secret for what the gateway asks for itself; null sends nothing then. */
  readonly own: string | null
  readonly access: ProviderAccess
}

/** Throws `environment_missing`. */
export function secretSettings(
  { configuration, folder }: Pick<Deployment, 'configuration' | 'folder'>,
  environment: SecretEnvironment,
): Readonly<Record<string, SecretSettings>> {
  const mount = configuration.vault?.mount ?? ''
  return Object.fromEntries(
    Object.entries(configuration.secrets).map(([name, section]) => {
      const { servers, roles = null } = section
      return [name, { place: placeOf(name, section, { folder, environment, mount }), servers, roles }]
    }),
  )
}

interface Surroundings {
  readonly folder: string
  readonly environment: SecretEnvironment
  /** Of the vault. */
  readonly mount: string
}

function placeOf(
  name: string,
  { file, env, keyring, vault }: SecretSection,
  { folder, environment, mount }: Surroundings,
): SecretPlace {
  if (vault !== undefined) return { kind: 'vault', mount: vault.mount ?? mount, path: vault.path, field: vault.field }
  if (file !== undefined) return { kind: 'file', path: resolve(folder, file) }
  if (keyring !== undefined) {
    const { service, account = name } = keyring
    return { kind: 'keyring', service, account, env: sessionOf(environment) }
  }
  if (env === undefined) return { kind: 'store' }
  const value = environment.take(env)
  if (value === undefined || value.reveal() === '')
    throw new DoorwardError('environment_missing', 'the variable of a secret is not set', {
      where: `secrets.${name}.env`,
      expected: env,
      next: 'set it in the environment in which the gateway starts',
    })
  return { kind: 'environment', variable: env, value }
}

/** Where the key of the identities is; null where it is in a file. */
export function identitiesKeyring(
  { configuration }: Pick<Deployment, 'configuration'>,
  environment: SecretEnvironment,
): KeyringEntry | null {
  const entry = configuration.state.identities_keyring
  return entry === undefined ? null : { ...entry, env: sessionOf(environment) }
}

/** What finds the keyring of a session; nothing else of the environment goes to the program that reads it. */
function sessionOf({ variable, path, home }: SecretEnvironment): Readonly<Record<string, string>> {
  const session = ['DBUS_SESSION_BUS_ADDRESS', 'XDG_RUNTIME_DIR'].flatMap((name) => {
    const value = variable(name)
    return value === undefined ? [] : [[name, value] as const]
  })
  return { PATH: path, HOME: home, LC_ALL: 'C.UTF-8', ...Object.fromEntries(session) }
}

/** Null where there is none. Throws `file_unreadable`. */
export async function credentialOf(
  { credential }: { readonly credential?: CredentialSection | undefined },
  folder: string,
): Promise<CredentialSettings | null> {
  return credential === undefined ? null : credentialSettings(credential, folder)
}

/** Throws `file_unreadable`. */
export async function credentialSettings(section: CredentialSection, folder: string): Promise<CredentialSettings> {
  if ('client_credentials' in section) return clientSettings(section.client_credentials, folder)
  if ('token_exchange' in section) return exchangeSettings(section, folder)
  if ('user_oauth' in section) return userSettings(section, folder)
  const form = formOf(section)
  if ('secret' in section) return { kind: 'secret', secret: section.secret, form }
  const by = section.by.map(({ roles = null, secret }) => ({ roles, secret }))
  return { kind: 'by', by, own: section.own ?? null, form }
}

async function clientSettings(section: ClientSection, folder: string): Promise<ClientCredentialsSettings> {
  return { kind: 'client', ...(await tokenClient(section, folder)) }
}

async function exchangeSettings(
  { token_exchange: section, own }: ExchangeSection,
  folder: string,
): Promise<TokenExchangeSettings> {
  const { assertion, people = null, workloads, audience = null } = section
  const { issuer, secret, key_id: keyId = null } = assertion
  const said = { assertion: { issuer, secret, keyId }, people, workloads, audience, own: own ?? null }
  return { kind: 'exchange', ...(await tokenClient(section, folder)), ...said }
}

async function tokenClient(
  section: ClientSection | ExchangeSection['token_exchange'],
  folder: string,
): Promise<TokenClientSettings> {
  const { token_url: tokenUrl = null, issuer = null, key_id: keyId = null, resource = null, ca_file: caFile } = section
  return {
    tokenUrl,
    issuer,
    clientId: section.client_id,
    secret: section.secret,
    auth: section.auth,
    keyId,
    scopes: section.scopes,
    resource,
    ca: caFile === undefined ? null : fromUtf8(await readBoundedFile(resolve(folder, caFile), MAX_CA)),
    allowPrivateAddresses: section.allow_private_addresses,
  }
}

function userSettings({ user_oauth: user, own }: UserSection, folder: string): CredentialSettings {
  const { ca_file: caFile, allow_private_addresses: allowPrivateAddresses } = user
  return {
    kind: 'user',
    issuer: user.authorization_server,
    clientId: user.client_id ?? null,
    clientSecret: user.client_secret ?? null,
    scopes: user.scopes ?? null,
    stepUp: user.step_up,
    resource: user.resource ?? null,
    own: own ?? null,
    access: { caFile: caFile === undefined ? null : resolve(folder, caFile), allowPrivateAddresses },
  }
}

/** `Authorization: Bearer …`; any other header has the value alone. */
function formOf({ header = 'authorization', scheme }: Pick<FixedSection, 'header' | 'scheme'>): HeaderForm {
  const name = header.toLowerCase()
  return { header: name, scheme: scheme ?? (name === 'authorization' ? 'Bearer' : null) }
}

/** Variables of a stdio server: those that stand in the configuration, and by variable the secrets of the others. */
export function variablesOf(env: Readonly<Record<string, string | { readonly secret: string }>>): {
  readonly plain: Readonly<Record<string, string>>
  readonly secret: Readonly<Record<string, string>>
} {
  const entries = Object.entries(env)
  return {
    plain: Object.fromEntries(entries.flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : []))),
    secret: Object.fromEntries(
      entries.flatMap(([name, value]) => (typeof value === 'string' ? [] : [[name, value.secret]])),
    ),
  }
}
