/**
 * Sessions for own policies: whoever may do something on a server may open a session there, discover and list, as with
 * roles. Each permit of a file gets a companion that says so, for the same principals, under the same conditions as far as
 * these are not about what is called.
 */

import { isJsonObject, mayApplyToServer } from '@doorward/core'
import type { CompiledPolicy, JsonObject, JsonValue, Policy } from '@doorward/core'

const OWN = new Set(['authority', 'gateway'])

/** In Cedar's JSON format; null for a policy that needs none. */
export function sessionCompanion(policy: Policy, json: JsonObject, { servers }: CompiledPolicy): JsonObject | null {
  if (policy.effect === 'forbid') return null
  const reached = [...servers].filter((server) => !OWN.has(server) && mayApplyToServer(policy, server))
  if (reached.length === 0) return null
  const conditions = json['conditions']
  const kept = Array.isArray(conditions) ? conditions.flatMap((one: JsonValue) => aboutCaller(one)) : []
  return {
    effect: 'permit',
    principal: json['principal'] ?? null,
    action: { op: 'in', entity: { type: 'Action', id: 'session' } },
    resource: { op: 'All' },
    conditions: [{ kind: 'when', body: { '&&': { left: isSession, right: within(reached) } } }, ...kept],
  }
}

const isSession: JsonObject = {
  '==': { left: { '.': { left: { Var: 'context' }, attr: 'effect' } }, right: { Value: 'session' } },
}

function within(servers: readonly string[]): JsonObject {
  const uids = servers.map((id) => ({ Value: { __entity: { type: 'Server', id } } }))
  return { in: { left: { Var: 'resource' }, right: { Set: uids } } }
}

/** The parts of a condition that are about the caller, the time and the place. */
function aboutCaller(condition: JsonValue): readonly JsonObject[] {
  if (!isJsonObject(condition)) return []
  const { kind = null, body = null } = condition
  // A part of what an `unless` says would exclude more than the whole.
  const parts = kind === 'when' ? conjuncts(body) : [body]
  return parts.filter((part) => !isAboutCall(part)).map((part) => ({ kind, body: part }))
}

function conjuncts(body: JsonValue): readonly JsonValue[] {
  const both = isJsonObject(body) ? body['&&'] : undefined
  if (!isJsonObject(both)) return [body]
  return [...conjuncts(both['left'] ?? null), ...conjuncts(both['right'] ?? null)]
}

const ofCall = new Set<JsonValue | undefined>(['effect', 'args'])

/** It looks at the action, the resource, the effect, the arguments, or the context as a whole. */
function isAboutCall(expression: JsonValue): boolean {
  if (Array.isArray(expression)) return expression.some((part: JsonValue) => isAboutCall(part))
  if (!isJsonObject(expression)) return false
  const { Var: variable } = expression
  if (variable !== undefined) return variable !== 'principal'
  const access = expression['.'] ?? expression['has']
  if (isJsonObject(access) && isContext(access['left'])) {
    const { attr } = access
    return Array.isArray(attr) ? ofCall.has(attr[0] as JsonValue) : ofCall.has(attr)
  }
  return Object.values(expression).some(isAboutCall)
}

function isContext(expression: JsonValue | undefined): boolean {
  return isJsonObject(expression) && expression['Var'] === 'context'
}
