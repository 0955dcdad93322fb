/** What the record and operators are told of a configuration that changes, or that does not: bounded. */

import type { ServerChanges } from './live-servers.ts'
import type { Mistakes, PolicyOutcome } from './policy-reload-entries.ts'
import { named, shownOutcome } from './policy-reload-entries.ts'

export interface ReloadChange {
  /** Digests of the configuration before and after. */
  readonly from: string
  readonly to: string
  /** Keys. */
  readonly changed: readonly string[]
  readonly servers: ServerChanges
}

interface Elsewhere {
  /** Keys that have changed too, and that other processes alone go by: each takes them up at its next start. */
  readonly elsewhere: readonly string[]
}

export type ReloadOutcome =
  | ({ readonly outcome: 'changed'; readonly change: ReloadChange; readonly policy: PolicyOutcome } & Elsewhere)
  | ({ readonly outcome: 'unchanged'; readonly digest: string } & Elsewhere)
  /** Everything before stays. */
  | ({ readonly outcome: 'refused'; readonly kept: string } & Mistakes)

function shownChange({ from, to, changed, servers }: ReloadChange) {
  const { added, removed, changed: replaced } = servers
  return {
    from: { digest: from },
    to: { digest: to },
    keys: named(changed),
    servers: { added: named(added), removed: named(removed), changed: named(replaced) },
  }
}

/** An entry of the kind `admin`. */
export function reloadEntry(change: ReloadChange, by: string): object {
  return { change: 'gateway.reload', by, ...shownChange(change) }
}

/** An entry of the kind `admin`. */
export function reloadRefusalEntry({ code, problems }: Mistakes, kept: string, by: string): object {
  return { change: 'gateway.reload.refuse', by, code, kept: { digest: kept }, problems: named(problems) }
}

/** As the admin API answers it. */
export function shownReload(told: ReloadOutcome): object {
  switch (told.outcome) {
    case 'changed': {
      const { outcome, change, policy, elsewhere } = told
      return { outcome, ...shownChange(change), policy: shownOutcome(policy), elsewhere: named(elsewhere) }
    }
    case 'unchanged':
      return { outcome: told.outcome, digest: told.digest, elsewhere: named(told.elsewhere) }
    case 'refused':
      return { outcome: told.outcome, kept: { digest: told.kept }, code: told.code, problems: told.problems }
  }
}
