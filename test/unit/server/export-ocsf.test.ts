import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import fc from 'fast-check'
import { ENTRY_KINDS, epochMillis } from '@doorward/core'
import type { EntryKind } from '@doorward/core'
import {
  exportEvent,
  gapEvent,
  ocsfClasses,
  ocsfOf,
  ocsfVersion,
} from '../../../packages/server/src/audit/export/ocsf.ts'

const origin = 'acme.example/gateway/main'
const logged = (kind: EntryKind, body: Record<string, unknown>, index = 7) =>
  ({ origin, index, entry: { v: 1, kind, time: epochMillis(1_700_000_000_123), body } }) as const

interface ClassRow {
  /** With the members of the base event. */
  readonly required: readonly string[]
  readonly atLeastOne?: readonly string[]
  readonly activities: readonly number[]
}

/** Required attributes, constraints and activities of the classes, from their pages at schema.ocsf.io/1.3.0/classes. */
const base = ['activity_id', 'category_uid', 'class_uid', 'metadata', 'severity_id', 'time', 'type_uid']
const classes: Readonly<Record<number, ClassRow>> = {
  0: { required: base, activities: [0, 99] },
  2004: { required: [...base, 'finding_info'], activities: [0, 1, 2, 3, 99] },
  3001: { required: [...base, 'user'], activities: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 99] },
  3002: { required: [...base, 'user'], atLeastOne: ['service', 'dst_endpoint'], activities: [0, 1, 2, 3, 4, 5, 6, 99] },
  3004: { required: [...base, 'entity'], activities: [0, 1, 2, 3, 4, 99] },
  6002: { required: [...base, 'app'], activities: [0, 1, 2, 3, 4, 99] },
  6003: { required: [...base, 'actor', 'api', 'src_endpoint'], activities: [0, 1, 2, 3, 4, 99] },
}
/** Of objects: what they require, and of what they need at least one. The same source, /objects. */
const objects: Readonly<
  Record<string, { readonly required?: readonly string[]; readonly atLeastOne?: readonly string[] }>
> = {
  metadata: { required: ['product', 'version'] },
  product: { required: ['vendor_name'], atLeastOne: ['name', 'uid'] },
  app: { required: ['vendor_name'], atLeastOne: ['name', 'uid'] },
  actor: { atLeastOne: ['process', 'user', 'invoked_by', 'session', 'app_name', 'app_uid'] },
  user: { atLeastOne: ['account', 'name', 'uid'] },
  api: { required: ['operation'] },
  src_endpoint: {
    atLeastOne: ['ip', 'uid', 'name', 'hostname', 'svc_name', 'instance_uid', 'interface_uid', 'interface_name'],
  },
  finding_info: { required: ['title', 'uid'] },
  entity: { atLeastOne: ['name', 'uid'] },
  policy: { atLeastOne: ['name', 'uid'] },
  service: { atLeastOne: ['name', 'uid'] },
  url: {},
}
const statusIds = [0, 1, 2, 99]
const findingStatusIds = [0, 1, 2, 3, 4, 5, 6, 99]

function checkObjects(value: unknown, name: string): void {
  if (Array.isArray(value)) for (const one of value) checkObjects(one, name)
  else if (typeof value === 'object' && value !== null) {
    const row = objects[name]
    for (const member of row?.required ?? []) assert.ok(member in value, `${name}.${member}`)
    if (row?.atLeastOne !== undefined)
      assert.ok(
        row.atLeastOne.some((one) => one in value),
        `one of ${name}`,
      )
    for (const [inner, each] of Object.entries(value)) if (inner !== 'unmapped') checkObjects(each, inner)
  }
}

function checkEvent(event: Record<string, unknown>): void {
  const { class_uid, activity_id, category_uid, severity_id, status_id, type_uid, activity_name, metadata } = event
  const row = classes[class_uid as number]
  assert.ok(row !== undefined, `class ${String(class_uid)}`)
  for (const name of row.required) assert.ok(event[name] !== undefined, `${String(class_uid)} requires ${name}`)
  if (row.atLeastOne !== undefined) assert.ok(row.atLeastOne.some((one) => event[one] !== undefined))
  assert.ok(row.activities.includes(activity_id as number), `activity ${String(activity_id)}`)
  assert.equal(activity_id === 99, activity_name !== undefined, 'Other has a name')
  assert.equal(category_uid, Math.floor((class_uid as number) / 1000))
  assert.equal(type_uid, (class_uid as number) * 100 + (activity_id as number))
  assert.ok([1, 2, 3, 4, 5].includes(severity_id as number))
  const ids = class_uid === 2004 ? findingStatusIds : statusIds
  if (status_id !== undefined) assert.ok(ids.includes(status_id as number))
  assert.equal((metadata as { version: string }).version, ocsfVersion)
  checkObjects(event, 'event')
}

