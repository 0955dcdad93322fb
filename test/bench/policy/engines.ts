/** The engines side by side: each reads the same policies and answers the same calls, of which it makes its own requests. */

import { createRequire } from 'node:module'
import { newEnforcer, newModelFromString } from 'casbin'
import { parsePermission } from '@doorward/core'
import { judgeOf } from '../../../packages/server/src/policy/cedar-engine.ts'
import type { PreparedPolicy } from '../../../packages/server/src/policy/prepare-policy-worker.ts'
import { momentOf, requestOf } from './population.ts'
import type { BenchCall, Population } from './population.ts'

export type EngineName = 'doorward' | 'cedar-wasm' | 'casbin'

export interface Engine {
  readonly name: EngineName
  /** How often it is asked in one round. */
  readonly most: number
  /** How often it is asked before anything is measured, for its compilers to settle. */
  readonly warmup: number
  /** What it is asked is made beforehand; the decision is all that is measured. True allows. */
  ask(call: BenchCall, pass: number): () => boolean
}

/** Whole requests, as the gateway hands them over, to whole verdicts. */
export function openDoorward({ compiled }: Population, policies: readonly PreparedPolicy[]): Engine {
  const judge = judgeOf(compiled, policies, 1)
  return {
    name: 'doorward',
    most: 500,
    warmup: 20_000,
    ask(call, pass) {
      const request = requestOf(call, pass)
      return () => judge.decide(request).effect === 'allow'
    },
  }
}

interface Official {
  readonly preparsePolicySet: (id: string, policies: object) => { readonly type: string }
  readonly statefulIsAuthorized: (call: object) => {
    readonly response?: {
      readonly decision: string
      readonly diagnostics: { readonly errors: readonly unknown[] }
    }
  }
}

/** The policies parsed once, and none but the entities of the call. */
export function openOfficial(id: string, policies: readonly PreparedPolicy[]): Engine {
  const official = createRequire(import.meta.url)('@cedar-policy/cedar-wasm/nodejs') as Official
  const staticPolicies = Object.fromEntries(policies.map((one) => [one.id, one.text]))
  const parsed = official.preparsePolicySet(id, { staticPolicies })
  if (parsed.type !== 'success') throw new Error('the official build does not read the policies')
  return {
    name: 'cedar-wasm',
    most: asked(policies.length),
    warmup: asked(policies.length) * 2,
    ask(call, pass) {
      const request = { ...officialRequest(call, pass), preparsedPolicySetId: id }
      return () => {
        const { response } = official.statefulIsAuthorized(request)
        return response?.decision === 'allow' && response.diagnostics.errors.length === 0
      }
    },
  }
}

function officialRequest({ workload, server, tool, group, args, address }: BenchCall, pass: number) {
  const principal = { type: 'Workload', id: workload }
  const action = { type: 'Action', id: 'tools/call' }
  const resource = { type: 'Tool', id: `${server}/${tool}` }
  const [, home = ''] = /^spiffe:\/\/[^/]+\/([^/]+)\//.exec(workload) ?? []
  const roles = home === server ? [{ type: 'Role', id: `role-${server}` }] : []
  const entity = { __entity: principal }
  return {
    principal,
    action,
    resource,
    context: {
      effect: group,
      strength: 'mtls-bound-token',
      address: { __extn: { fn: 'ip', arg: address } },
      time: {
        now: { __extn: { fn: 'datetime', arg: new Date(momentOf(pass) * 1000).toISOString() } },
        weekday: 2,
        hour: 10,
        minute: new Date(momentOf(pass) * 1000).getUTCMinutes(),
      },
      delegation: { presenter: entity, actors: [entity], depth: 0 },
      args,
    },
    entities: [
      {
        uid: principal,
        attrs: { id: workload, trustDomain: 'bench.example', path: workload.slice(23) },
        parents: roles,
      },
      { uid: resource, attrs: { name: tool }, parents: [{ type: 'Server', id: server }] },
      { uid: action, attrs: {}, parents: ['read', 'write', 'admin'].map((id) => ({ type: 'Action', id })) },
    ],
  }
}

/** Those that look at every policy take longer with each, and are asked less often. */
function asked(policies: number): number {
  return Math.min(100, Math.max(4, Math.round(10_000 / policies)))
}

const model = `
[request_definition]
r = sub, server, action, effect, name
[policy_definition]
p = role, server, verb, name
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.server == p.server && (p.verb == r.action || p.verb == r.effect || p.verb == '*') && keyMatch(r.name, p.name) && g(r.sub, p.role)
`

/** Roles and permissions alone, the cheapest part of the condition first. */
export async function openCasbin({ roles, calls }: Population): Promise<Engine> {
  const enforcer = await newEnforcer(newModelFromString(model))
  for (const { role, permissions } of roles) {
    const rules = permissions.map((text) => {
      const { verb, scope } = parsePermission(text)
      const word = verb.kind === 'any' ? '*' : verb.kind === 'group' ? verb.group : verb.action
      return [role, scope?.server ?? '*', word, scope?.name.text ?? '*']
    })
    await enforcer.addPolicies([...rules, [role, rules[0]?.[1] ?? '*', 'session', '*']])
  }
  const count = roles.reduce((sum, { permissions }) => sum + permissions.length + 1, 0)
  const bound = calls.filter(({ workload, server }) => workload.includes(`/${server}/`))
  await enforcer.addNamedGroupingPolicies(
    'g',
    bound.map(({ workload, server }) => [workload, `role-${server}`]),
  )
  return {
    name: 'casbin',
    most: asked(count),
    warmup: asked(count) * 2,
    ask({ workload, server, tool, group }) {
      return () => enforcer.enforceSync(workload, server, 'tools/call', group, tool)
    },
  }
}
