/**
 * The policies of roles as they are decided, without the way over text: for programs that have no reader of Cedar. What is
 * made here is what the official build reads from the text that `compilePolicy` writes, which a test compares.
 */

import { ownServers } from './builtin.ts'
import type { Expression, PatternPart, Policy } from './cedar/expression.ts'
import { EntityUid } from './cedar/value.ts'
import { reachesOwnApi } from './compile.ts'
import type { NamePattern } from './name-pattern.ts'
import type { Permission, PermissionVerb } from './permission.ts'
import { judgeSource } from './source.ts'
import type { PolicySource, Role } from './source.ts'

const everyGroup = ['admin', 'read', 'session', 'write'] as const

/** In the order of `compilePolicy`, without the built-in ones and those of files. The source must be one that compiles. */
export function rolePolicies(source: PolicySource): readonly Policy[] {
  return judgeSource(source).roles.flatMap((role) => [
    ...role.permissions.map((permission, i) => ofPermission(role.name, permission, i)),
    ...ofSession(role),
  ])
}

function ofPermission(role: string, { scope, verb }: Permission, index: number): Policy {
  const { action, when } = verbParts(verb)
  const name = scope === null ? null : nameCondition(scope.name)
  const own = scope === null && !reachesOwnApi(verb)
  return policyOf(`role:${role}/${index}`, {
    role,
    action,
    resource: scope === null ? { kind: 'any' } : { kind: 'in', uids: [new EntityUid('Server', scope.server)] },
    when: name === null ? when : [...when, name],
    unless: own ? resourceIn(ownServers) : null,
  })
}

function ofSession({ name, permissions }: Role): readonly Policy[] {
  const servers = new Set(permissions.flatMap(({ scope }) => (scope === null ? [] : [scope.server])))
  const everywhere = permissions.some(({ scope }) => scope === null)
  if (!everywhere && servers.size === 0) return []
  const session = effectIs('session')
  return [
    policyOf(`role:${name}/session`, {
      role: name,
      action: { kind: 'in', uids: [new EntityUid('Action', 'session')] },
      resource: { kind: 'any' },
      when: everywhere ? [session] : [session, resourceIn([...servers])],
      unless: everywhere ? resourceIn(ownServers) : null,
    }),
  ]
}

interface Parts extends Pick<Policy, 'action' | 'resource'> {
  readonly role: string
  readonly when: readonly Expression[]
  readonly unless: Expression | null
}

function policyOf(id: string, { role, action, resource, when, unless }: Parts): Policy {
  const [first, ...more] = when
  const all =
    first === undefined ? null : more.reduce<Expression>((left, right) => ({ kind: 'and', left, right }), first)
  return {
    id,
    effect: 'permit',
    principal: { kind: 'in', uids: [new EntityUid('Role', role)] },
    action,
    resource,
    conditions: [
      ...(all === null ? [] : [{ kind: 'when', body: all } as const]),
      ...(unless === null ? [] : [{ kind: 'unless', body: unless } as const]),
    ],
    annotations: new Map([['id', id]]),
  }
}

function verbParts(verb: PermissionVerb): Pick<Parts, 'action' | 'when'> {
  const group = (name: string) => new EntityUid('Action', name)
  switch (verb.kind) {
    case 'any':
      return { action: { kind: 'in', uids: everyGroup.map(group) }, when: [] }
    case 'group':
      return { action: { kind: 'in', uids: [group(verb.group)] }, when: [effectIs(verb.group)] }
    case 'action':
      return { action: { kind: 'equal', uid: group(verb.action) }, when: [] }
  }
}

function attribute(variable: 'context' | 'resource', name: string): Expression {
  return { kind: 'get', of: { kind: 'variable', name: variable }, name }
}

function effectIs(group: string): Expression {
  const right: Expression = { kind: 'literal', value: group }
  return { kind: 'binary', operator: '==', left: attribute('context', 'effect'), right }
}

function resourceIn(servers: readonly string[]): Expression {
  const members = servers.map((name): Expression => ({ kind: 'literal', value: new EntityUid('Server', name) }))
  return {
    kind: 'binary',
    operator: 'in',
    left: { kind: 'variable', name: 'resource' },
    right: { kind: 'set', members },
  }
}

function nameCondition({ text, parts }: NamePattern): Expression | null {
  if (text === '*') return null
  const name = attribute('resource', 'name')
  if (parts.length === 1) return { kind: 'binary', operator: '==', left: name, right: { kind: 'literal', value: text } }
  const pattern = parts.flatMap((part, i): readonly PatternPart[] => [
    ...(i === 0 ? [] : [null]),
    ...(part === '' ? [] : [part]),
  ])
  return { kind: 'like', of: name, pattern }
}
