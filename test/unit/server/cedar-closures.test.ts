/** The closures of core against the official build, expression by expression: what decides, and what fails. */

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { EntityUid } from '../../../packages/core/src/policy/cedar/value.ts'
import { readPolicy } from '../../../packages/core/src/policy/cedar/expression.ts'
import { PolicySet } from '../../../packages/core/src/policy/cedar/policy-set.ts'

interface Official {
  readonly policyToJson: (text: string) => { readonly json?: unknown }
  readonly isAuthorized: (call: object) => {
    readonly response?: {
      readonly decision: string
      readonly diagnostics: { readonly reason: readonly string[]; readonly errors: readonly { policyId: string }[] }
    }
  }
}

const official = createRequire(import.meta.url)('@cedar-policy/cedar-wasm/nodejs') as Official

const conditions = [
  'true',
  'false',
  '1',
  '!true',
  '-5 < 3',
  '2 + 3 * 4 == 14',
  '9007199254740991 + 1 > 9007199254740991',
  '3037000500 * 3037000500 > 0',
  '1 - 2 == -1',
  '0 * -1 == 0',
  '1 == true',
  '"1" == 1',
  '"a" < "b"',
  'false && 1',
  'true && 1',
  'true || 1',
  'false || 1',
  '1 || true',
  'if 1 then true else false',
  'if true then true else 1',
  '[1, 2, 2] == [2, 1]',
  '[1].contains(1)',
  '1.contains(1)',
  '[1, 2].containsAll([2])',
  '[1, 2].containsAny([3])',
  '[].isEmpty()',
  '{a: 1} == {a: 1}',
  '{a: 1}.a == 1',
  '{a: 1}.b == 1',
  '{a: {b: 1}} has a.b',
  '{a: {b: 1}} has a.c',
  '{a: 1} has a.b',
  'principal has x',
  'principal.x',
  'principal.hasTag("t")',
  'principal.hasTag(1)',
  'principal.getTag("t")',
  'principal == principal',
  'principal in User::"a"',
  'principal in [User::"a", 1]',
  'principal in [Role::"r"]',
  'principal in 1',
  'principal is User',
  'principal is Role',
  'principal is User in Role::"r"',
  '1 is User',
  '"abc" like "a*c"',
  '"a*c" like "a\\*c"',
  '"abc" like "a\\*c"',
  '"" like "*"',
  '1 like "*"',
  'ip("10.0.0.1").isInRange(ip("10.0.0.0/8"))',
  'ip("::1").isLoopback()',
  'ip("224.0.0.1").isMulticast()',
  'ip("::ffff:1.2.3.4").isIpv6()',
  'ip("01.2.3.4").isIpv4()',
  'ip("1.2.3.4/33").isIpv4()',
  'ip("1.2.3.4") == ip("1.2.3.4/32")',
  'decimal("1.5").lessThan(decimal("1.51"))',
  'decimal("1.00000") == decimal("1.0")',
  'decimal("-922337203685477.5808") == decimal("0.0")',
  'datetime("2024-02-29") < datetime("2024-03-01")',
  'datetime("2023-02-29") == datetime("2023-03-01")',
  'datetime("2024-01-01T23:59:59.999+0130").toTime() == duration("22h29m59s999ms")',
  'datetime("1969-12-31T23:00:00Z").toDate() == datetime("1969-12-31")',
  'datetime("2024-01-02").durationSince(datetime("2024-01-01")) == duration("1d")',
  'duration("-1d2h").toHours() == -26',
  'duration("1h1d") == duration("1d")',
  'duration("") == duration("1d")',
  'duration("1500ms").toSeconds() == 1',
  'context.n == 3',
  'context.missing == 3',
  'context.__proto__ == 1',
  'resource == Thing::"b"',
] as const

const uid = ({ type, id }: { readonly type: string; readonly id: string }) => new EntityUid(type, id)
const [principal, action, resource] = [
  { type: 'User', id: 'a' },
  { type: 'Action', id: 'do' },
  { type: 'Thing', id: 'b' },
]
const role = { type: 'Role', id: 'r' }
const none = new Map()
const known = new Map([
  [uid(principal).key, { attributes: none, tags: new Map([['t', true]]), ancestors: new Set([uid(role).key]) }],
])

test('every operator decides and fails as the official build does', () => {
  const different: string[] = []
  for (const condition of conditions) {
    for (const [effect, kind] of [
      ['permit', 'when'],
      ['forbid', 'unless'],
    ] as const) {
      const text = `${effect}(principal, action, resource) ${kind} { ${condition} };`
      const { json } = official.policyToJson(text)
      const { response } = official.isAuthorized({
        principal,
        action,
        resource,
        context: { n: 3 },
        policies: { staticPolicies: { all: 'permit(principal in Role::"r", action, resource);', tried: text } },
        entities: [{ uid: principal, attrs: {}, parents: [role], tags: { t: true } }],
      })
      if (json === undefined || response === undefined) {
        different.push(`${condition}: not taken by the official build`)
        continue
      }
      const all = official.policyToJson('permit(principal in Role::"r", action, resource);').json
      const got = new PolicySet([readPolicy('all', all), readPolicy('tried', json)]).authorize({
        principal: uid(principal),
        action: uid(action),
        resource: uid(resource),
        context: new Map([['n', 3]]),
        entity: ({ key }) => known.get(key) ?? null,
      })
      const { decision, diagnostics } = response
      const expected = [decision, diagnostics.reason.toSorted(), diagnostics.errors.map(({ policyId }) => policyId)]
      const ours = [got.decision, got.reasons.toSorted(), got.errors.map(({ policyId }) => policyId)]
      if (JSON.stringify(ours) !== JSON.stringify(expected))
        different.push(`${text} ${JSON.stringify([expected, ours])}`)
    }
  }
  assert.deepEqual(different, [])
})
