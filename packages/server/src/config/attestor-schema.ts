/** `authority.attestors`: whom the authority believes when somebody says who a workload is. */

import { platformAlgorithms } from '@doorward/core'
import { z } from 'zod'
import { section } from './section.ts'

/** As registrations name them. */
export const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, {
  error: 'not a name; expected up to 64 of A-Z a-z 0-9 . _ -',
})

export const httpsUrl = z
  .string()
  .max(512)
  .refine(
    (text) => {
      const url = URL.canParse(text) ? new URL(text) : null
      return url !== null && url.protocol === 'https:' && url.username === '' && url.hash === '' && url.search === ''
    },
    { error: 'not an https URL without query and fragment; expected https://host[:port]/path' },
  )

const platform = section({
  issuer: httpsUrl,
  audience: z.string().min(1).max(512),
  jwks_file: z.string().min(1).optional(),
  jwks_url: httpsUrl.optional(),
  /** PEM; trusted alone when keys are fetched. */
  ca_file: z.string().min(1).optional(),
  allow_private_addresses: z.boolean().default(false),
  algorithms: z
    .array(z.enum(platformAlgorithms, { error: `not an algorithm; expected ${platformAlgorithms.join(', ')}` }))
    .min(1, { error: 'no algorithm; expected at least one' })
    .default(['RS256']),
  max_lifetime_seconds: z.int().min(60).max(86_400).default(3600),
}).check(({ value, issues }) => {
  const { jwks_file, jwks_url, ca_file, allow_private_addresses } = value
  const told = (key: string, message: string) =>
    issues.push({ code: 'custom', message, input: value, path: [key], continue: true })
  if (jwks_file === undefined) return
  if (jwks_url !== undefined) told('jwks_url', 'two places for the keys; expected jwks_file or jwks_url')
  if (ca_file !== undefined) told('ca_file', 'nothing is fetched where keys are in a file; expected no ca_file')
  if (allow_private_addresses)
    told('allow_private_addresses', 'nothing is fetched where keys are in a file; expected no such key')
})

export const attestors = section({
  oidc: z.record(name, platform).default({}),
  x509: z.record(name, section({ ca_file: z.string().min(1) })).default({}),
}).prefault({})

export type AttestorSection = z.output<typeof attestors>
export type PlatformSection = AttestorSection['oidc'][string]
