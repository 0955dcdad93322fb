/**
 * Which allowed calls a human has to approve as well: those that a policy with the annotation `@approval("<group>")`
 * allows, and those that a rule of the configuration names, whatever allows them.
 */

import { ownServers } from './builtin.ts'
import type { Policy } from './cedar/expression.ts'
import type { ApprovalDuty, DecisionRequest, Obligation } from './decision.ts'
import { permissionCovers } from './permission.ts'
import type { Permission } from './permission.ts'

/** The annotation of a permit. */
export const approvalAnnotation = 'approval'

/** Calls that the permission names need an approval of the group. */
export interface ApprovalRule {
  /** `approval:<permission>`. */
  readonly id: string
  readonly permission: Permission
  readonly by: string
}

/** The group that the policy asks for; null for none. */
export function approverOf({ annotations }: Pick<Policy, 'annotations'>): string | null {
  return annotations.get(approvalAnnotation) ?? null
}

export function isApprovalDuty(obligation: Obligation): obligation is ApprovalDuty {
  return obligation.kind === 'approval'
}

/** Groups of which somebody has to approve, in the order in which they are asked for. */
export function approversIn(obligations: readonly Obligation[]): readonly string[] {
  return obligations.filter(isApprovalDuty).map(({ by }) => by)
}

const none: readonly ApprovalDuty[] = []

export class ApprovalDuties {
  readonly #groups: ReadonlyMap<string, string>
  readonly #rules: readonly ApprovalRule[]

  constructor(policies: readonly Policy[], rules: readonly ApprovalRule[]) {
    this.#groups = new Map(
      policies.flatMap((policy) => {
        const by = approverOf(policy)
        return by === null ? [] : [[policy.id, by] as const]
      }),
    )
    this.#rules = rules
  }

  /**
   * Of a call that these policies allow: one duty for each group. The strictest wins: a permit that asks for nobody takes
   * nothing away from one that does. Sessions, lists and our own API ask for nobody.
   */
  of(request: DecisionRequest, policies: readonly string[]): readonly ApprovalDuty[] {
    if (this.#groups.size === 0 && this.#rules.length === 0) return none
    const { action, resource } = request
    if (action.group === 'session' || ownServers.includes(resource.server)) return none
    const rules = new Map<string, string[]>()
    const ask = (by: string, rule: string) => {
      const known = rules.get(by)
      if (known === undefined) rules.set(by, [rule])
      else if (!known.includes(rule)) known.push(rule)
    }
    for (const id of policies) {
      const by = this.#groups.get(id)
      if (by !== undefined) ask(by, id)
    }
    for (const { id, permission, by } of this.#rules) if (permissionCovers(permission, action, resource)) ask(by, id)
    return Array.from(rules, ([by, ids]) => ({ kind: 'approval', by, rules: ids }))
  }
}
