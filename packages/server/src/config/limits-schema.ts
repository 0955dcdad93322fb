/** The `limits:` block: what networks, callers and calls may take up, beside the three limits of ADR-0011. */

import { z } from 'zod'
import { readNetwork } from './network.ts'
import { readByteRate } from './rate.ts'
import { section } from './section.ts'
import { rate } from './security-schema.ts'

export const network = z.string().refine((text) => readNetwork(text) !== null, {
  error: 'not a network; expected CIDR such as 10.0.0.0/8',
})

const byteRate = z.string().transform((text, context) => {
  const parsed = readByteRate(text)
  if (parsed !== null) return parsed
  context.addIssue({
    code: 'custom',
    message: 'not a rate of bytes; expected <bytes>/<s|min|h>, at least 1024, such as 10485760/min',
    input: text,
  })
  return z.NEVER
})

const connections = z.int().min(1).max(10_000)

const limited = ['per_user', 'concurrent_per_user', 'bytes_per_user'] as const

const quota = section({
  /** As permissions name calls. */
  action: z.string().min(1).max(1200),
  /** Whose calls; everybody's by default. */
  workloads: z.array(z.string()).min(1).max(256).optional(),
  per_user: rate.optional(),
  concurrent_per_user: z.int().min(1).max(10_000).optional(),
  bytes_per_user: byteRate.optional(),
}).refine((value) => limited.some((key) => value[key] !== undefined), {
  error: `a quota that limits nothing; expected ${limited.join(', ')}`,
})

export type QuotaSection = z.output<typeof quota>

const MAX_QUOTAS = 256

/** Of the calls of one server or service. */
export const callBounds = section({
  concurrent: z.int().min(1).max(1024).optional(),
  deadline_seconds: z.int().min(1).max(900).optional(),
}).prefault({})

export type CallBoundsSection = z.output<typeof callBounds>

export const limits = section({
  networks: z
    .array(
      section({
        cidr: network,
        per_ip: rate,
        connections_per_ip: connections.optional(),
        handshakes_per_ip: rate.optional(),
      }),
    )
    .default([]),
  quotas: z
    .array(quota)
    .max(MAX_QUOTAS, { error: `too many quotas; expected at most ${MAX_QUOTAS}` })
    .default([]),
  body_bytes: z
    .int()
    .min(1024)
    .max(10 * 1024 * 1024)
    .default(1024 * 1024),
  sessions_per_user: z.int().min(1).max(1024).default(16),
  /** Event streams that callers keep open. */
  streams_per_user: z.int().min(1).max(1024).default(8),
  stream_seconds: z.int().min(1).max(900).default(900),
  handshakes_per_ip: rate.prefault('1200/min'),
  connections_per_ip: connections.default(200),
})