const workload = 'spiffe://acme.example/agent/planner'
const allow = {
  decision: 'allow',
  code: 'allowed',
  caller: workload,
  subject: workload,
  presenter: workload,
  act: [],
  roles: ['researcher'],
  certificate: { fingerprint: 'f', serial: '01' },
  remote: '192.0.2.7',
  listener: 'main',
  request: { method: 'POST', path: '/mcp/files' },
  action: 'tools/call',
  group: 'write',
  resource: { server: 'files', kind: 'tool', name: 'write_file' },
  policies: ['roles.researcher[0]', 'extra.cedar#no-secrets'],
  policy: { digest: 'abc', sequence: 3 },
}

/** What each writer appends, and the class, activity and status that become of it. */
const cases: readonly (readonly [EntryKind, Record<string, unknown>, number, number, number | undefined])[] = [
  ['decision', allow, 6003, 99, 1],
  ['decision', { ...allow, group: 'read', action: 'resources/read' }, 6003, 2, 1],
  [
    'decision',
    { ...allow, decision: 'deny', code: 'policy_denied', explanation: 'no permit', policies: [] },
    6003,
    99,
    2,
  ],
  [
    'decision',
    { decision: 'deny', code: 'token_expired', explanation: 'x', caller: workload, remote: '::1' },
    3002,
    1,
    2,
  ],
  [
    'decision',
    { decision: 'deny', code: 'join_refused', explanation: 'x', remote: '192.0.2.1', policies: [] },
    3002,
    1,
    2,
  ],
  [
    'decision',
    { decision: 'deny', code: 'body_slow', remote: '192.0.2.1', request: { method: 'POST', path: '/' } },
    6003,
    99,
    2,
  ],
  ['outcome', { of: 6, status: 'completed', http: 200, bytes: 10, milliseconds: 3 }, 0, 99, 1],
  ['outcome', { of: 6, status: 'failed', http: 502, bytes: 0, milliseconds: 3, code: 'upstream_timeout' }, 0, 99, 2],
  ['refusals', { source: '192.0.2.1', reason: 'certificate_missing', second: 1_700_000_000, count: 9 }, 3002, 1, 2],
  ['refusals', { source: 'other', reason: 'tls_version', second: 1_700_000_000, count: 9 }, 3002, 1, 2],
  ['refusals', { source: '192.0.2.1', reason: 'handshake_rate', second: 1_700_000_000, count: 1 }, 3002, 1, 2],
  ['refusals', { source: workload, reason: 'limit_user', second: 1_700_000_000, count: 1 }, 6003, 99, 2],
  ['admin', { change: 'workload.add', id: workload, by: 'supervisor', workload: {} }, 3001, 1, 1],
  ['admin', { change: 'workload.remove', id: workload, by: workload }, 3001, 6, 1],
  ['admin', { change: 'workload.update', id: workload, revision: 2, by: workload }, 3001, 99, 1],
  ['admin', { change: 'instance.lock', id: workload, instance: 'i', reason: 'lost', by: workload }, 3001, 99, 1],
  ['admin', { change: 'revoke', subject: 'workload', id: workload, reason: 'stolen', by: workload }, 3001, 5, 1],
  ['admin', { change: 'revoke', subject: 'serial', serial: '01', reason: 'stolen', by: workload }, 3004, 4, 1],
  ['admin', { change: 'policy.activate', by: 'SIGHUP', from: null, to: { digest: 'abc', sequence: 2 } }, 3004, 3, 1],
  ['admin', { change: 'policy.refuse', by: 'SIGHUP', code: 'policy_invalid', problems: {} }, 3004, 99, 2],
  ['admin', { change: 'ceremony.start', ceremony: 'c', by: workload }, 3004, 1, 1],
  ['issuance', { phase: 'intent', serial: '01', id: workload, not_after: 1 }, 3004, 99, 1],
  ['issuance', { phase: 'outcome', serial: '01', id: workload, outcome: 'issued', fingerprint: 'f' }, 3004, 1, 1],
  ['issuance', { phase: 'outcome', serial: '01', id: workload, outcome: 'void' }, 3004, 1, 2],
  ['issuance', { phase: 'attested', id: workload, by: 'join_token', proven: {}, machine_key: 'k' }, 3002, 1, 1],
  ['issuance', { phase: 'token', token: 'jti', id: workload, audience: 'https://a', expires_at: 1 }, 3002, 99, 1],
  ['trust', { change: 'state', delegation: 1, sequence: 9, epoch: 1, digest: 'd' }, 3004, 3, 1],
  ['trust', { change: 'anchor.prepare', key_id: 'k' }, 3004, 1, 1],
  ['trust', { change: 'authority.deny', key_ids: ['k'], epoch: 2, ceremony: 'c' }, 3004, 4, 1],
  ['detection', { detector: 'DT-1', subject: 'k', detail: 'forged' }, 2004, 1, 1],
  ['detection', { detector: 'DT-1', subject: 'k', ended: true }, 2004, 3, 4],
  ['lifecycle', { event: 'gateway.start', name: 'main' }, 6002, 3, undefined],
  ['lifecycle', { event: 'authority.stop' }, 6002, 4, undefined],
]

