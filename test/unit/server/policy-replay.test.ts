/** Recorded decisions, decided anew: what the record tells of a call is enough, or it is said that it is not. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { before, test } from 'node:test'
import { compilePolicy, epochMillis } from '@doorward/core'
import type { EntryEnvelope, PolicyFile, PolicyJudge, PolicySource } from '@doorward/core'
import { judgeOf } from '../../../packages/server/src/policy/cedar-engine.ts'
import { preparePolicy } from '../../../packages/server/src/policy/prepare-policy.ts'
import { recallCall } from '../../../packages/server/src/policy/recalled-call.ts'
import { Replay } from '../../../packages/server/src/policy/replay.ts'
import { sampleSource } from '../../contract/decision-requests.ts'

async function judge(source: PolicySource, ...files: readonly PolicyFile[]): Promise<PolicyJudge> {
  const compiled = compilePolicy({ ...source, files })
  ok(compiled.ok)
  const prepared = await preparePolicy(compiled.policy)
  deepEqual(prepared.problems, [])
  return judgeOf(compiled.policy, prepared.policies, 1)
}

const planner = 'spiffe://acme.example/agent/planner'

function entry(body: EntryEnvelope['body'], kind: EntryEnvelope['kind'] = 'decision'): EntryEnvelope {
  return { v: 1, kind, time: epochMillis(1_800_000_000_000), body }
}

function call(name: string, decision: 'allow' | 'deny', over: EntryEnvelope['body'] = {}): EntryEnvelope {
  return entry({
    decision,
    code: decision === 'allow' ? 'allowed' : 'policy_denied',
    caller: planner,
    subject: planner,
    presenter: planner,
    act: [],
    roles: [],
    strength: 'mtls-bound-token',
    remote: '127.0.0.1',
    action: 'tools/call',
    group: 'read',
    resource: { server: 'files', kind: 'tool', name },
    ...over,
  })
}

let active: PolicyJudge
before(async () => {
  active = await judge(sampleSource)
})

test('under the policy that decided, everything is the same', () => {
  const replay = new Replay(active)
  replay.add(call('read_file', 'allow'))
  replay.add(call('write_file', 'deny', { group: 'write' }))
  deepEqual(replay.report(), { calls: 2, same: 2, skipped: 0, rows: [], more: 0 })
})

test('a candidate shows who loses and who gains, with how many calls and why', async () => {
  const text = `
@id("write") permit (principal == Workload::"${planner}", action == Action::"tools/call", resource == Tool::"files/write_file");
@id("never") forbid (principal, action == Action::"tools/call", resource == Tool::"files/read_file");`
  const replay = new Replay(await judge(sampleSource, { name: 'own.cedar', text }))
  for (let i = 0; i < 3; i++) replay.add(call('read_file', 'allow'))
  replay.add(call('write_file', 'deny', { group: 'write' }))
  const { rows, same } = replay.report()
  equal(same, 0)
  deepEqual(
    rows.map(({ change, resource, calls }) => [change, resource, calls]),
    [
      ['gains', 'files/write_file', 1],
      ['loses', 'files/read_file', 3],
    ],
  )
  equal(rows[0]?.why, 'own.cedar#write')
  ok(rows[1]?.why.includes('own.cedar#never'))
})

test('what depends on arguments is told apart, for they are not in the record', async () => {
  const text = `permit (principal, action == Action::"tools/call", resource == Tool::"files/write_file")
when { context.args.path like "/tmp/*" };`
  const replay = new Replay(await judge(sampleSource, { name: 'own.cedar', text }))
  replay.add(call('write_file', 'deny', { group: 'write' }))
  deepEqual(
    replay.report().rows.map(({ change }) => change),
    ['depends'],
  )
})

test('who acts for a user is recalled with the user and the groups', () => {
  const recalled = recallCall(
    call('read_file', 'allow', { subject: 'https://login.example#alice', groups: ['dev'], act: [planner] }),
  )
  deepEqual(recalled?.request.principal.subject, {
    kind: 'user',
    issuer: 'https://login.example',
    subject: 'alice',
    groups: ['dev'],
  })
  equal(recalled?.request.principal.act[0]?.uri, planner)
})

test('entries that are no decisions of policy are passed over and counted', () => {
  const replay = new Replay(active)
  replay.add(entry({ of: 1 }, 'outcome'))
  replay.add(call('read_file', 'deny', { code: 'rate_limited' }))
  replay.add(call('read_file', 'allow', { presenter: 'nobody' }))
  replay.add(call('read_file', 'allow', { resource: { server: 'files', kind: 'thing', name: 'x' } }))
  replay.add(call('read_file', 'allow', { group: 'root' }))
  replay.add(call('read_file', 'allow', { act: ['http://x'] }))
  equal(replay.report().skipped, 6)
})
