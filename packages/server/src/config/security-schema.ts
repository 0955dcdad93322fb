/**
 * The `security:` block of ADR-0011. Every key does what it says; a value that would turn a control off is
 * refused with the reason. Left out, the block is ADR-0011's own.
 */

import { z } from 'zod'
import { readRate } from './rate.ts'
import { section } from './section.ts'

/** A key that has one value, because any other would turn the control off. */
export function only<const T extends string | boolean>(value: T, why: string) {
  return z.literal(value, { error: `${why}; expected ${JSON.stringify(value)}` }).default(value)
}

const suites = ['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'] as const

export const rate = z.string().transform((text, context) => {
  const parsed = readRate(text)
  if (parsed !== null) return parsed
  context.addIssue({ code: 'custom', message: 'not a rate; expected <count>/<s|min|h> such as 100/min', input: text })
  return z.NEVER
})

const tls = section({
  enabled: only(true, 'every connection is encrypted, there is no plaintext mode'),
  min_version: only('1.3', 'older TLS versions are not spoken'),
  cipher_suites: z
    .array(z.enum(suites, { error: `not an accepted suite; expected ${suites.join(' or ')}` }))
    .min(1, { error: 'an empty list admits nobody; expected at least one suite' })
    .default([...suites]),
  client_auth: only('required', 'a caller without a certificate has no identity'),
})

const methods = z
  .array(z.enum(['bearer', 'oauth2', 'mtls'], { error: 'not a method; expected bearer, oauth2 or mtls' }))
  .default(['bearer', 'oauth2', 'mtls'])
  .check((context) => {
    if (!context.value.includes('mtls')) {
      context.issues.push({
        code: 'custom',
        message:
          'a list without mtls admits nobody, because tokens are bound to a certificate; expected mtls and bearer',
        input: context.value,
      })
    } else if (!context.value.includes('bearer')) {
      context.issues.push({
        code: 'custom',
        message: context.value.includes('oauth2')
          ? 'oauth2 without issuers admits nobody; expected bearer as well'
          : 'a certificate never suffices alone, every request carries a token; expected bearer as well',
        input: context.value,
      })
    }
  })

const auth = section({
  require_auth: only(true, 'there is no anonymous access'),
  methods,
  token_validation: section({
    verify_exp: only(true, 'an expired token is never accepted'),
    verify_aud: only(true, 'a token for somebody else is never accepted'),
    verify_iss: only(true, 'a token of an unknown issuer is never accepted'),
  }).prefault({}),
})

const defaultPolicies = [
  { role: 'admin', permissions: ['*'] },
  { role: 'user', permissions: ['read', 'write'] },
  { role: 'readonly', permissions: ['read'] },
]

const rbac = section({
  enabled: only(true, 'without authorization nothing would be denied'),
  default_policy: only('deny', 'what no rule allows is denied'),
  policies: z
    .array(section({ role: z.string().min(1).max(64), permissions: z.array(z.string()).min(1) }))
    .default(defaultPolicies),
})

export const defaultHeaders: Readonly<Record<string, string>> = {
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'X-XSS-Protection': '1; mode=block',
  'Strict-Transport-Security': 'max-age=31536000',
}

const TOKEN = /^[!#$%&'*+.^`|~0-9A-Za-z-]+$/
const VALUE = /^[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?$/
const managed = new Set(['connection', 'content-length', 'transfer-encoding', 'content-type', 'date', 'mcp-session-id'])

const headers = z
  .record(z.string(), z.string())
  .default({})
  .check((context) => {
    for (const [name, value] of Object.entries(context.value)) {
      const wrong = !TOKEN.test(name)
        ? 'not a header name; expected letters, digits and -'
        : managed.has(name.toLowerCase())
          ? 'this header is set by the protocol; expected another one'
          : !VALUE.test(value)
            ? 'not a header value; expected visible characters'
            : loosened(name, value)
      if (wrong !== null) context.issues.push({ code: 'custom', message: wrong, input: value, path: [name] })
    }
  })

/** The four headers of ADR-0011 may be made stricter, not weaker. */
function loosened(name: string, value: string): string | null {
  switch (name.toLowerCase()) {
    case 'x-content-type-options':
      return value === 'nosniff' ? null : 'any other value lets browsers guess; expected nosniff'
    case 'x-frame-options':
      return value === 'DENY' ? null : 'responses are never framed; expected DENY'
    case 'strict-transport-security': {
      const seconds = Number(/^max-age=([0-9]{1,10})(;|$)/.exec(value)?.[1] ?? '0')
      return seconds >= 31536000 ? null : 'shorter than a year; expected max-age=31536000 or more'
    }
    default:
      return null
  }
}

const rateLimiting = section({
  enabled: only(true, 'without limits one caller can starve the others'),
  global: rate.prefault('10000/min'),
  per_ip: rate.prefault('100/min'),
  per_user: rate.prefault('1000/min'),
})

export const security = section({
  tls: tls.prefault({}),
  auth: auth.prefault({}),
  rbac: rbac.prefault({}),
  headers,
  rate_limiting: rateLimiting.prefault({}),
})
