/** The validator says of policies together what it says of each alone, although it sees but one of each shape. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compilePolicy, parseTrustDomain, readPolicy } from '@doorward/core'
import { keepLongs, loadCedar } from '../../../packages/server/src/policy/cedar-module.ts'
import { Places } from '../../../packages/server/src/policy/policy-text.ts'
import { shapeOf } from '../../../packages/server/src/policy/policy-shape.ts'
import { validate } from '../../../packages/server/src/policy/validation.ts'
import type { ReadPolicy } from '../../../packages/server/src/policy/validation.ts'

keepLongs()
const cedar = loadCedar()

const compiled = (() => {
  const schema = (type: string) => ({ type: 'object', properties: { path: { type } }, required: ['path'] })
  const result = compilePolicy({
    trustDomain: parseTrustDomain('acme.example'),
    rbac: [],
    roles: [],
    bindings: [],
    servers: ['files', 'mail', 'open'],
    tools: [
      { server: 'files', name: 'read', inputSchema: schema('string') },
      { server: 'files', name: 'size', inputSchema: schema('integer') },
      { server: 'mail', name: 'read', inputSchema: schema('string') },
    ],
  })
  assert(result.ok)
  return result.policy
})()

function read(id: string, text: string): ReadPolicy {
  const answer = cedar.policyToJson(text)
  assert(answer.type === 'success', text)
  return { id, text, at: null, policy: readPolicy(id, answer.json) }
}

function shape(condition: string, scope = 'principal, action, resource'): string {
  return shapeOf(read('p', `permit (${scope}) when { ${condition} };`).policy)
}

test('names of one role, server and tool or another make no other shape', () => {
  const scope = (name: string) =>
    `principal in Role::"${name}", action in Action::"read", resource in Server::"${name}"`
  assert.equal(
    shape('resource.name == "a" || resource.name like "a*"', scope('x')),
    shape('resource.name == "b" || resource.name like "*c*"', scope('y')),
  )
})

const apart: readonly (readonly [why: string, one: string, other: string])[] = [
  ['texts that are equal to each other', '"a" == "a"', '"a" == "b"'],
  ['entities that are equal to each other', 'Role::"a" == Role::"a"', 'Role::"a" == Role::"b"'],
  ['a text and an entity of that name', '["a", "a"].isEmpty()', '["a", "b"].isEmpty()'],
  ['what a function is given', 'ip("10.0.0.1").isIpv4()', 'ip("300.0.0.1").isIpv4()'],
  ['attributes', 'context.effect == "a"', 'context.effort == "a"'],
  ['attributes asked for', 'context has effect', 'context has effort'],
  ['actions', 'action in Action::"read"', 'action in Action::"raed"'],
  ['types', 'principal is Workload', 'principal is User'],
  ['numbers', '1 == 1', '1 == 2'],
  ['longs beyond 2^53', '9007199254740993 == 1', '9007199254740995 == 1'],
  ['scripts', 'resource.name == "say_h"', 'resource.name == "say_\u04BB"'],
  ['members of records', '{ a: 1 } == { a: 1 }', '{ b: 1 } == { a: 1 }'],
  ['a number and a text', 'resource.name == "0"', 'resource.name == 0'],
]

for (const [why, one, other] of apart)
  test(`another shape: ${why}`, () => {
    assert.notEqual(shape(one), shape(other))
  })

const conditions = [
  ...apart.flatMap(([, one, other]) => [one, other]),
  'true',
  'resource.name == "a" && "a" == "b"',
  'resource.nam == "a"',
  'context.effect == 1',
  'context.args.path like "/srv/*"',
  'context.args.pth like "/srv/*"',
  'context.args.path == 7',
  'context.address.isInRange(ip("10.0.0.0/8"))',
  'context.time.hour < 18 && principal in [Role::"a", Role::"b"]',
  'principal == Workload::"w" && principal == User::"u"',
]

const scopes = [
  'principal, action, resource',
  'principal, action == Action::"tools/call", resource == Tool::"files/NAME"',
  'principal, action == Action::"tools/call", resource in Server::"NAME"',
]

test('many policies are found fault with as each of them alone', () => {
  const texts = scopes.flatMap((scope) =>
    conditions.flatMap((condition) =>
      ['files', 'open'].map(
        (name) => `permit (${scope.replaceAll('NAME', name)}) when { ${condition.replaceAll('"a"', `"${name}"`)} };`,
      ),
    ),
  )
  const policies = texts.map((text, i) => read(`policy-${i}`, text))
  const alone = policies.map((policy) => validate([policy], compiled, cedar))
  const together = validate(policies, compiled, cedar)
  const said = (findings: readonly { readonly problems: readonly object[]; readonly warnings: readonly object[] }[]) =>
    findings
      .flatMap(({ problems, warnings }) => [...problems, ...warnings].map((one) => JSON.stringify(one)))
      .toSorted()
  assert.deepEqual(said([together]), said(alone))
  assert.ok(together.problems.length > 100 && together.warnings.length > 20)
})

test('places count lines and characters, not bytes', () => {
  const places = new Places({ name: 'f', text: 'é\nsecond é x\n\n' })
  assert.deepEqual(
    [0, 2, 3, 13, 15, 16].map((byte) => places.at(byte)),
    ['f:1:1', 'f:1:2', 'f:2:1', 'f:2:10', 'f:3:1', 'f:4:1'],
  )
})
