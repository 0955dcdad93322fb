/** `edge`: what callers reach who cannot hold a certificate. */

import { proofAlgorithms } from '@doorward/core'
import { z } from 'zod'
import { httpsUrl } from './attestor-schema.ts'
import { path } from './policy-schema.ts'
import { section } from './section.ts'

const text = z.string().min(1).max(512)

/** An https origin: resource identifiers and proofs are made of it. */
export const origin = z.string().refine((value) => isOrigin(value) && value.startsWith('https:'), {
  error: 'not an origin; expected https://host[:port] without path',
})

/** Pages that run in a browser; of this machine over plain HTTP as well. */
const pageOrigin = z
  .string()
  .refine(
    (value) =>
      isOrigin(value) && (value.startsWith('https:') || /^http:\/\/(?:localhost|127\.0\.0\.1)(?::|$)/.test(value)),
    { error: 'not an origin; expected https://host[:port], or http://localhost:port' },
  )

function isOrigin(value: string): boolean {
  return URL.canParse(value) && new URL(value).origin === value
}

/** RFC 6749 §3.3. */
export const scope = z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/, {
  error: 'not a scope; expected visible ASCII without blank, quote and backslash',
})

export const clientName = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, {
  error: 'not the name of a client; expected lowercase letters, digits, - and _',
})

const algorithm = z.enum(proofAlgorithms, {
  error: `not an algorithm of proofs; expected ${proofAlgorithms.join(', ')}`,
})

/** A public certificate authority (RFC 8555). */
const acme = section({
  directory: httpsUrl,
  /** Where the authority writes about certificates. */
  email: z
    .string()
    .max(254)
    .regex(/^[\w.+-]+@[A-Za-z0-9.-]+$/, { error: 'not an address; expected name@host' })
    .optional(),
  agree_tos: z.literal(true, {
    error: 'the authority issues nothing without it; expected true, once you have read its terms of service',
  }),
  /** PEM; trusted alone when the authority is asked. */
  ca_file: path.optional(),
  allow_private_addresses: z.boolean().default(false),
})

/** Either files or an authority; that it is one of them is checked beside the other keys. */
export const certificate = section({ file: path.optional(), key_file: path.optional(), acme: acme.optional() })

export const edge = section({
  public_url: origin,
  certificate,
  /** `front`: hosts get tokens from `authority.front`; tokens of `issuers` are accepted beside them. */
  authorization_server: z
    .enum(['issuers', 'front'], { error: 'expected issuers, or front for authority.front' })
    .default('issuers'),
  /** Names of `issuers`. */
  issuers: z.array(text).max(16).default([]),
  /** Names of `servers`; no other is reached here. */
  servers: z.array(text).min(1, { error: 'no server, hence nothing to reach; expected at least one' }).max(256),
  /** What clients are called, by the ids that issuers know them by. */
  clients: z.record(clientName, z.array(text).min(1).max(64)).default({}),
  /** Clients that are not listed are let in, as `unlisted`. */
  unlisted_clients: z.boolean().default(false),
  /** Tokens that are bound to no key are accepted: whoever has one is believed. */
  bearer: z.boolean().default(false),
  origins: z.array(pageOrigin).max(64).default([]),
  /** Whether what policy allows has to be covered by a scope of the token as well. */
  scopes: z.enum(['optional', 'required'], { error: 'expected optional or required' }).default('optional'),
  /** Scopes that clients are told to ask for, beside those of a server. */
  request_scopes: z.array(scope).max(16).default([]),
  dpop: section({
    algorithms: z.array(algorithm).min(1, { error: 'no algorithm; expected at least one' }).default(['ES256', 'EdDSA']),
    /** `optional` accepts proofs without one of our nonces, by their own time. */
    nonce: z.enum(['required', 'optional'], { error: 'expected required or optional' }).default('required'),
  }).prefault({}),
})

export type EdgeSection = z.output<typeof edge>
