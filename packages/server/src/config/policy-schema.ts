/** The parts of `doorward.yaml` that say who may do what. */

import { z } from 'zod'
import { section } from './section.ts'

/** A path, from the folder of the configuration. */
export const path = z
  .string()
  .min(1)
  .max(4096)
  .refine((text) => !text.includes('\0'), { error: 'not a path; expected a path without NUL' })

const maxEntries = 256

export const policy = section({
  /** Cedar files, and folders of them. */
  files: z
    .array(path)
    .max(maxEntries, { error: `too many entries; expected at most ${maxEntries}` })
    .default([]),
  /** IANA name of the zone of `context.time`. */
  time_zone: z.string().min(1).max(64).default('UTC'),
  /** A configuration of which the policy is compared with this one, and never enforced. */
  shadow: path.optional(),
}).prefault({})

const names = z.array(z.string()).min(1).optional()

export const binding = section({
  role: z.string(),
  workloads: names,
  /** Whom users and groups are of. */
  issuer: z.string().min(1).max(2048).optional(),
  users: names,
  groups: names,
}).refine(({ workloads, users, groups }) => (workloads ?? users ?? groups) !== undefined, {
  error: 'a binding to nobody; expected workloads, or an issuer with users or groups',
  path: ['workloads'],
})

export type BindingSection = z.output<typeof binding>
