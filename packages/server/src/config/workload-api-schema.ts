/** The `workload_api` section: which local program is given which identity, by what the kernel says of it. */

import { z } from 'zod'
import { section } from './section.ts'

const userNumber = z
  .int()
  .min(0)
  .max(0xffff_fffe, { error: 'not the number of a user or group; expected at most 4294967294' })

/** By what the kernel knows a process; all that are given have to match. */
export const selectors = {
  uid: userNumber.optional(),
  gid: userNumber.optional(),
  /** The program's own file; not that of a script. */
  path: z
    .string()
    .max(4096)
    .regex(/^\/[^\0]*$/, { error: 'not an absolute path' })
    .optional(),
  /** Of the program's file. */
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, { error: 'not a SHA-256; expected 64 digits of lowercase hex' })
    .optional(),
  /** Exactly, as the line `0::` of /proc/PID/cgroup has it. */
  cgroup: z
    .string()
    .max(4096)
    .regex(/^\/[^\n]*$/, { error: 'not a path in the hierarchy of cgroup v2' })
    .optional(),
  systemd_unit: z
    .string()
    .max(256)
    .regex(/^[A-Za-z0-9:_.@\\-]+\.(?:service|scope|socket|mount)$/, {
      error: 'not a unit that programs run in; expected a name such as planner.service',
    })
    .optional(),
}

/** What a program that gets several identities tells them by. */
const hint = z
  .string()
  .regex(/^[\x21-\x7e]{1,128}$/, { error: 'not a hint; expected up to 128 visible characters' })
  .optional()

const nobodyKnown = {
  error: 'nothing says who this is for; expected one or more of uid, gid, path, sha256, cgroup, systemd_unit',
}

function saysWho(said: { readonly [Name in keyof typeof selectors]?: unknown }): boolean {
  const { uid, gid, path, sha256, cgroup, systemd_unit: unit } = said
  return [uid, gid, path, sha256, cgroup, unit].some((selector) => selector !== undefined)
}

const entry = section({
  /** Name of an identity that has joined here, the path of its SPIFFE ID. */
  identity: z
    .string()
    .max(512)
    .regex(/^[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/, {
      error: 'not an identity; expected a path such as agent/planner',
    }),
  hint,
  ...selectors,
}).refine(saysWho, nobodyKnown)

export const workloadApi = section({
  /** The first that matches is the default of a program that gets several. */
  entries: z
    .array(entry)
    .max(256)
    .refine((entries) => new Set(hintsOf(entries)).size === hintsOf(entries).length, {
      error: 'a hint names two identities; expected one each',
    })
    .default([]),
}).prefault({})

/** Of `sidecar.yaml`: its programs are given the one identity that it has. */
export const ownWorkloadApi = section({
  socket: z.string().min(1).max(4096),
  entries: z
    .array(section({ hint, ...selectors }).refine(saysWho, nobodyKnown))
    .min(1, { error: 'no program is given the identity; expected at least one entry' })
    .max(256),
})

export type WorkloadEntry = z.output<typeof entry>
/** What of an entry says who it is for. */
export type Selectors = Partial<WorkloadEntry>

/** Of different identities: two entries of one may have the same. */
function hintsOf(
  entries: readonly { readonly identity: string; readonly hint?: string | undefined }[],
): readonly string[] {
  const pairs = new Set(entries.flatMap(({ identity, hint }) => (hint === undefined ? [] : [`${hint} ${identity}`])))
  return [...pairs].map((pair) => pair.split(' ')[0] ?? '')
}
