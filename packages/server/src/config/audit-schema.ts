/**
 * The sections `audit` and `alerts`: second copy and second sink, what of a call is kept, how long payloads are kept, where
 * entries are exported to, and who hears of findings.
 */

import { z } from 'zod'
import { isDetectorId, severities } from '@doorward/core'
import { section } from './section.ts'

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, {
  error: 'not a name; expected lowercase letters, digits and -',
})

const address = z.string().regex(/^(\[[0-9a-fA-F:.]+\]|[0-9A-Za-z.-]+):([1-9][0-9]{0,4})$/, {
  error: 'not an address; expected host:port',
})

const path = z.string().min(1)

const general = {
  name,
  /** Bytes of the journal that may wait before the export lags. */
  spool_bytes: z
    .int()
    .min(1024 * 1024)
    .max(2 ** 40)
    .default(256 * 1024 * 1024),
}

const remote = {
  ...general,
  timeout_seconds: z.int().min(1).max(60).default(10),
  /** PEM of the only authorities by which the receiver is known. */
  ca_file: path.optional(),
  certificate_file: path.optional(),
  /** Mode 0600. */
  key_file: path.optional(),
  /** Without TLS, to this machine alone. */
  insecure: z.boolean().default(false),
}

const syslog = section({ ...remote, kind: z.literal('syslog'), address })

const url = z.url({ protocol: /^https?$/ })

const otlp = section({
  ...remote,
  kind: z.literal('otlp'),
  url,
  /** Its content is the value of the Authorization header; mode 0600. */
  authorization_file: path.optional(),
})

/** The secret signs each batch; mode 0600. */
const signed = { ...remote, url, secret_file: path }

const webhook = section({ ...signed, kind: z.literal('webhook') })

const file = section({
  ...general,
  kind: z.literal('file'),
  dir: path,
  rotate_bytes: z
    .int()
    .min(1024 * 1024)
    .max(2 ** 40)
    .default(64 * 1024 * 1024),
  keep: z.int().min(1).max(10_000).default(16),
})

const shapes = { syslog, otlp, webhook, file } as const

export type ExportSection =
  | z.output<typeof syslog>
  | z.output<typeof otlp>
  | z.output<typeof webhook>
  | z.output<typeof file>

/** Which kind an entry is decides how its mistakes are told. */
const one = z.unknown().transform((value, context): ExportSection => {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  const kind = isObject && 'kind' in value ? value.kind : undefined
  if (typeof kind !== 'string' || !Object.hasOwn(shapes, kind)) {
    context.addIssue({
      code: 'custom',
      message: 'no kind of export; expected kind: syslog, otlp, webhook or file',
      path: ['kind'],
      input: value,
    })
    return z.NEVER
  }
  const parsed = shapes[kind as keyof typeof shapes].safeParse(value)
  if (parsed.success) return parsed.data
  for (const issue of parsed.error.issues) context.addIssue({ ...issue })
  return z.NEVER
})

/** What of a log may be deleted; without a key of it, nothing for that reason. */
const retention = section({
  max_days: z.int().min(1).max(36_500).optional(),
  /** Of the journal. */
  max_bytes: z
    .int()
    .min(64 * 1024 * 1024)
    .max(2 ** 50)
    .optional(),
})

/** Findings as they come, one by one. */
const alertWebhook = section({
  ...signed,
  minimum: z.enum(severities).default('medium'),
  /** Detectors; all of them by default. */
  kinds: z
    .array(z.string().refine(isDetectorId, { error: 'no such detector; expected one of docs/detectors.md' }))
    .min(1)
    .optional(),
})

export type AlertWebhookSection = z.output<typeof alertWebhook>

export const alerts = section({
  webhooks: z.array(alertWebhook).max(16, { error: 'too many webhooks; expected at most 16' }).default([]),
}).prefault({})
const paths = z.array(z.string().min(1).max(1024)).max(64).default([])

/** What is kept of arguments and results of which calls; nothing by default. */
const keep = section({
  calls: z.array(z.string().min(1).max(1200)).min(1).max(64),
  arguments: section({ store: paths, hmac: paths, redact: paths }).optional(),
  result: section({ store: z.boolean().default(false), hmac: z.boolean().default(false) }).optional(),
  /** Of one entry. */
  max_bytes: z.int().min(256).max(65_536).default(4096),
})

export type KeepSection = z.output<typeof keep>

export const audit = section({
  keep: z.array(keep).max(64, { error: 'too many rules; expected at most 64' }).default([]),
  checkpoint_dir: path.optional(),
  retention: retention.prefault({}),
  /** Every entry has to be durable there, too. */
  second_sink: section({ dir: path }).optional(),
  exports: z.array(one).max(16, { error: 'too many exports; expected at most 16' }).default([]),
}).prefault({})
