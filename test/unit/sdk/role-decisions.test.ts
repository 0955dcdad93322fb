/** What the policy of a program that protects itself may say. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseTrustDomain } from '@doorward/core'
import { roleDecisions } from '../../../packages/sdk/src/protect/role-decisions.ts'
import type { ProtectPolicy } from '../../../packages/sdk/src/protect/role-decisions.ts'

const trustDomain = parseTrustDomain('acme.example')
const roles = { reader: ['read:orders/*'] }

/** As it comes from a file. */
const read = (policy: object): ProtectPolicy => JSON.parse(JSON.stringify(policy)) as ProtectPolicy

test('what nothing here enforces is refused, not left out', () => {
  assert.ok(roleDecisions(read({ roles }), 'orders', trustDomain))
  for (const more of [{ approvals: { rules: [] } }, { files: ['a.cedar'] }, { policy: {} }])
    assert.throws(() => roleDecisions(read({ roles, ...more }), 'orders', trustDomain), {
      code: 'policy_unsupported',
      got: Object.keys(more)[0],
    })
  const binding = { role: 'reader', workloads: ['spiffe://acme.example/agent/*'], until: '2030-01-01' }
  assert.throws(() => roleDecisions(read({ roles, bindings: [binding] }), 'orders', trustDomain), {
    code: 'policy_unsupported',
    got: 'until',
  })
})
