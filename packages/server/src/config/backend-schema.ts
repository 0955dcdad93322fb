/** `services:` and `agents:`, what is behind the gateway beside MCP servers. */

import { isRpcMethod } from '@doorward/core'
import { z } from 'zod'
import { callBounds } from './limits-schema.ts'
import { credential } from './secrets-schema.ts'
import { section } from './section.ts'

const methods = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

const headerNames = z
  .array(z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, { error: 'not a header name in lowercase' }))
  .max(32)

const rpcMethod = z.string().refine(isRpcMethod, { error: 'not a name of a method' })

/** What each method counts as. */
export const rpcMethods = z
  .record(rpcMethod, z.enum(['read', 'write', 'admin']))
  .refine((given) => Object.keys(given).length > 0, { error: 'nobody could call anything; expected methods' })

const answerBytes = z
  .int()
  .min(1024)
  .max(1024 * 1024 * 1024)
  .default(16 * 1024 * 1024)

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
  /** Plain JSON-RPC: what each method that it has counts as. */
  json_rpc: section({ methods: rpcMethods }).optional(),
  credential: credential.optional(),
  answer_bytes: answerBytes,
  /** Takes known secrets out of texts and JSON. */
  output: section({ redact: z.boolean().default(false) }).prefault({}),
  limits: callBounds,
})

/** An agent, over A2A. */
export const agent = section({
  /** Where its JSON-RPC messages are posted to. */
  url: z.url({ protocol: /^https?$/ }),
  insecure_upstream: z.boolean().default(false),
  /** Of its card, at the origin of `url`. */
  card: z
    .string()
    .regex(/^\/[A-Za-z0-9._~/-]{1,255}$/, { error: 'not a path; expected one such as /.well-known/agent-card.json' })
    .default('/.well-known/agent-card.json'),
  /** A file: JWK Set of those of whom one has to have signed the card. */
  card_keys: z.string().min(1).optional(),
  approval: z.enum(['required', 'on-first-use', 'off']).default('on-first-use'),
  credential: credential.optional(),
  answer_bytes: answerBytes,
  /** Takes known secrets out of answers. */
  output: section({ redact: z.boolean().default(false) }).prefault({}),
  limits: callBounds,
})

export type AgentSection = z.output<typeof agent>
export type BackendSection = z.output<typeof backend>
