/** `secrets:`: where each comes from, and who may use it; `credential:`: what the gateway proves itself with to a server. */

import { z } from 'zod'
import { section } from './section.ts'

const secretName = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, {
  error: 'not the name of a secret; expected lowercase letters, digits, - and _',
})

export const environmentName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, {
  error: 'not a variable name; expected letters, digits and _, not beginning with a digit',
})

const roles = z.array(z.string().min(1).max(64)).min(1)

/** Segments as Vault takes them; none that leads elsewhere. */
const vaultPath = z
  .string()
  .max(512)
  .regex(/^(?!.*(?:^|\/)\.{1,2}(?:\/|$))[A-Za-z0-9._~@ -]+(?:\/[A-Za-z0-9._~@ -]+)*$/, {
    error: 'not a path; expected segments with / between them, not at the ends',
  })

/** HashiCorp Vault or OpenBao. */
export const vault = section({
  url: z
    .string()
    .regex(/^https:\/\/[^\s/?#@]+\/?$/, { error: 'not an address of a vault; expected https://host[:port]' }),
  namespace: vaultPath.optional(),
  /** PEM of the authorities that alone are trusted; the platform's by default. */
  ca_file: z.string().min(1).optional(),
  /** Where the KV store is mounted. */
  mount: vaultPath.default('secret'),
  token_file: z.string().min(1).optional(),
  approle: section({
    role_id: z.string().min(1).max(256),
    secret_id_file: z.string().min(1),
    mount: vaultPath.default('approle'),
  }).optional(),
  /** The oldest that a value may be. */
  cache_seconds: z.int().min(0).max(300).default(30),
  allow_private_addresses: z.boolean().default(false),
})
  .refine(({ token_file, approle }) => (token_file === undefined) !== (approle === undefined), {
    error: 'no way in, or two; expected either token_file or approle',
  })
  .optional()

/** An argument of the program that reads it, and never an option. */
const keyringWord = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._@:/-]{0,127}$/, {
  error: 'not a name in a keyring; expected letters, digits and . _ @ : / -',
})

/** Where the person who calls keeps the key of the identities. */
export const identitiesKeyring = section({
  service: keyringWord.default('doorward'),
  account: keyringWord.default('identities'),
}).optional()

const secret = section({
  /** A file that somebody else keeps, such as a mounted secret. */
  file: z.string().min(1).optional(),
  /** A variable of the gateway's environment, read once. */
  env: environmentName.optional(),
  /** Of the person's keyring in whose session the gateway runs. */
  keyring: section({
    service: keyringWord.default('doorward'),
    /** The name of the secret by default. */
    account: keyringWord.optional(),
  }).optional(),
  /** Of a KV store of version 2 (`vault:`). */
  vault: section({
    path: vaultPath,
    field: z.string().min(1).max(256).default('value'),
    mount: vaultPath.optional(),
  }).optional(),
  /** Names of servers and services. */
  servers: z
    .array(z.string())
    .max(1000)
    .default([])
    .refine(({ length }) => length > 0, { error: 'a secret that is meant for no server; expected servers: [NAME, …]' }),
  /** Only for calls of which every party has one of these. */
  roles: roles.optional(),
}).refine((one) => [one.file, one.env, one.keyring, one.vault].filter((source) => source !== undefined).length < 2, {
  error: 'a secret with two sources; expected file, env, keyring, vault, or none of them for the own store',
})

const MAX_SECRETS = 1000

export const secrets = z
  .record(secretName, secret)
  .default({})
  .refine((value) => Object.keys(value).length <= MAX_SECRETS, {
    error: `too many secrets; expected at most ${MAX_SECRETS}`,
  })

const header = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/, { error: 'not the name of a header' })
const scheme = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9-]{0,31}$/, { error: 'not a scheme; expected a word such as Bearer' })

const fixed = section({ secret: secretName, header: header.optional(), scheme: scheme.optional() })

const chosen = section({
  /** The first that fits a call is taken; one without roles fits every call. */
  by: z
    .array(section({ roles: roles.optional(), secret: secretName }))
    .min(1)
    .max(64),
  /** For what the gateway asks for itself; without it the one without roles, or none. */
  own: secretName.optional(),
  header: header.optional(),
  scheme: scheme.optional(),
})

