/** `issuers`: OIDC and OAuth providers, whose tokens say who a person is. */

import { issuerAlgorithms } from '@doorward/core'
import { z } from 'zod'
import { httpsUrl, name } from './attestor-schema.ts'
import { section } from './section.ts'

const text = z.string().min(1).max(512)
const path = z.string().min(1)

/** A member of the claims, or a JSON Pointer to one (RFC 6901). */
const claim = z.string().min(1).max(128)

const claims = section({
  user: claim.default('sub'),
  groups: claim.optional(),
  /** Only groups that begin so are taken. */
  group_prefix: text.optional(),
  /** Claims that must be exactly so. */
  require: z.record(claim, z.union([z.string().max(512), z.int(), z.boolean()])).default({}),
}).prefault({})

const introspection = section({
  url: httpsUrl,
  client_id: text,
  /** Read for each question; mode 0600. */
  client_secret_file: path,
  auth: z.enum(['basic', 'post'], { error: 'not a way to authenticate; expected basic or post' }).default('basic'),
  /** How long an answer counts. */
  cache_seconds: z
    .int()
    .min(0)
    .max(60, { error: 'too long for anybody to hear that a token was withdrawn; expected at most 60' })
    .default(30),
})

const scope = z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/, {
  error: 'not a scope; expected visible ASCII without blank, quote and backslash',
})

const login = section({
  client_id: text,
  /** For providers that give a secret to programs of people as well; mode 0600. */
  client_secret_file: path.optional(),
  scopes: z
    .array(scope)
    .max(32)
    .default(['openid'])
    .refine((scopes) => scopes.includes('openid'), {
      error: 'without openid the provider says nobody’s name; expected openid among the scopes',
    }),
  /** Which workloads may act for people who have signed in there; all of the trust domain by default. */
  workloads: z.array(z.string()).min(1).max(64).optional(),
  lifetime_seconds: z
    .int()
    .min(300)
    .max(3600, { error: 'too long without asking the provider; expected at most 3600' })
    .default(3600),
  /** How long ago the person may have proven who they are to the provider. */
  max_age_seconds: z.int().min(60).max(86_400).optional(),
  /** Sign-ins by device code: providers leave our nonce out of them, so that no ID token of it is bound to a key. */
  device: z.boolean().default(false),
})

const consent = section({
  client_id: text,
  /** Mode 0600. */
  client_secret_file: path.optional(),
})

const issuer = section({
  issuer: httpsUrl,
  /** What its tokens are for, where the provider cannot name our resources. */
  audience: text.optional(),
  other_audiences: z.array(text).max(16).default([]),
  algorithms: z
    .array(z.enum(issuerAlgorithms, { error: `not an algorithm; expected ${issuerAlgorithms.join(', ')}` }))
    .min(1, { error: 'no algorithm; expected at least one' })
    .default(['RS256']),
  /** `typ` of access tokens. */
  types: z
    .array(z.enum(['at+jwt', 'JWT'], { error: 'not a type of access token; expected at+jwt or JWT' }))
    .min(1, { error: 'no type; expected at least one' })
    .default(['at+jwt']),
  claims,
  jwks_file: path.optional(),
  jwks_url: httpsUrl.optional(),
  /** PEM; trusted alone when anything is fetched from the provider. */
  ca_file: path.optional(),
  allow_private_addresses: z.boolean().default(false),
  max_lifetime_seconds: z.int().min(60).max(86_400).default(5400),
  introspection: introspection.optional(),
  login: login.optional(),
  /** By which people show who they are before they grant the gateway anything towards servers. */
  consent: consent.optional(),
})

export const issuers = z.record(name, issuer).default({})

export type IssuerSection = z.output<typeof issuer>
