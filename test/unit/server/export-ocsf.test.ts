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
  enrichments: { required: ['data', 'name', 'value'] },
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

interface Case {
  readonly kind: EntryKind
  readonly body: Record<string, unknown>
  /** Without what every event has alike. */
  readonly event: Record<string, unknown>
}

/** What the writers of entries append, entries that say nothing, and what becomes of each. */
const file = new URL('../../fixtures/ocsf-cases.jsonl', import.meta.url)
const cases = (await readFile(file, 'utf8'))
  .split('\n')
  .slice(0, -1)
  .map((line) => JSON.parse(line) as Case)

test('each entry becomes the event that is written down for it, with all that its class requires', () => {
  for (const { kind, body, event: expected } of cases) {
    const event = ocsfOf(logged(kind, body))
    checkEvent(event)
    const { metadata, unmapped, time, category_uid: _category, type_uid: _type, ...rest } = event
    const { correlation_uid, ...described } = metadata as Record<string, unknown>
    assert.deepEqual({ ...rest, ...(correlation_uid === undefined ? {} : { correlation_uid }) }, expected)
    assert.deepEqual(described, {
      version: '1.3.0',
      product: { name: 'Doorward', vendor_name: 'Doorward' },
      uid: `${origin}#7`,
      sequence: 7,
      log_name: origin,
      log_provider: 'doorward',
      event_code: kind,
    })
    assert.deepEqual([unmapped, time], [body, 1_700_000_000_123])
  }
})

test('a call for somebody else names every link of its chain, and the tokens that it hangs on', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => `spiffe://acme.example/agent/${name}`)
  const chain = [{ id: b, token: 't2', serial: '02' }]
  const body = { decision: 'allow', code: 'allowed', subject: c, presenter: a, act: [b], chain, action: 'tools/call' }
  for (const one of [body, { ...body, decision: 'deny', code: 'token_expired' }]) {
    const event = ocsfOf(logged('decision', one))
    checkEvent(event)
    assert.deepEqual(event['enrichments'], [
      { name: 'actor.user', type: 'delegation', value: `${a} for ${b} for ${c}`, data: { links: [a, b, c], chain } },
    ])
  }
  assert.equal(ocsfOf(logged('decision', { ...body, subject: a, act: [] }))['enrichments'], undefined)
})

test('every kind of entry has a case here, and every class that is used has a row', () => {
  assert.deepEqual(new Set(cases.map(({ kind }) => kind)), new Set(ENTRY_KINDS))
  assert.deepEqual(
    Object.values(ocsfClasses).map(({ uid }) => String(uid)),
    Object.keys(classes),
  )
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
  assert.deepEqual([gap.index, gap.kind, gap.severity, gap.time], [5, 'gap', 4, 1])
  const { activity_name, count, unmapped, status_id, message, metadata } = event
  assert.deepEqual([activity_name, count, unmapped, status_id], ['Gap', 4, { from: 5, to: 9 }, 2])
  assert.equal(message, `entries 5 to 8 of ${origin} were deleted before they were delivered`)
  assert.equal((metadata as Record<string, unknown>)['event_code'], 'gap')
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
