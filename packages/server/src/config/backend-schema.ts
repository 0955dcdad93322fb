/** `services:`, the plain HTTP services behind the gateway. */

import { z } from 'zod'
import { callBounds } from './limits-schema.ts'
import { credential } from './secrets-schema.ts'
import { section } from './section.ts'

const methods = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

const headerNames = z
  .array(z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, { error: 'not a header name in lowercase' }))
  .max(32)

export const backend = section({
  /** Of its root: a path in it is put before every path. */
  url: z.url({ protocol: /^https?$/ }),
  insecure_upstream: z.boolean().default(false),
  methods: z
    .array(z.enum(methods, { error: `not a method; expected ${methods.join(', ')}` }))
    .min(1, { error: 'an empty list serves nobody; expected at least one method' })
    .default(['GET', 'HEAD']),
  /** Headers that pass beside the usual ones. */
  request_headers: headerNames.default([]),
  answer_headers: headerNames.default([]),
  credential: credential.optional(),
  answer_bytes: z
    .int()
    .min(1024)
    .max(1024 * 1024 * 1024)
    .default(16 * 1024 * 1024),
  /** Takes known secrets out of texts and JSON. */
  output: section({ redact: z.boolean().default(false) }).prefault({}),
  limits: callBounds,
})

export type BackendSection = z.output<typeof backend>
