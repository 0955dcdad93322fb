/** Decides calls under one policy that does not change. */

import { actionTable, isKnownUse } from './action.ts'
import { ApprovalDuties } from './approval-duties.ts'
import { ownRoute, ownServers } from './builtin.ts'
import { CallContexts } from './call-context.ts'
import { Call, actionUids } from './call-world.ts'
import type { CallWorld } from './call-world.ts'
import type { Policy } from './cedar/expression.ts'
import { PolicySet } from './cedar/policy-set.ts'
import type { Outlook } from './cedar/policy-set.ts'
import type { CompiledPolicy } from './compile.ts'
import type { DecisionRequest, ListVerdict, PolicyVersion, SomeRequest, Verdict } from './decision.ts'
import { RolesOf } from './roles-of.ts'
import { allowed, deniedError, deniedUnknown, denialOf } from './verdict.ts'

const MAX_PARTIES = 6
const MAX_NAME = 8192

/** Why no policy can be asked: something in the request is unknown. Null when policy decides. For the operator. */
export function unknownPart(
  { action, resource, principal }: DecisionRequest,
  servers: ReadonlySet<string>,
): string | null {
  if (!actionTable.has(action.name)) return `unknown action ${JSON.stringify(action.name.slice(0, 60))}`
  if (!isKnownUse(action, resource.kind))
    return `${action.name} does not count as ${action.group} on a ${resource.kind}`
  if (!servers.has(resource.server)) return `unknown server ${JSON.stringify(resource.server.slice(0, 60))}`
  if (resource.name.length > MAX_NAME)
    return `a name of ${resource.name.length} characters, at most ${MAX_NAME} are decided`
  if (!resource.name.isWellFormed()) return 'a name that is not well-formed Unicode'
  if (principal.act.length + 2 > MAX_PARTIES) return `a delegation chain of ${principal.act.length} actors`
  const own = ownServers.includes(resource.server)
  if (!own && resource.kind === 'route' && action.group === 'admin')
    return 'a route counts as admin on our own API only'
  const route = own ? ownRoute(resource.server, action.name, resource.name) : null
  if (own && route?.action.group !== action.group)
    return `unknown route ${action.name} ${resource.server}${resource.name.slice(0, 60)}`
  return null
}

/** `decide`, `list` and `some` never throw for anything in the request. */
export class PolicyJudge {
  readonly version: PolicyVersion
  readonly #servers: ReadonlySet<string>
  readonly #set: PolicySet
  readonly #rolesOf: RolesOf
  readonly #contexts: CallContexts
  readonly #approvals: ApprovalDuties

  /** `policies`: those of `policy` and of its files, read; every id once. */
  constructor(policy: CompiledPolicy, policies: readonly Policy[], version: PolicyVersion) {
    this.version = version
    this.#servers = policy.servers
    this.#set = new PolicySet(policies, actionUids)
    this.#rolesOf = new RolesOf(policy.bindings, policy.subjects)
    this.#contexts = new CallContexts(policy, policies)
    this.#approvals = new ApprovalDuties(policies, policy.approvals)
  }

  /** Whether the same request may be decided differently at another time. */
  get looksAtTime(): boolean {
    return this.#contexts.looksAtTime
  }

  /** Arguments that are not given are none. */
  decide(request: DecisionRequest): Verdict {
    const judged = { request, version: this.version }
    const problem = unknownPart(request, this.#servers)
    if (problem !== null) return deniedUnknown(judged, problem)
    const call = Call.of(request, this.#rolesOf, this.#contexts)
    if (call === null) return deniedError(judged, 'nothing to ask')
    const policies: string[] = []
    for (const party of call.parties) {
      const answer = this.#set.authorize(call.world(party))
      const denial = denialOf(judged, party, answer)
      if (denial !== null) return denial
      policies.push(...answer.reasons)
    }
    const reasons = call.parties.length === 1 ? policies : [...new Set(policies)]
    return allowed(judged, reasons, this.#approvals.of(request, reasons))
  }

  /** What `decide` says for some arguments or other; those of the request are not looked at. */
  list(request: DecisionRequest): ListVerdict {
    return this.#ofParties(request, (call, world) => this.#set.outlook(world, call.withoutArguments(world)))
  }

  /**
   * What `decide` says for some name or other, with some arguments or other: `deny` is certain for all of them. Each party is
   * judged apart, so that `depends` need not come out for any.
   */
  some({ principal, action, server, kind, context }: SomeRequest): ListVerdict {
    if (ownServers.includes(server)) return 'deny'
    const request = { principal, action, resource: { server, kind, name: '' }, context }
    return this.#ofParties(request, (call, world) => this.#set.outlookOfSome(world, call.ofSome(world, kind)))
  }

  #ofParties(request: DecisionRequest, outlookOf: (call: Call, world: CallWorld) => Outlook): ListVerdict {
    if (unknownPart(request, this.#servers) !== null) return 'deny'
    const call = Call.of(request, this.#rolesOf, this.#contexts)
    if (call === null) return 'deny'
    let verdict: ListVerdict = 'allow'
    for (const party of call.parties) {
      const outlook = outlookOf(call, call.world(party))
      if (outlook === 'deny') return 'deny'
      if (outlook === 'depends') verdict = 'depends'
    }
    return verdict
  }
}
