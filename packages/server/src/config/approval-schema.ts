/** The section `approvals`: which calls a human has to approve, and who may. */

import { z } from 'zod'
import { section } from './section.ts'

const MOST = 256

const names = z
  .array(z.string().min(1).max(2048))
  .max(MOST, { error: `too many; expected at most ${MOST}` })
  .default([])

const group = section({
  /** SPIFFE ID patterns of whole segments. */
  workloads: names,
  /** `<issuer>#<subject>`. */
  users: names,
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

export const approvals = section({
  /** How long a call waits for an answer; 0 for not at all. */
  wait_seconds: z.int().min(0).max(300).default(30),
  /** How long a request waits for its approval, and an approval for its call. */
  expires_seconds: z.int().min(10).max(86_400).default(600),
  groups: z.record(groupName, group).default({}),
  rules: z
    .array(rule)
    .max(MOST, { error: `too many rules; expected at most ${MOST}` })
    .default([]),
}).prefault({})

export type ApprovalsSection = z.output<typeof approvals>