const httpsUrl = z
  .string()
  .regex(/^https:\/\/[^\s#@]{1,2040}$/, { error: 'not an address; expected https://host/path' })

/** The gateway as a client, where tokens are given. */
const tokenClient = {
  token_url: httpsUrl.optional(),
  /** Its metadata say where tokens are given (RFC 8414). */
  issuer: httpsUrl.optional(),
  client_id: z.string().min(1).max(512),
  /** The client's secret, or with private_key_jwt a private key in PEM. */
  secret: secretName,
  auth: z.enum(['basic', 'post', 'private_key_jwt']).default('basic'),
  /** `kid` of its assertions. */
  key_id: z.string().min(1).max(256).optional(),
  scopes: z
    .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/, { error: 'not a scope' }))
    .max(64)
    .default([]),
  /** RFC 8707: for which server the token is to be good. */
  resource: httpsUrl.optional(),
  ca_file: z.string().min(1).optional(),
  allow_private_addresses: z.boolean().default(false),
}

const onePlace = {
  of: ({ token_url, issuer }: { readonly token_url?: string | undefined; readonly issuer?: string | undefined }) =>
    (token_url === undefined) !== (issuer === undefined),
  error: 'no place to ask, or two; expected either token_url or issuer',
}

/** RFC 6749 §4.4. */
const client = section(tokenClient).refine(onePlace.of, { error: onePlace.error })

/** RFC 8693. */
const exchange = section({
  token_exchange: section({
    ...tokenClient,
    /** What the gateway says of who calls: signed with a private key in PEM, whose other half the provider has. */
    assertion: section({ issuer: httpsUrl, secret: secretName, key_id: z.string().min(1).max(256).optional() }),
    /** Issuer of the people who may be spoken for. */
    people: httpsUrl.optional(),
    workloads: z.boolean().default(false),
    audience: z.string().min(1).max(2048).optional(),
  })
    .refine(onePlace.of, { error: onePlace.error })
    .refine(({ people, workloads }) => people !== undefined || workloads, {
      error: 'for nobody; expected people: ISSUER, workloads: true, or both',
    })
    .refine(({ audience, resource }) => audience !== undefined || resource !== undefined, {
      error: 'a token for any server; expected audience, resource, or both',
    }),
  /** For what the gateway asks for itself. */
  own: secretName.optional(),
})

const scope = z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/, {
  error: 'not a scope; expected visible ASCII without blank, quote and backslash',
})

const perUser = section({
  user_oauth: section({
    /** The one authorization server that is believed, and shown the client; its metadata says the same text. */
    authorization_server: httpsUrl,
    /** What it calls the gateway; either this, or it fetches what the gateway says of itself. */
    client_id: z.string().min(1).max(512).optional(),
    client_document: z.boolean().default(false),
    client_secret: secretName.optional(),
    /** Those that the server asks for by default. */
    scopes: z.array(scope).min(1).max(64).optional(),
    /** More that people are asked for when the server demands them; nothing beyond. */
    step_up: z.array(scope).max(64).default([]),
    /** What the server's metadata says by default. */
    resource: httpsUrl.optional(),
    /** PEM; trusted alone when anything is fetched from server and authorization server. */
    ca_file: z.string().min(1).optional(),
    allow_private_addresses: z.boolean().default(false),
  })
    .refine(({ client_id, client_document }) => (client_id !== undefined) !== client_document, {
      error: 'no client, or two; expected either client_id or client_document: true',
    })
    .refine(({ client_secret, client_document }) => client_secret === undefined || !client_document, {
      error: 'a client of a document has no secret; expected client_document without client_secret',
    }),
  /** For what the gateway asks for itself. */
  own: secretName.optional(),
})

const shapes = {
  secret: fixed,
  by: chosen,
  client_credentials: section({ client_credentials: client }),
  token_exchange: exchange,
  user_oauth: perUser,
} as const
const kinds = Object.keys(shapes) as (keyof typeof shapes)[]

/** Which of the kinds an entry is decides how its mistakes are told. */
export const credential = z.unknown().transform((value, context): CredentialSection => {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  const kind = isObject ? kinds.filter((one) => one in value) : []
  const [first] = kind
  if (first === undefined || kind.length > 1) {
    context.addIssue({
      code: 'custom',
      message: `not a credential; expected exactly one of ${kinds.join(', ')}`,
      input: value,
    })
    return z.NEVER
  }
  const parsed = shapes[first].safeParse(value)
  if (parsed.success) return parsed.data
  for (const issue of parsed.error.issues) context.addIssue({ ...issue })
  return z.NEVER
})

export type SecretSection = z.output<typeof secret>
export type FixedSection = z.output<typeof fixed>
export type ChosenSection = z.output<typeof chosen>
export type ClientSection = z.output<typeof client>
export type ExchangeSection = z.output<typeof exchange>
export type UserSection = z.output<typeof perUser>
export type CredentialSection =
  | FixedSection
  | ChosenSection
  | UserSection
  | ExchangeSection
  | { readonly client_credentials: ClientSection }

/** A variable of a process: a text, or the name of a secret. */
export const variable = z.union([z.string(), section({ secret: secretName })], {
  error: 'not a value of a variable; expected text, or { secret: NAME }',
})
