/** What the record says of a decision: of whom, of what, by which policy, and what is counted instead. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochSeconds, toMillis } from '@doorward/core'
import type { EntryEnvelope, Principal } from '@doorward/core'
import { deny, EntryReference, isDenial, Permit, RefusalCounter, record } from '@doorward/enforcement'
import { recordOutcome, recordRefusal } from '@doorward/enforcement'
import type { Admitted, Denial, RecordEntry } from '@doorward/enforcement'
import { memoryRecord } from '../../../packages/enforcement/src/record/memory-record.ts'
import { agent, caller } from '../../contract/decision-requests.ts'
import { inboundOf, now, partial } from './call-fixture.ts'
import { call, version } from './pipeline-fixture.ts'

const inbound = inboundOf(null)
const { action, resource, rpcId } = call
const shadow = { effect: 'deny', reason: 'none', policies: ['s'], version: { digest: 'c', sequence: 4 } } as const
const user = { kind: 'user', issuer: 'https://idp', subject: 'ann', groups: ['g', 'h'] } as const
const uri = (name: string) => agent(name).uri

/** Where every request of these tests came from. */
const request = { remote: '192.0.2.1', listener: 'main', request: { method: 'POST', path: '/mcp/files' } }
const ofCaller = {
  caller: uri('a'),
  subject: uri('a'),
  presenter: uri('a'),
  act: [],
  roles: ['r'],
  strength: 'mtls-bound-token',
  epoch: 1,
  certificate: { fingerprint: 'f', serial: '01' },
  token: 't',
}

function admittedOf(over: object = {}, principal: Principal = caller('a', ['r'])): Admitted<string> {
  const classified = { identified: { principal, inbound }, call, body: new Uint8Array() }
  return { authorized: { classified, policies: ['p'], policyVersion: version, shadow: null, ...over } } as never
}

function newLog() {
  const log = memoryRecord()
  const counter = new RefusalCounter({ record: log, clock: () => toMillis(now), singlesPerSecond: 4 })
  const bodies = (): readonly EntryEnvelope['body'][] => log.entries.map((entry) => entry.body)
  return { log, counter, bodies, refuse: (denial: Denial) => recordRefusal(inbound, denial, log, counter) }
}

test('an allow is on record with caller, request, call, policies and their version before there is a permit', async () => {
  const { log } = newLog()
  const admitted = admittedOf()
  const permit = await record(admitted, log)
  assert(permit instanceof Permit)
  assert.deepEqual([permit.admitted, permit.entry.index], [admitted, 0])
  assert.deepEqual(
    log.entries.map(({ kind, body }) => [kind, body]),
    [
      [
        'decision',
        {
          decision: 'allow',
          code: 'allowed',
          ...ofCaller,
          ...request,
          action: 'tools/call',
          group: 'write',
          resource: { server: 'files', kind: 'tool', name: 'read' },
          policies: ['p'],
          policy: { digest: 'd', sequence: 3 },
        },
      ],
    ],
  )
})

test('what a candidate policy says otherwise stands beside the decision', async () => {
  const { log, bodies, refuse } = newLog()
  await record(admittedOf({ shadow }), log)
  await record(admittedOf({ shadow: { ...shadow, effect: 'allow', reason: null } }), log)
  await refuse(deny('policy_denied', 'why', { caller: partial, shadow }))
  const said = { policies: ['s'], policy: { digest: 'c', sequence: 4 } }
  assert.deepEqual(
    bodies().map((body) => body['shadow']),
    [
      { decision: 'deny', reason: 'none', ...said },
      { decision: 'allow', ...said },
      { decision: 'deny', reason: 'none', ...said },
    ],
  )
})

test('an allow that cannot be recorded is a refusal that names call and caller', async () => {
  const { log } = newLog()
  log.failWith(new Error('disk full'))
  const denial = await record(admittedOf(), log)
  assert(isDenial(denial))
  assert.deepEqual(
    [denial.code, denial.caller, denial.action, denial.resource, denial.rpcId],
    ['record_unavailable', caller('a', ['r']), action, resource, rpcId],
  )
  assert.match(denial.explanation, /disk full/)
})

test('a refusal says what was known when it was made, and nothing more', async () => {
  const { bodies, refuse } = newLog()
  const [early, late] = [
    deny('token_missing', 'no header', { caller: partial }),
    deny('policy_denied', 'nothing allows it', {
      caller: caller('a', ['r']),
      action,
      resource,
      wouldAllow: 'read on files',
      policies: ['p'],
      policyVersion: version,
    }),
  ]
  for (const denial of [early, late]) assert.ok(EntryReference.isReference(await refuse(denial)))
  const { id, certificateFingerprint: fingerprint, certificateSerial: serial } = partial
  assert.deepEqual(bodies(), [
    {
      decision: 'deny',
      code: 'token_missing',
      explanation: 'no header',
      caller: id,
      certificate: { fingerprint, serial },
      ...request,
      policies: [],
    },
    {
      decision: 'deny',
      code: 'policy_denied',
      explanation: 'nothing allows it',
      ...ofCaller,
      ...request,
      action: 'tools/call',
      group: 'write',
      resource: { server: 'files', kind: 'tool', name: 'read' },
      would_allow: 'read on files',
      policies: ['p'],
      policy: { digest: 'd', sequence: 3 },
    },
  ])
})

