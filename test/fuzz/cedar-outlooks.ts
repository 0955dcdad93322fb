/** Three-valued evaluation against what then happens: nothing comes out that was excluded. */

import { compileExpression } from '../../packages/core/src/policy/cedar/compile-expression.ts'
import type { Expression, Policy } from '../../packages/core/src/policy/cedar/expression.ts'
import { EvaluationError } from '../../packages/core/src/policy/cedar/evaluation-error.ts'
import { PolicySet } from '../../packages/core/src/policy/cedar/policy-set.ts'
import {
  mayBeFalse,
  mayBeTrue,
  mayFail,
  outcomesOf,
  outcomesOfPolicy,
  someEntity,
  unknown,
} from '../../packages/core/src/policy/cedar/possible.ts'
import type { Open, PartialWorld } from '../../packages/core/src/policy/cedar/possible.ts'
import { Unfit } from '../../packages/core/src/policy/cedar/unfit.ts'
import type { Value } from '../../packages/core/src/policy/cedar/value.ts'
import type { World } from '../../packages/core/src/policy/cedar/world.ts'
import { Policies, entitiesBy, membersBy, namesIn, requestBy } from './cedar-cases.ts'
import { Expressions } from './cedar-expressions.ts'
import { knownOf, recordOf, worldOf } from './cedar-evaluation.ts'
import { count } from './cedar-operators.ts'
import type { Counts } from './cedar-operators.ts'
import { expressionText, policyText } from './cedar-text.ts'
import { seeded } from './chance.ts'
import type { Chance } from './chance.ts'

const ARGUMENTS_PER_REQUEST = 8

const tastes = { wrongTypes: 0.01, args: 0.4 }

/** Arguments as they come from calls: some members of them, and of the context, are nothing that Cedar has a type for. */
function withUnfit(chance: Chance, record: ReadonlyMap<string, Value>): ReadonlyMap<string, Value> {
  const made = new Map(record)
  for (const name of record.keys()) if (chance.next() < 0.05) made.set(name, new Unfit('null'))
  return made
}

export interface Outlooks {
  readonly found: readonly string[]
  readonly counts: Counts
}

/** Policy sets of which the arguments are not known: `deny` and `allow` hold for all of them, any failure denies. */
export function wrongOutlooks(seed: number, sets: number): Outlooks {
  const chance = seeded(seed)
  const source = new Policies(chance, tastes)
  const [found, counts]: [string[], Counts] = [[], new Map()]
  for (let i = 0; i < sets && found.length < 5; i++) {
    const policies = source.set()
    const set = new PolicySet(policies)
    const names = namesIn(policies)
    const known = knownOf(entitiesBy(chance, names))
    for (let asked = 0; asked < 4; asked++) {
      const made = worldOf(requestBy(chance, names), known)
      const world = { ...made, context: withUnfit(chance, made.context) }
      const open = { ...world, context: new Map<string, Value | Open>([...world.context, ['args', unknown]]) }
      const outlook = set.outlook({ ...world, context: withArguments(world, new Map()) }, open)
      count(counts, `outlook ${outlook}`)
      const outcomes = new Map(policies.map((policy) => [policy, outcomesOfPolicy(policy, open)]))
      for (let n = 0; n < ARGUMENTS_PER_REQUEST; n++) {
        const args = withUnfit(chance, recordOf(membersBy(chance, { probability: 0.8, names, depth: 2 })))
        const now = { ...world, context: withArguments(world, args) }
        const { decision, errors } = set.authorize(now)
        const verdict = errors.length > 0 ? 'deny' : decision
        count(counts, `${outlook} and then ${verdict}`)
        if (outlook !== 'depends' && outlook !== verdict)
          found.push(`outlook ${outlook}, but ${verdict}:\n${policies.map(policyText).join('\n')}`)
        for (const [policy, all] of outcomes)
          if ((all & outcomeOfPolicy(policy, now)) === 0) found.push(`not among ${all}: ${policyText(policy)}`)
      }
    }
  }
  return { found, counts }
}

function withArguments({ context }: World, args: ReadonlyMap<string, Value>): ReadonlyMap<string, Value> {
  return new Map<string, Value>([...context, ['args', args]])
}

/** As a policy set sees it: a policy that does not fit does not fail. */
function outcomeOfPolicy(policy: Policy, world: World): number {
  const permit = { ...policy, effect: 'permit' as const }
  const { decision, errors } = new PolicySet([permit]).authorize(world)
  if (errors.length > 0) return mayFail
  return decision === 'allow' ? mayBeTrue : mayBeFalse
}

/** Single expressions while principal, resource, parts of the context or all of them are not known. */
export function wrongOutcomes(seed: number, many: number): Outlooks {
  const chance = seeded(seed)
  const source = new Expressions(chance, tastes)
  const [found, counts]: [string[], Counts] = [[], new Map()]
  for (let i = 0; i < many && found.length < 5; i++) {
    const body = source.of('bool', 1 + chance.below(4))
    const policy = conditionOf(body)
    const names = namesIn([policy])
    const entities = entitiesBy(chance, names)
    const known = knownOf(entities)
    for (let asked = 0; asked < 4; asked++) {
      const made = worldOf(requestBy(chance, names), known)
      const world = { ...made, context: withUnfit(chance, made.context) }
      const all = outcomesOf(body, hidden(chance, world))
      const now = outcomeOf(body, world)
      count(counts, `${all} and then ${now}`)
      if ((all & now) === 0) found.push(`${now} is not among ${all}: ${expressionText(body)}`)
    }
  }
  return { found, counts }
}

function conditionOf(body: Expression): Policy {
  const any = { kind: 'any' } as const
  const scope = { principal: any, action: any, resource: any }
  return { id: 'p', effect: 'permit', ...scope, conditions: [{ kind: 'when', body }], annotations: new Map() }
}

/** The same world, of which parts are not known. */
function hidden(chance: Chance, world: World): PartialWorld {
  const hide = (slot: 'principal' | 'resource') => {
    const { type } = world[slot]
    const ancestors = world.entity(world[slot])?.ancestors ?? new Set<string>()
    return chance.of([world[slot], unknown, someEntity(type), someEntity(type, ancestors)])
  }
  const context = new Map<string, Value | Open>(world.context)
  for (const [name, value] of world.context)
    if (!(value instanceof Unfit) && chance.next() < 0.3) context.set(name, unknown)
  return { ...world, principal: hide('principal'), resource: hide('resource'), context }
}

function outcomeOf(body: Expression, world: World): number {
  try {
    const value = compileExpression(body)(world)
    if (typeof value !== 'boolean') return mayFail
    return value ? mayBeTrue : mayBeFalse
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error
    return mayFail
  }
}
