/** Who may do something by an own policy may open a session there, under the conditions that are about the caller. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { compilePolicy } from '@doorward/core'
import type { PolicyJudge } from '@doorward/core'
import { judgeOf } from '../../../packages/server/src/policy/cedar-engine.ts'
import { preparePolicy } from '../../../packages/server/src/policy/prepare-policy.ts'
import { caller, sampleSource, sessionAction, toolCall } from '../../contract/decision-requests.ts'

const visitor = caller('visitor')
const me = 'principal == Workload::"spiffe://acme.example/agent/visitor"'

async function judge(text: string): Promise<PolicyJudge> {
  const compiled = compilePolicy({ ...sampleSource, files: [{ name: 'own.cedar', text }] })
  ok(compiled.ok)
  const prepared = await preparePolicy(compiled.policy)
  deepEqual(prepared.problems, [])
  return judgeOf(compiled.policy, prepared.policies, 1)
}

function opens(policy: PolicyJudge, server: string): boolean {
  return policy.decide(sessionAction(visitor, 'initialize', server)).effect === 'allow'
}

test('a permit on a tool opens sessions on its server alone', async () => {
  const policy = await judge(`permit (${me}, action == Action::"tools/call", resource == Tool::"files/read_file");`)
  deepEqual([opens(policy, 'files'), opens(policy, 'github'), opens(policy, 'authority')], [true, false, false])
  equal(policy.decide(toolCall(visitor, 'files/read_file')).effect, 'allow')
  equal(policy.decide(toolCall(visitor, 'files/write_file')).effect, 'deny')
})

test('without a permit, and with a forbid alone, there is no session', async () => {
  ok(!opens(await judge(''), 'files'))
  ok(!opens(await judge(`forbid (${me}, action, resource in Server::"files");`), 'files'))
})

test('conditions about the caller, the time and the place hold for sessions too; those about the call do not', async () => {
  const scope = `permit (${me}, action == Action::"tools/call", resource in Server::"files")`
  const opening = [
    'when { resource.name like "read_*" && context.args.path like "/tmp/*" }',
    'when { context.effect == "read" }',
    'unless { context has args && context.args.path == "x" }',
    'when { principal.path like "agent/*" && resource.name == "x" }',
    'unless { principal.path like "robot/*" }',
    'when { context.time.hour < 24 }',
  ]
  for (const condition of opening) ok(opens(await judge(`${scope} ${condition};`), 'files'), condition)
  const closed = [
    'when { principal.path like "robot/*" && resource.name == "x" }',
    'unless { principal.path like "agent/*" }',
    'when { context.address.isInRange(ip("10.0.0.0/8")) }',
    'when { context.time.hour > 23 }',
    'when { principal in Role::"empty" }',
  ]
  for (const condition of closed) ok(!opens(await judge(`${scope} ${condition};`), 'files'), condition)
})

test('a forbid on sessions wins', async () => {
  const policy = await judge(`permit (${me}, action == Action::"tools/call", resource in Server::"files");
forbid (principal, action in Action::"session", resource in Server::"files");`)
  ok(!opens(policy, 'files'))
})