test('a caller on behalf of others is on record with all of them', async () => {
  const { log, bodies } = newLog()
  const act = [agent('b'), agent('c')]
  const groups = Array.from({ length: 101 }, (_, n) => `g${n}`)
  for (const principal of [
    caller('a', [], { subject: user, act, tokenId: null }),
    caller('a', [], { subject: { ...user, groups: [] } }),
    caller('a', [], { subject: { ...user, groups } }),
    caller('a', [], { subject: { kind: 'workload', id: agent('b') } }),
  ])
    await record(admittedOf({}, principal), log)
  const [ann, bare, many, workload] = bodies()
  assert.partialDeepStrictEqual(ann, {
    caller: `${uri('a')} through ${uri('b')} ${uri('c')} for https://idp#ann`,
    subject: 'https://idp#ann',
    groups: ['g', 'h'],
    presenter: uri('a'),
    act: [uri('b'), uri('c')],
  })
  assert.ok(ann !== undefined && !('token' in ann))
  assert.ok(bare !== undefined && !('groups' in bare))
  assert.deepEqual(many?.['groups'], groups.slice(0, 100))
  assert.partialDeepStrictEqual(workload, { caller: `${uri('a')} for ${uri('b')}`, subject: uri('b') })
  assert.ok(workload !== undefined && !('groups' in workload))
  assert.ok(ann !== undefined && !('chain' in ann) && !('given' in ann) && !('scope' in ann))
})

test('an entry of a delegated call names every token of the chain, the roles of each, and what the token is narrowed to', async () => {
  const { log, bodies } = newLog()
  const chain = [
    { holder: uri('b'), jti: 'second', iat: epochSeconds(2), kid: 'k', serial: '02', anchor: 'x' },
    { holder: uri('c'), jti: 'first', iat: epochSeconds(1), kid: 'k', serial: '03', anchor: 'x' },
  ]
  const given = new Map([
    [uri('b'), ['reader']],
    [uri('c'), []],
  ])
  const delegated = { subject: { kind: 'workload', id: agent('c') }, act: [agent('b')], chain, given } as const
  await record(admittedOf({}, caller('a', [], { ...delegated, scope: ['read:files/*'] })), log)
  assert.partialDeepStrictEqual(bodies()[0], {
    caller: `${uri('a')} through ${uri('b')} for ${uri('c')}`,
    chain: [
      { id: uri('b'), token: 'second', serial: '02' },
      { id: uri('c'), token: 'first', serial: '03' },
    ],
    given: { [uri('b')]: ['reader'], [uri('c')]: [] },
    scope: ['read:files/*'],
  })
})

test('strangers and floods are counted under where they come from', async () => {
  const { log, counter, bodies, refuse } = newLog()
  const floods = [
    deny('token_missing', 'why'),
    deny('limit_user', 'why', { caller: partial }),
    deny('limit_user', 'why', { caller: caller('a', [], { subject: user }) }),
    deny('limit_user', 'why', { caller: caller('a') }),
  ]
  for (const denial of floods) assert.equal(await refuse(denial), 'counted')
  assert.equal(log.entries.length, 0)
  await counter.flush(true)
  assert.deepEqual(bodies(), [
    { source: '192.0.2.1', reason: 'token_missing', second: now, count: 1 },
    { source: partial.id, reason: 'limit_user', second: now, count: 1 },
    { source: `${uri('a')} for https://idp#ann`, reason: 'limit_user', second: now, count: 1 },
    { source: uri('a'), reason: 'limit_user', second: now, count: 1 },
  ])
})

test('a refusal whose reason has to be found out is recorded by itself, as long as there is room for that', async () => {
  const { log, bodies, refuse } = newLog()
  const denial = deny('join_refused', 'the token was used')
  // Neither of these takes from what there is room for.
  await refuse(deny('join_refused', 'why', { caller: partial }))
  for (let n = 0; n < 4; n++) assert.equal(await refuse(deny('token_missing', 'why')), 'counted')
  const entries = [await refuse(denial), await refuse(denial), await refuse(denial)]
  assert.deepEqual(
    entries.map((entry) => (typeof entry === 'string' ? entry : entry.index)),
    [1, 2, 'counted'],
  )
  const alone = { decision: 'deny', code: 'join_refused', explanation: 'the token was used', ...request, policies: [] }
  assert.deepEqual(bodies().slice(1), [alone, alone])
  assert.equal(log.entries.length, 3)
})

test('a refusal stays one when it cannot be recorded', async () => {
  const { log, refuse } = newLog()
  log.failWith(new Error('disk full'))
  assert.equal(await refuse(deny('token_missing', 'why', { caller: partial })), 'unrecorded')
})

test('an explanation is cut, so that nobody chooses the size of an entry', async () => {
  const { bodies, refuse } = newLog()
  await refuse(deny('token_missing', 'x'.repeat(2000), { caller: partial }))
  assert.equal(bodies()[0]?.['explanation'], 'x'.repeat(1024))
})

test('an outcome names the decision, waits for others, and has an explanation only where there is one', async () => {
  const { log, refuse } = newLog()
  const of = await refuse(deny('token_missing', 'why', { caller: partial }))
  assert.ok(EntryReference.isReference(of))
  const written: RecordEntry[] = []
  const append = (entry: RecordEntry) => {
    written.push(entry)
    return log.append(entry)
  }
  const completed = { status: 'completed', http: 200, bytes: 10, milliseconds: 3 } as const
  const failed = { ...completed, status: 'failed', code: 'upstream_timeout' } as const
  await recordOutcome(of, completed, { append })
  await recordOutcome(of, { ...failed, explanation: 'y'.repeat(2000) }, { append })
  assert.deepEqual(written, [
    { kind: 'outcome', body: { of: 0, ...completed }, patient: true },
    { kind: 'outcome', body: { of: 0, ...failed, explanation: 'y'.repeat(1024) }, patient: true },
  ])
  log.failWith(new Error('disk full'))
  await assert.rejects(recordOutcome(of, completed, { append }), /disk full/)
})
