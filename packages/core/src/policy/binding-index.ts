/** Which roles the bindings give, found in as many steps as the SPIFFE ID has segments. */

import type { SpiffeId, SpiffeIdPattern, TrustDomain } from '../identity/spiffe-id.ts'
import { RoleSet, noRoles } from './role-set.ts'

interface Node {
  readonly literals: Map<string, Node>
  star: Node | null
  /** Of patterns that end here, and of those that go on with `**`. */
  readonly here: RoleSet
  readonly below: RoleSet
}

interface BoundPattern {
  readonly role: string
  readonly pattern: SpiffeIdPattern
}

function node(): Node {
  return { literals: new Map(), star: null, here: new RoleSet(), below: new RoleSet() }
}

/** Answers as `matchesSpiffeId` does for each pattern; at each segment it looks at no more places than there are patterns with a star before it. */
export class BindingIndex {
  readonly #roots = new Map<TrustDomain, Node>()

  constructor(bindings: readonly BoundPattern[]) {
    for (const { role, pattern } of bindings) this.#add(role, pattern)
  }

  #add(role: string, { trustDomain, segments }: SpiffeIdPattern): void {
    let at = this.#roots.get(trustDomain)
    if (at === undefined) this.#roots.set(trustDomain, (at = node()))
    for (const segment of segments) {
      if (segment === '**') {
        at.below.add(role)
        return
      }
      if (segment === '*') at = at.star ??= node()
      else {
        const next: Node = at.literals.get(segment) ?? node()
        at.literals.set(segment, next)
        at = next
      }
    }
    at.here.add(role)
  }

  /** In no particular order. */
  rolesOf({ trustDomain, segments }: SpiffeId): RoleSet {
    const root = this.#roots.get(trustDomain)
    if (root === undefined) return noRoles
    let roles = noRoles
    let level: readonly Node[] = [root]
    for (const segment of segments) {
      const next: Node[] = []
      for (const { literals, star, below } of level) {
        roles = RoleSet.joined(roles, below)
        const literal = literals.get(segment)
        if (literal !== undefined) next.push(literal)
        if (star !== null) next.push(star)
      }
      if (next.length === 0) return roles
      level = next
    }
    for (const { here } of level) roles = RoleSet.joined(roles, here)
    return roles
  }
}

/** Roles that the bindings give to the workload. */
export function boundRoles(bindings: readonly BoundPattern[], id: SpiffeId): readonly string[] {
  return [...new BindingIndex(bindings).rolesOf(id)]
}
