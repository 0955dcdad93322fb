/** `authority.front`: an authorization server for the edge, in front of a provider that cannot issue tokens for it. */

import { z } from 'zod'
import { certificate, clientName, origin, scope } from './edge-schema.ts'
import { path } from './policy-schema.ts'
import { section } from './section.ts'

const text = z.string().min(1).max(512)

const client = section({
  client_id: text,
  /** Exactly; on the person's own machine with any port. */
  redirect_uris: z
    .array(z.string().min(1).max(1024))
    .min(1, { error: 'nowhere to be answered; expected at least one' })
    .max(16),
})

/** Clients that are known by the URL of a document about them. */
const cimd = section({
  /** PEM; trusted alone when a document is fetched. */
  ca_file: path.optional(),
  allow_private_addresses: z.boolean().default(false),
})

export const front = section({
  public_url: origin,
  certificate,
  /** A name of `issuers`: where people sign in. */
  provider: text,
  client_id: text,
  /** For a provider that gives us a secret; mode 0600. */
  client_secret_file: path.optional(),
  scopes: z
    .array(scope)
    .max(32)
    .default(['openid'])
    .refine((scopes) => scopes.includes('openid'), {
      error: 'without openid the provider says nobody’s name; expected openid among the scopes',
    }),
  clients: z.record(clientName, client).default({}),
  cimd: cimd.optional(),
  refresh_seconds: z
    .int()
    .min(300)
    .max(86_400, { error: 'too long without signing in again; expected at most 86400' })
    .default(28_800),
  /** 0 asks each time. */
  consent_seconds: z
    .int()
    .min(0)
    .max(7_776_000, { error: 'too long for anybody to remember what they agreed to; expected at most 7776000' })
    .default(2_592_000),
})

export type FrontSection = z.output<typeof front>
