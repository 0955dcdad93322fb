/** A policy that is active changes only when the record has the change, and every outcome is told. */

import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { compilePolicy, DoorwardError, epochMillis, parseTrustDomain } from '@doorward/core'
import type { PolicySource } from '@doorward/core'
import { ActivePolicy, policyPort } from '../../../packages/server/src/apps/policy-reload.ts'
import type { PolicyReading } from '../../../packages/server/src/config/policy-reading.ts'
import { caller, toolCall } from '../../contract/decision-requests.ts'

interface Entry {
  readonly kind: string
  readonly body: Readonly<Record<string, unknown>>
}

function reading(more: Partial<PolicySource> = {}, restart: readonly string[] = []): PolicyReading {
  const compiled = compilePolicy({
    trustDomain: parseTrustDomain('acme.example'),
    rbac: [],
    roles: [{ role: 'researcher', permissions: ['read:files/*'] }],
    bindings: [{ role: 'researcher', workloads: ['spiffe://acme.example/agent/*'] }],
    servers: ['files', 'search'],
    ...more,
  })
  if (!compiled.ok) throw new AggregateError(compiled.problems)
  return { policy: compiled.policy, operatorRoles: ['admin'], candidate: null, restart }
}

const own = (text: string) => reading({ files: [{ name: 'own.cedar', text }] })
const forbidding = own('@id("none") forbid (principal, action, resource in Server::"files");')
const call = toolCall(caller('planner'), 'files/read_file', 'read')

function opened(next: () => PolicyReading) {
  const entries: Entry[] = []
  const problems: unknown[] = []
  const record = { fails: null as Error | null }
  const active = new ActivePolicy({
    record: {
      append: async (entry) => {
        if (record.fails !== null) throw record.fails
        entries.push(entry as Entry)
      },
    },
    clock: () => epochMillis(1_700_000_000_500),
    reading: reading(),
    reread: async () => next(),
    onProblem: (error) => problems.push(error),
  })
  return { active, entries, problems, record }
}

async function verdict({ decisions }: ActivePolicy): Promise<string> {
  return (await decisions.decide(call)).effect
}

test('without a record there is no first policy, and everything is denied', async () => {
  const { active, record } = opened(() => forbidding)
  record.fails = new DoorwardError('record_unavailable', 'the disk is full')
  await rejects(active.start(), { code: 'record_unavailable' })
  equal(await verdict(active), 'deny')
  equal((active.standing() as { sequence: number }).sequence, 0)
})

test('without a record the policy does not change, and goes on when the record is back', async () => {
  const { active, entries, problems, record } = opened(() => forbidding)
  await active.start()
  equal(await verdict(active), 'allow')
  record.fails = new DoorwardError('record_unavailable', 'the disk is full')
  const refused = await active.reload('operator')
  deepEqual([refused?.outcome, await verdict(active)], ['refused', 'allow'])
  // Neither the change nor its refusal could be written.
  deepEqual([entries.length, problems.length], [1, 2])
  record.fails = null
  equal((await active.reload('operator'))?.outcome, 'changed')
  equal(await verdict(active), 'deny')
})

test('the change is on record before it counts', async () => {
  let whileWritten = ''
  const active: ActivePolicy = new ActivePolicy({
    record: { append: async () => void (whileWritten += `${await verdict(active)} `) },
    clock: () => epochMillis(0),
    reading: reading(),
    reread: async () => forbidding,
    onProblem: () => undefined,
  })
  await active.start()
  await active.reload('operator')
  equal(whileWritten, 'deny allow ')
  equal(await verdict(active), 'deny')
})

test('entries name what was added, removed and changed, with versions and who has asked', async () => {
  const bound = [{ role: 'researcher', workloads: ['spiffe://acme.example/agent/*', 'spiffe://acme.example/robot'] }]
  const readings = [
    own(
      '@id("a") forbid (principal, action, resource in Server::"files");\n@id("b") forbid (principal, action, resource in Server::"search");',
    ),
    own('@id("b") forbid (principal, action, resource in Server::"search") when { true };'),
    reading({ bindings: bound, timeZone: 'Europe/Berlin' }),
  ]
  const { active, entries } = opened(() => readings.shift()!)
  await active.start()
  for (const by of ['one', 'two', 'three']) await active.reload(by)
  const none = { count: 0, named: [] }
  // As they are written.
  const bodies = entries.map(
    ({ kind, body }) => JSON.parse(JSON.stringify({ kind, ...body })) as Record<string, Record<string, unknown>>,
  )
  deepEqual(
    bodies.map(({ kind, change, by, from, to }) => [kind, change, by, from?.['sequence'], to?.['sequence']]),
    [
      ['admin', 'policy.activate', 'start', undefined, 1],
      ['admin', 'policy.activate', 'one', 1, 2],
      ['admin', 'policy.activate', 'two', 2, 3],
      ['admin', 'policy.activate', 'three', 3, 4],
    ],
  )
  for (const [i, body] of bodies.entries()) if (i > 0) deepEqual(body['from'], bodies[i - 1]?.['to'])
  const [, one, two, three] = bodies
  deepEqual(one?.['policies'], {
    added: { count: 2, named: ['own.cedar#a', 'own.cedar#b'] },
    removed: none,
    changed: none,
  })
  deepEqual(two?.['policies'], {
    added: none,
    removed: { count: 1, named: ['own.cedar#a'] },
    changed: { count: 1, named: ['own.cedar#b'] },
  })
  deepEqual(three?.['settings'], {
    added: { count: 2, named: ['time zone: Europe/Berlin', 'role researcher: spiffe://acme.example/robot'] },
    removed: none,
  })
})

