/** Which roles the bindings give, found in as many steps as the SPIFFE ID has segments. */

import type { SpiffeId, SpiffeIdPattern, TrustDomain } from '../identity/spiffe-id.ts'

interface Node {
  readonly literals: Map<string, Node>
  star: Node | null
  /** Of patterns that end here, and of those that go on with `**`. */
  readonly here: string[]
  readonly below: string[]
}

interface BoundPattern {
  readonly role: string
  readonly pattern: SpiffeIdPattern
}

function node(): Node {
  return { literals: new Map(), star: null, here: [], below: [] }
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
        at.below.push(role)
        return
      }
      if (segment === '*') at = at.star ??= node()
      else {
        const next: Node = at.literals.get(segment) ?? node()
        at.literals.set(segment, next)
        at = next
      }
    }
    at.here.push(role)
  }

  /** Each role once, in no particular order. */
  rolesOf({ trustDomain, segments }: SpiffeId): ReadonlySet<string> {
    const root = this.#roots.get(trustDomain)
    const roles = new Set<string>()
    if (root === undefined) return roles
    let level: readonly Node[] = [root]
    for (const segment of segments) {
      const next: Node[] = []
      for (const { literals, star, below } of level) {
        for (const role of below) roles.add(role)
        const literal = literals.get(segment)
        if (literal !== undefined) next.push(literal)
        if (star !== null) next.push(star)
      }
      if (next.length === 0) return roles
      level = next
    }
    for (const { here } of level) for (const role of here) roles.add(role)
    return roles
  }
}

/** Roles that the bindings give to the workload. */
export function boundRoles(bindings: readonly BoundPattern[], id: SpiffeId): readonly string[] {
  return [...new BindingIndex(bindings).rolesOf(id)]
}
