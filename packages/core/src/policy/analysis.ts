/**
 * What can be said about policies without a call: rules that never apply, that change nothing because another does the
 * same, and that grant more than whoever wrote them may see. Expects policies that the schema allows.
 */

import { comparable, covers } from './analysis-cover.ts'
import type { Comparable } from './analysis-cover.ts'
import type { Finding } from './analysis-finding.ts'
import { grantsOf } from './analysis-grants.ts'
import { unknownNames } from './analysis-names.ts'
import type { KnownNames } from './analysis-names.ts'
import { Reach, serversOf } from './analysis-reach.ts'
import { nearestName } from './analysis-suggestion.ts'
import { isWritten } from './analysis-written.ts'
import { partsOf } from './cedar/reads.ts'
import type { Constraint, Policy } from './cedar/expression.ts'
import { approverOf } from './approval-duties.ts'

export interface Analysis {
  readonly findings: readonly Finding[]
  /** False where so many rules resemble each other that not all were compared. */
  readonly complete: boolean
}

/** Comparisons of two policies; each takes about a microsecond. */
const MAX_COMPARED = 4_000_000

/**
 * In the order of the policies. Those that every deployment has, sessions of roles and `generated` ones (ids), which were
 * made to go with others, are not judged.
 */
export function analyse(
  policies: readonly Policy[],
  known: KnownNames,
  generated: ReadonlySet<string> = new Set(),
): Analysis {
  const findings: Finding[] = []
  const reach = new Reach(known)
  const { superfluous, complete } = superfluousRules(policies, generated)
  for (const policy of policies) {
    if (!isWritten(policy) || generated.has(policy.id)) continue
    const names = unknownNames(policy, known)
    for (const name of names) findings.push({ ...name, policyId: policy.id, related: [], total: 0 })
    if (names.length === 0 && !reach.mayEverApply(policy)) findings.push(neverApplies(policy, known))
    const found = superfluous.get(policy)
    if (found !== undefined) findings.push(found)
    findings.push(...grantsOf(policy, reach))
  }
  return { findings, complete }
}

function neverApplies(policy: Policy, known: KnownNames): Finding {
  const message = 'the rule applies to nothing that there is: no configured server, and no tool that is known, fits it'
  const meant = [...namesOf(policy)].flatMap((name) => nearestTool(name, policy, known))
  const otherwise = 'compare the names in it with servers: and with the lists of tools in servers.<name>.tools'
  const help = meant[0] === undefined ? otherwise : `did you mean ${meant[0]}?`
  const { id } = policy
  return {
    code: 'policy_never_applies',
    level: 'warning',
    policyId: id,
    message,
    help,
    uid: null,
    related: [],
    total: 0,
  }
}

function nearestTool(name: string, policy: Policy, { tools }: KnownNames): readonly string[] {
  const named = serversOf(policy)
  for (const [server, names] of tools) {
    const near = named?.has(server) === false || names.includes(name) ? null : nearestName(name, names)
    if (near !== null) return [near]
  }
  return []
}

/** That a condition compares with `resource.name`. */
function* namesOf({ conditions }: Policy): Iterable<string> {
  const open = conditions.map(({ body }) => body)
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    open.push(...partsOf(next))
    if (next.kind !== 'binary' || next.left.kind !== 'get' || next.left.name !== 'name') continue
    if (next.right.kind === 'literal' && typeof next.right.value === 'string') yield next.right.value
  }
}

/** By the entities that the principals of their scopes name, so that not each has to be compared with each. */
class Wider {
  readonly #named = new Map<string, (readonly [number, Comparable])[]>()
  readonly #open: (readonly [number, Comparable])[] = []

  constructor(all: readonly Comparable[]) {
    for (const [i, one] of all.entries()) {
      const keys = keysOf(one.policy.principal)
      if (keys === null) this.#open.push([i, one])
      else for (const key of keys) this.#under(key).push([i, one])
    }
  }

  #under(key: string): (readonly [number, Comparable])[] {
    const list = this.#named.get(key) ?? []
    this.#named.set(key, list)
    return list
  }

  *than({ policy }: Comparable): Iterable<readonly [number, Comparable]> {
    yield* this.#open
    for (const key of keysOf(policy.principal) ?? []) yield* this.#named.get(key) ?? []
  }
}

function keysOf(constraint: Constraint): ReadonlySet<string> | null {
  switch (constraint.kind) {
    case 'any':
      return null
    case 'equal':
      return new Set([constraint.uid.key])
    case 'in':
      return new Set(constraint.uids.map(({ key }) => key))
    case 'is':
      return constraint.within === null ? null : new Set([constraint.within.key])
  }
}

/** Rules without which nothing would be decided otherwise, all of them taken away together. */
function superfluousRules(
  policies: readonly Policy[],
  generated: ReadonlySet<string>,
): {
  readonly superfluous: ReadonlyMap<Policy, Finding>
  readonly complete: boolean
} {
  const superfluous = new Map<Policy, Finding>()
  const all = policies.map(comparable)
  const wider = new Wider(all)
  let left = MAX_COMPARED
  for (const [i, narrow] of all.entries()) {
    if (!isWritten(narrow.policy) || generated.has(narrow.policy.id)) continue
    for (const [j, wide] of wider.than(narrow)) {
      if (i === j) continue
      if (--left < 0) return { superfluous, complete: false }
      if (narrow.policy.effect === 'forbid' && wide.policy.effect === 'permit') continue
      if (asksForMore(narrow.policy, wide.policy)) continue
      if (!covers(wide, narrow)) continue
      const found = superfluity(wide, narrow, j < i)
      if (found === null) continue
      superfluous.set(narrow.policy, found)
      if (found.code !== 'policy_shadowed') break
    }
  }
  return { superfluous, complete: true }
}

/** A permit that asks for approvers changes what another permits without them. */
function asksForMore(narrow: Policy, wide: Policy): boolean {
  const by = approverOf(narrow)
  return wide.effect === 'permit' && by !== null && by !== approverOf(wide)
}

/** Of two that cover each other the first one stays, so that something does. */
function superfluity(wide: Comparable, narrow: Comparable, earlier: boolean): Finding | null {
  const { id, effect } = narrow.policy
  const other = wide.policy.id
  const finding = { level: 'warning', policyId: id, uid: null, related: [other], total: 1 } as const
  if (wide.policy.effect !== effect) {
    const message = `the rule never permits anything: ${other} forbids all of it`
    return { ...finding, code: 'policy_overridden', message, help: 'take away the one or narrow the other' }
  }
  if (covers(narrow, wide)) {
    if (!earlier) return null
    const message = `the rule says what ${other} says already`
    return { ...finding, code: 'policy_duplicate_rule', message, help: 'take one of the two away' }
  }
  const message = `the rule changes nothing: ${other} ${effect === 'permit' ? 'permits' : 'forbids'} all of it already`
  return { ...finding, code: 'policy_shadowed', message, help: 'take it away, or narrow the other' }
}
