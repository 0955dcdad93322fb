/** The official build as an oracle: it parses what was generated, and decides it. */

import { createRequire } from 'node:module'
import { readPolicy } from '../../packages/core/src/policy/cedar/expression.ts'
import type { Expression, Policy } from '../../packages/core/src/policy/cedar/expression.ts'
import type { EntityUid } from '../../packages/core/src/policy/cedar/value.ts'
import type { GeneratedRequest, Members, StoredEntity } from './cedar-cases.ts'
import { policyText } from './cedar-text.ts'

interface Response {
  readonly decision: string
  readonly diagnostics: {
    readonly reason: readonly string[]
    readonly errors: readonly { readonly policyId: string; readonly error: { readonly message: string } }[]
  }
}

type Answer<T> = ({ readonly type: 'success' } & T) | { readonly type: 'failure'; readonly errors: readonly unknown[] }

interface Build {
  readonly policyToJson: (text: string) => Answer<{ readonly json: unknown }>
  readonly preparsePolicySet: (id: string, set: object) => Answer<object>
  readonly statefulIsAuthorized: (call: object) => Answer<{ readonly response: Response }>
}

const build = createRequire(import.meta.url)('@cedar-policy/cedar-wasm/nodejs') as Build

const rawJSON = Reflect.get(JSON, 'rawJSON') as (text: string) => unknown

/** Policies as the build reads them, ready to be asked for; those of before are forgotten. */
export function prepare(policies: readonly Policy[]): readonly Policy[] {
  const texts = policies.map((policy) => [policy.id, policyText(policy)] as const)
  const set = { staticPolicies: Object.fromEntries(texts), templates: {}, templateLinks: [] }
  succeeded(build.preparsePolicySet('generated', set), texts)
  return texts.map(([id, text]) =>
    readPolicy(
      id,
      withExactLongs(() => succeeded(build.policyToJson(text), text).json),
    ),
  )
}

/** The build hands JSON over as text and reads it with `JSON.parse`, which rounds longs beyond 53 bits. */
function withExactLongs<T>(work: () => T): T {
  const parse = JSON.parse
  const exact = (_name: string, value: unknown, { source }: { readonly source: string }): unknown =>
    typeof value === 'number' && !Number.isSafeInteger(value) ? BigInt(source) : value
  JSON.parse = (text: string) => (parse as (text: string, reviver: typeof exact) => unknown)(text, exact)
  try {
    return work()
  } finally {
    JSON.parse = parse
  }
}

export function officialAnswer(request: object): Response {
  return succeeded(build.statefulIsAuthorized(request), request).response
}

/** What the build takes for a request under the prepared policies. */
export function officialRequest({ principal, action, resource, context }: GeneratedRequest, entities: object): object {
  return {
    principal: uidJson(principal),
    action: uidJson(action),
    resource: uidJson(resource),
    context: membersJson(context),
    preparsedPolicySetId: 'generated',
    entities,
  }
}

export function entitiesJson(entities: readonly StoredEntity[]): readonly object[] {
  return entities.map(({ uid, attributes, tags, parents }) => ({
    uid: uidJson(uid),
    attrs: membersJson(attributes),
    tags: membersJson(tags),
    parents: parents.map(uidJson),
  }))
}

function uidJson({ type, id }: EntityUid): object {
  return { type, id }
}

function membersJson(members: Members): object {
  return Object.fromEntries(Array.from(members, ([name, one]) => [name, valueJson(one)]))
}

/** Longs beyond 53 bits are written as they are. */
function valueJson(expression: Expression): unknown {
  switch (expression.kind) {
    case 'literal': {
      const { value } = expression
      if (typeof value === 'bigint') return rawJSON(String(value))
      return typeof value === 'object' ? { __entity: uidJson(value) } : value
    }
    case 'set':
      return expression.members.map(valueJson)
    case 'record':
      return membersJson(expression.members)
    case 'call': {
      const [arg] = expression.operands.map(valueJson)
      return { __extn: { fn: expression.name, arg } }
    }
    case 'variable':
    case 'unary':
    case 'binary':
    case 'and':
    case 'or':
    case 'if':
    case 'get':
    case 'has':
    case 'like':
    case 'is':
      throw new TypeError('expected a value')
  }
}

function succeeded<T>(answer: Answer<T>, asked: unknown): T {
  if (answer.type === 'success') return answer
  throw new Error(`the official build does not take ${JSON.stringify(asked)}: ${JSON.stringify(answer.errors)}`)
}

/** One policy of text. */
export function parsed(text: string, id = 'p'): Policy {
  return readPolicy(
    id,
    withExactLongs(() => succeeded(build.policyToJson(text), text).json),
  )
}