test('an entry is bounded, however much has changed', async () => {
  const long = 'x'.repeat(500)
  const many = Array.from(
    { length: 2000 },
    (_, i) => `@id("${i}${long}") forbid (principal, action, resource is Task);`,
  )
  const { active, entries } = opened(() => own(many.join('\n')))
  await active.start()
  equal((await active.reload('operator'))?.outcome, 'changed')
  const { added } = entries.at(-1)!.body['policies'] as { added: { count: number; named: readonly string[] } }
  deepEqual([added.count, added.named.length], [2000, 50])
  ok(added.named.every((text) => text.length <= 200))
})

test('one that is wrong or unreadable is refused with every mistake, on record, and stands there until one is right', async () => {
  const wrong: readonly (readonly [() => PolicyReading, string, RegExp])[] = [
    [() => own('permit (principal'), 'policy_invalid', /^own\.cedar:1:\d+: /],
    [() => own(`// ${'x'.repeat(9 * 1024 * 1024)}`), 'policy_too_large', /expected at most \d+ characters, got \d+/],
    [
      () => fail(new DoorwardError('configuration_missing', 'there is none', { where: '/x' })),
      'configuration_missing',
      /^\/x: there is none/,
    ],
    [() => fail(new Error('what is this')), 'internal', /what is this/],
  ]
  let next = () => reading()
  const { active, entries } = opened(() => next())
  const port = policyPort(active)
  await active.start()
  for (const [make, code, expected] of wrong) {
    next = make
    const told = (await port.reload('operator')) as { outcome: string; code: string; problems: readonly string[] }
    deepEqual([told.outcome, told.code], ['refused', code])
    match(told.problems[0] ?? '', expected)
    const { failed, sequence } = port.standing() as { failed: object; sequence: number }
    deepEqual(failed, { at: 1_700_000_000, by: 'operator', code, problems: told.problems })
    equal(sequence, 1)
    const { change, by, kept } = entries.at(-1)!.body as { change: string; by: string; kept: { sequence: number } }
    deepEqual([change, by, kept.sequence], ['policy.refuse', 'operator', 1])
    equal(await verdict(active), 'allow')
  }
  next = () => reading({}, ['limits.body_bytes'])
  deepEqual((await port.reload('operator')) as object, {
    outcome: 'unchanged',
    version: { digest: (port.standing() as { digest: string }).digest, sequence: 1 },
    needs_restart: ['limits.body_bytes'],
  })
  equal((port.standing() as { failed: null }).failed, null)
})

function fail(error: Error): never {
  throw error
}

test('of many at the same time one is done and one waits, and the last text counts', async () => {
  let next = forbidding
  const { active } = opened(() => next)
  await active.start()
  const first = active.reload('a')
  await Promise.resolve()
  const second = active.reload('b')
  const third = active.reload('c')
  next = reading()
  deepEqual([await third, (await first)?.outcome, (await second)?.outcome], [null, 'changed', 'changed'])
  equal(await verdict(active), 'allow')
})

test('whoever stops does not wait for a policy that is being read', async () => {
  const many = Array.from({ length: 10_000 }, (_, i) => `forbid (principal, action, resource == Task::"files/${i}");`)
  const { active, entries, problems } = opened(() => own(many.join('\n')))
  await active.start()
  const reload = active.reload('operator')
  await new Promise((resolve) => setImmediate(resolve))
  active.close()
  const told = await reload
  deepEqual([told?.outcome, told?.outcome === 'refused' ? told.code : ''], ['refused', 'stopping'])
  deepEqual([await verdict(active), entries.length, problems.length], ['allow', 1, 0])
})
