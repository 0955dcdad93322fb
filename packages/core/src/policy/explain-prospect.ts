/** What somebody may do with something of which not everything is known: the name, the arguments, the time or the address. */

import { serversOf } from './analysis-reach.ts'
import { entityTypes } from './schema.ts'
import type { CallWorld } from './call-world.ts'
import type { Policy } from './cedar/expression.ts'
import { mayBeFalse, mayBeTrue, mayFail, outcomesOfPolicy, someEntity, unknown } from './cedar/possible.ts'
import type { PartialWorld } from './cedar/possible.ts'
import { looksAt, partsOf, readsOf } from './cedar/reads.ts'
import type { Expression } from './cedar/expression.ts'
import { EntityUid } from './cedar/value.ts'
import type { DecisionRequest, ListVerdict } from './decision.ts'
import type { PolicyExplainer } from './explain.ts'
import { unknownPart } from './policy-judge.ts'

/** Of the context; arguments are always taken as not known. */
export interface Unknowns {
  /** One or other item of the kind: the name of the request is not looked at. */
  readonly name: boolean
  readonly time: boolean
  readonly address: boolean
  /** Whoever presents the call: what whom it is for may do with it, and nothing about the other parties. */
  readonly presenter: boolean
}

export interface Prospect {
  /** `allow` and `deny` hold whatever is not known; where it `depends`, one of the two may yet never come out. */
  readonly verdict: ListVerdict
  /** Permits that hold, or may. */
  readonly permits: readonly string[]
  /** Forbids that hold, or may. */
  readonly forbids: readonly string[]
  /** Policies that fail, or may. */
  readonly failing: readonly string[]
  /** On what it depends: `args.<name>`, `args`, `name`, `time`, `address`, `delegation`. Empty unless it depends. */
  readonly dependsOn: readonly string[]
}

const denied: Prospect = { verdict: 'deny', permits: [], forbids: [], failing: [], dependsOn: [] }

/** Never throws for anything in the request. */
export function prospectOf(
  explainer: PolicyExplainer,
  servers: ReadonlySet<string>,
  request: DecisionRequest,
  unknowns: Unknowns,
): Prospect {
  if (unknownPart(request, servers) !== null) return denied
  const call = explainer.callOf(request)
  if (call === null) return denied
  const parties = unknowns.presenter ? call.parties.slice(-1) : call.parties
  const each = parties.map((party) =>
    prospectOfWorld(
      explainer.policies,
      partly(call.world(party), request, unknowns),
      unknowns.name ? request.resource.server : null,
    ),
  )
  const verdicts = each.map(({ verdict }) => verdict)
  const verdict = verdicts.includes('deny') ? 'deny' : verdicts.includes('depends') ? 'depends' : 'allow'
  const all = (list: 'permits' | 'forbids' | 'failing' | 'dependsOn') => [...new Set(each.flatMap((one) => one[list]))]
  return {
    verdict,
    permits: all('permits'),
    forbids: all('forbids'),
    failing: all('failing'),
    dependsOn: verdict === 'depends' ? all('dependsOn') : [],
  }
}

function partly(world: CallWorld, { resource }: DecisionRequest, unknowns: Unknowns): PartialWorld {
  const context = new Map<string, ReturnType<PartialWorld['context']['get']> & {}>(world.context)
  if (context.has('args')) context.set('args', unknown)
  for (const name of ['time', 'address'] as const) if (unknowns[name] && context.has(name)) context.set(name, unknown)
  if (unknowns.presenter && context.has('delegation')) context.set('delegation', unknown)
  if (!unknowns.name || resource.kind === 'server') return { ...world, context }
  const server = new EntityUid('Server', resource.server)
  return { ...world, context, resource: someEntity(entityTypes[resource.kind], new Set([server.key])) }
}

/** As `PolicySet.outlook` does, over every policy and with more that may not be known; `server`: of an item that is not. */
function prospectOfWorld(policies: readonly Policy[], world: PartialWorld, server: string | null): Prospect {
  const permits: string[] = []
  const forbids: string[] = []
  const failing: string[] = []
  const open: Policy[] = []
  let [mustPermit, mustDeny] = [false, false]
  for (const policy of policies) {
    if (server !== null && serversOf(policy)?.has(server) === false) continue
    const outcomes = outcomesOfPolicy(policy, world)
    if (outcomes === mayBeFalse) continue
    const certain = outcomes === mayBeTrue || outcomes === mayFail
    if (!certain) open.push(policy)
    if ((outcomes & mayFail) !== 0) failing.push(policy.id)
    if ((outcomes & mayBeTrue) !== 0) (policy.effect === 'permit' ? permits : forbids).push(policy.id)
    if (outcomes === mayFail) mustDeny = true
    if (policy.effect === 'permit') mustPermit ||= outcomes === mayBeTrue
    else mustDeny ||= (outcomes & mayBeFalse) === 0
  }
  const mayDeny = forbids.length > 0 || failing.length > 0
  const verdict = mustDeny || permits.length === 0 ? 'deny' : mustPermit && !mayDeny ? 'allow' : 'depends'
  return { verdict, permits, forbids, failing, dependsOn: verdict === 'depends' ? dependencies(open, world) : [] }
}

function dependencies(open: readonly Policy[], world: PartialWorld): readonly string[] {
  const names = new Set<string>()
  const some = world.resource instanceof EntityUid ? null : world.resource.some
  for (const policy of open) {
    for (const name of ['time', 'address', 'delegation']) {
      if (world.context.get(name) === unknown && looksAt(policy, name)) names.add(name)
    }
    if (world.context.has('args') && looksAt(policy, 'args')) {
      const { args } = readsOf([policy])
      if (args === null) names.add('args')
      else for (const name of args) names.add(`args.${name}`)
    }
    if (some !== null && (looksAtName(policy) || policy.resource.kind === 'equal')) names.add('name')
  }
  return [...names]
}

function looksAtName({ conditions }: Policy): boolean {
  const looks = (expression: Expression): boolean =>
    (expression.kind === 'variable' && expression.name === 'resource') || partsOf(expression).some(looks)
  return conditions.some(({ body }) => looks(body))
}
