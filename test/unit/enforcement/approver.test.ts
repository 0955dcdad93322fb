import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseSpiffeIdPattern } from '@doorward/core'
import type { Principal } from '@doorward/core'
import { approverName, groupsOf, partiesOf, takesPart } from '../../../packages/enforcement/src/approvals/approver.ts'
import { agent, caller } from '../../contract/decision-requests.ts'

const person = (subject: string) => ({ kind: 'user', issuer: 'https://id.example', subject, groups: [] }) as const
const as = (workload: string, subject: string): Principal => caller(workload, [], { subject: person(subject) })
const pattern = parseSpiffeIdPattern('spiffe://acme.example/agent/*')
const groups = new Map([
  ['people', { workloads: [], users: new Set(['https://id.example#alice', 'https://id.example#bob']), links: false }],
  ['machines', { workloads: [pattern], users: new Set<string>(), links: false }],
])

test('a workload approves for itself, a person as themselves, and nobody for another workload', () => {
  assert.equal(approverName(caller('a')), agent('a').uri)
  assert.equal(approverName(as('a', 'alice')), 'https://id.example#alice')
  assert.equal(approverName(caller('a', [], { subject: { kind: 'workload', id: agent('b') } })), null)
  assert.equal(approverName(caller('a', [], { subject: person('alice'), act: [agent('b')] })), null)
})

test('what a workload may is not what the person may for whom it acts, nor the other way', () => {
  assert.deepEqual([...groupsOf(caller('a'), groups)], ['machines'])
  assert.deepEqual([...groupsOf(as('a', 'alice'), groups)], ['people'])
  assert.deepEqual([...groupsOf(as('a', 'mallory'), groups)], [])
  assert.deepEqual([...groupsOf(caller('a', [], { subject: { kind: 'workload', id: agent('b') } }), groups)], [])
})

test('nobody who takes part approves: no workload of the call, and not the same person by another', () => {
  const parties = partiesOf(caller('bridge', [], { subject: person('alice'), act: [agent('between')] }))
  assert.deepEqual(parties, [agent('bridge').uri, agent('between').uri, 'https://id.example#alice'])
  for (const one of [as('elsewhere', 'alice'), caller('bridge'), caller('between'), as('bridge', 'bob')])
    assert.ok(takesPart(one, parties))
  assert.ok(!takesPart(as('elsewhere', 'bob'), parties))
})
