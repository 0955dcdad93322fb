/** Policies of roles without the way over text are what the official build reads from the text. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compilePolicy, parseTrustDomain, readPolicy, rolePolicies } from '@doorward/core'
import { loadCedar } from '../../../packages/server/src/policy/cedar-module.ts'

const trustDomain = parseTrustDomain('acme.example')
const verb = fc.constantFrom('read', 'write', 'admin', '*', 'tools/call', 'GET', 'POST', 'DELETE')
const name = fc
  .array(fc.constantFrom('*', 'v1', '/', 'é', '"', '\\', 'x y', '%20', '👋', '**'), { minLength: 1, maxLength: 6 })
  .map((parts) => parts.join(''))
const permission = fc.oneof(
  verb,
  fc.tuple(verb, fc.constantFrom('orders', 'stock'), name).map(([word, server, text]) => `${word}:${server}/${text}`),
)
const roles = fc
  .array(fc.array(permission, { maxLength: 5 }), { maxLength: 3 })
  .map((lists) => lists.map((permissions, i) => ({ role: `role-${i}`, permissions })))

test('what is made from roles is what the official build reads from their text', () => {
  const cedar = loadCedar()
  let compared = 0
  fc.assert(
    fc.property(roles, (given) => {
      const source = { trustDomain, rbac: [], roles: given, bindings: [], servers: ['orders', 'stock'] }
      const compiled = compilePolicy(source)
      if (!compiled.ok) return
      const read = compiled.policy.policies
        .filter(({ id }) => id.startsWith('role:'))
        .map(({ id, text }) => {
          const answer = cedar.policyToJson(text)
          assert.ok(answer.type === 'success')
          return readPolicy(id, answer.json)
        })
      compared += read.length
      assert.deepEqual(merged(rolePolicies(source)), merged(read))
    }),
    { numRuns: 200 },
  )
  assert.ok(compared > 100)
})

/** A pattern may come in more parts than it has: text beside text is one text. */
function merged(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (key, one: unknown) => {
      if (one instanceof Map) return [...one]
      if (key !== 'pattern' || !Array.isArray(one)) return one
      return (one as readonly (string | null)[]).map((part) => part ?? '\u0000').join('')
    }),
  )
}
