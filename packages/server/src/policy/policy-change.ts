/** What a new policy has that the one before had not. */

import type { CompiledPolicy, PolicyVersion } from '@doorward/core'
import type { PolicyProblem } from './policy-problem.ts'

/** A policy as far as it is compared. */
export interface PolicyFacts {
  /** Texts by id. */
  readonly policies: ReadonlyMap<string, string>
  /** Bindings, servers, time zone and arguments of tools, as lines. */
  readonly settings: ReadonlySet<string>
}

export interface PolicyChange {
  /** Sequence 0 and an empty digest before the first. */
  readonly from: PolicyVersion
  readonly to: PolicyVersion
  /** Ids. */
  readonly policies: {
    readonly added: readonly string[]
    readonly removed: readonly string[]
    readonly changed: readonly string[]
  }
  /** Lines such as `role reader: spiffe://acme.example/agent/*`. */
  readonly settings: { readonly added: readonly string[]; readonly removed: readonly string[] }
  /** About the new one. */
  readonly warnings: readonly PolicyProblem[]
}

export const noFacts: PolicyFacts = { policies: new Map(), settings: new Set() }

export function factsOf(
  { text }: Pick<CompiledPolicy, 'text'>,
  policies: readonly { readonly id: string; readonly text: string }[],
): PolicyFacts {
  const [head = ''] = text.split('\n\n', 1)
  const lines = head.split('\n').filter((line) => line.startsWith('// '))
  return {
    policies: new Map(policies.map((policy) => [policy.id, policy.text])),
    settings: new Set(lines.map((line) => line.slice(3))),
  }
}

export function difference(from: PolicyFacts, to: PolicyFacts): Pick<PolicyChange, 'policies' | 'settings'> {
  const ids = [...to.policies.keys()]
  return {
    policies: {
      added: ids.filter((id) => !from.policies.has(id)),
      removed: [...from.policies.keys()].filter((id) => !to.policies.has(id)),
      changed: ids.filter((id) => from.policies.has(id) && from.policies.get(id) !== to.policies.get(id)),
    },
    settings: {
      added: [...to.settings].filter((line) => !from.settings.has(line)),
      removed: [...from.settings].filter((line) => !to.settings.has(line)),
    },
  }
}