const titleOf = ({ code, change, phase, event, reason, status }: Record<string, unknown>) =>
  [code, change, phase, event, reason, status].find((one) => typeof one === 'string')

for (const [kind, body, classUid, activity, status] of cases) {
  test(`${kind} ${titleOf(body)} is class ${classUid}`, () => {
    const event = ocsfOf(logged(kind, body))
    checkEvent(event)
    assert.deepEqual([event['class_uid'], event['activity_id'], event['status_id']], [classUid, activity, status])
    assert.deepEqual(event['unmapped'], body)
  })
}

test('every kind of entry has a case here, and every class that is used has a row', () => {
  assert.deepEqual(new Set(cases.map(([kind]) => kind)), new Set(ENTRY_KINDS))
  assert.deepEqual(
    Object.values(ocsfClasses).map(({ uid }) => String(uid)),
    Object.keys(classes),
  )
})

test('a decision says who, what, by which policies and from where', () => {
  const event = ocsfOf(logged('decision', allow))
  assert.deepEqual(event['actor'], {
    user: { uid: workload, name: workload, type_id: 99, type: 'Workload' },
    app_uid: workload,
    authorizations: [
      { decision: 'allow', policy: { uid: 'roles.researcher[0]', name: 'roles.researcher[0]', version: 'abc' } },
      { decision: 'allow', policy: { uid: 'extra.cedar#no-secrets', name: 'extra.cedar#no-secrets', version: 'abc' } },
    ],
  })
  assert.deepEqual(event['api'], { operation: 'tools/call', service: { name: 'files' }, group: { name: 'write' } })
  assert.deepEqual(event['src_endpoint'], { ip: '192.0.2.7' })
  assert.deepEqual(event['resources'], [{ uid: 'write_file', name: 'write_file', type: 'tool', namespace: 'files' }])
})

test('a denial has its code and explanation, and an authorization without a policy where none decided', () => {
  const event = ocsfOf(
    logged('decision', { ...allow, decision: 'deny', code: 'policy_denied', explanation: 'no permit', policies: [] }),
  )
  assert.deepEqual(
    [event['status_code'], event['status_detail'], event['severity_id']],
    ['policy_denied', 'no permit', 2],
  )
  assert.deepEqual((event['actor'] as { authorizations: unknown }).authorizations, [{ decision: 'deny' }])
})

test('an outcome names the decision that it belongs to, and every event its place in the log', () => {
  const { metadata } = ocsfOf(logged('outcome', { of: 6, status: 'completed', http: 200 })) as {
    metadata: Record<string, unknown>
  }
  assert.equal(metadata['correlation_uid'], `${origin}#6`)
  assert.deepEqual([metadata['uid'], metadata['log_name'], metadata['sequence']], [`${origin}#7`, origin, 7])
})

test('what was deleted before it was delivered is an event of its own', () => {
  const gap = gapEvent({ origin, from: 5, to: 9, time: 1 })
  const event = JSON.parse(gap.json) as Record<string, unknown>
  checkEvent(event)
  assert.deepEqual([gap.index, gap.kind, event['count'], event['unmapped']], [5, 'gap', 4, { from: 5, to: 9 }])
})

test('whatever a body holds becomes a valid event of one ASCII line, and comes back', () => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('a\nb', '\u001b[31m', '\u009b31m', '\u2028', '|CEF:0|\\|=', '"]', '<13>1 ', '\u202e', '\u0000'),
  )
  const names =
    'decision code caller subject action group remote resource request policies change id by phase event detector detail source reason count second of status http'
  const member = fc.constantFrom(...names.split(' '))
  const value = fc.oneof(hostile, fc.integer(), fc.array(hostile), fc.constant(null), fc.dictionary(member, hostile))
  const body = fc.dictionary(member, value, { noNullPrototype: true })
  fc.assert(
    fc.property(fc.constantFrom(...ENTRY_KINDS), body, (kind, members) => {
      const { json } = exportEvent(logged(kind, members))
      assert.match(json, /^[\u0020-\u007e]+$/)
      const event = JSON.parse(json) as Record<string, unknown>
      checkEvent(event)
      assert.deepEqual(event['unmapped'], JSON.parse(JSON.stringify(members)))
    }),
    { numRuns: 200 },
  )
})

test('the document names every class that is used, and the version', async () => {
  const text = await readFile(new URL('../../../docs/exports.md', import.meta.url), 'utf8')
  for (const { uid } of Object.values(ocsfClasses)) assert.ok(text.includes(`(${uid})`), String(uid))
  assert.ok(text.includes(`\`metadata.version\` is ${ocsfVersion}`))
})
