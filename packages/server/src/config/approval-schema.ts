/** The section `approvals`: which calls a human has to approve, and who may. */

import { z } from 'zod'
import { section } from './section.ts'

const MOST = 256

const names = z
  .array(z.string().min(1).max(2048))
  .max(MOST, { error: `too many; expected at most ${MOST}` })
  .default([])

const path = z.string().min(1)

const webhook = section({
  url: z.url({ protocol: /^https?$/ }),
  /** The secret signs each request; mode 0600. */
  secret_file: path,
  timeout_seconds: z.int().min(1).max(60).default(10),
  /** PEM of the only authorities by which the receiver is known. */
  ca_file: path.optional(),
  certificate_file: path.optional(),
  /** Mode 0600. */
  key_file: path.optional(),
  /** Without TLS, to this machine alone. */
  insecure: z.boolean().default(false),
})

export type ApprovalWebhookSection = z.output<typeof webhook>

const group = section({
  /** SPIFFE ID patterns of whole segments. */
  workloads: names,
  /** `<issuer>#<subject>`. */
  users: names,
  /** Hears of each request, and is sent links where `links` says so. */
  webhook: webhook.optional(),
})

const groupName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, {
  error: 'not a name; expected 1 to 64 of A-Z a-z 0-9 . _ -, a letter or digit first',
})

const rule = section({
  /** As roles have them. */
  permission: z.string().min(1).max(1200),
  /** A group. */
  by: z.string().min(1).max(64),
})

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).protocol === 'https:' && new URL(text).origin === text
}

export const approvals = section({
  /** How long a call waits for an answer; 0 for not at all. */
  wait_seconds: z.int().min(0).max(300).default(30),
  /** How long a request waits for its approval, and an approval for its call. */
  expires_seconds: z.int().min(10).max(86_400).default(600),
  groups: z.record(groupName, group).default({}),
  /** Whoever has the link that a webhook was sent answers in the name of its group. */
  links: z.boolean().default(false),
  /** Where links lead: the public listener, as people reach it. */
  public_url: z
    .string()
    .refine(isOrigin, { error: 'not an address of people; expected https://host[:port] without a path' })
    .optional(),
  rules: z
    .array(rule)
    .max(MOST, { error: `too many rules; expected at most ${MOST}` })
    .default([]),
}).prefault({})

export type ApprovalsSection = z.output<typeof approvals>
