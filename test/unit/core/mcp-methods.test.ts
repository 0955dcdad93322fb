import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { REVISIONS } from '@doorward/core'
import type { JsonValue } from '@doorward/core'
import {
  BOTH,
  LEGACY,
  MODERN,
  TABLE,
  classify,
  envelope,
  modern,
  notification,
  refusal,
  request,
} from './mcp-exchange.ts'

const UNLISTED = [
  '',
  'Tools/call',
  'tools/call ',
  'tools/Call',
  'tools',
  '$/cancelRequest',
  'rpc.discover',
  'constructor',
  'toString',
  '__proto__',
  'hasOwnProperty',
  'sampling/createMessage',
  'elicitation/create',
  'roots/list',
  'resources/templates/read',
  'notifications/message',
]

test('the revisions list exactly the methods of the table', () => {
  for (const [version, revision] of REVISIONS) {
    const expected = Object.entries(TABLE).filter(([, row]) =>
      version === MODERN ? row.modern === true : row.legacy.includes(version),
    )
    assert.deepEqual(
      Array.from(revision.client.keys()).toSorted(),
      expected.map(([method]) => method).toSorted(),
      version,
    )
  }
})

for (const version of LEGACY) {
  describe(`in revision ${version}`, () => {
    for (const [method, row] of Object.entries(TABLE)) {
      const listed = row.legacy.includes(version)
      const other = row.kind === 'request' ? notification(method, row.params) : request(method, row.params)
      const right = row.kind === 'request' ? request(method, row.params) : notification(method, row.params)

      test(`${method} as ${row.kind} is ${listed ? 'classified' : 'refused'}`, () => {
        const outcome = classify(right, method === 'initialize' ? {} : { session: version })
        if (!listed) {
          assert.deepEqual(
            refusal(outcome),
            row.kind === 'request'
              ? ['mcp_method_unlisted', 200, -32601, 7]
              : ['mcp_notification_refused', 400, null, null],
          )
          return
        }
        assert.ok(outcome.kind === row.kind)
        assert.deepEqual(outcome.subject, row.subject)
        assert.equal(outcome.era, 'legacy')
        assert.equal(outcome.method, method)
        if (outcome.kind === 'request') assert.equal(outcome.listOf, row.listOf)
        if (method !== 'initialize') assert.equal(outcome.revision, version)
      })

      test(`${method} as the other kind is refused`, () => {
        if (method === 'initialize' && row.kind === 'notification') return
        const expected =
          row.kind === 'request'
            ? ['mcp_notification_refused', 400, null, null]
            : ['mcp_method_unlisted', 200, -32601, 7]
        assert.deepEqual(refusal(classify(other, { session: version })), expected)
      })
    }

    for (const method of UNLISTED) {
      test(`${JSON.stringify(method)} is refused as request and as notification`, () => {
        assert.deepEqual(refusal(classify(request(method), { session: version })), [
          'mcp_method_unlisted',
          200,
          -32601,
          7,
        ])
        assert.deepEqual(refusal(classify(notification(method), { session: version })), [
          'mcp_notification_refused',
          400,
          null,
          null,
        ])
      })
    }
  })
}

describe(`in revision ${MODERN}, where it is supported`, () => {
  for (const [method, row] of Object.entries(TABLE)) {
    test(`${method} is ${row.modern === true ? 'classified' : 'refused'}`, () => {
      if (row.kind === 'notification') {
        const body = notification(method, { ...row.params, _meta: envelope() })
        assert.deepEqual(refusal(classify(body, { version: MODERN, mcpMethod: method, supported: BOTH })), [
          'mcp_notification_refused',
          400,
          null,
          null,
        ])
        return
      }
      const outcome = modern(method, row.params)
      if (row.modern !== true) {
        assert.deepEqual(refusal(outcome), ['mcp_method_unlisted', 404, -32601, 7])
        return
      }
      assert.ok(outcome.kind === 'request')
      assert.equal(outcome.era, 'modern')
      assert.equal(outcome.revision, MODERN)
      assert.deepEqual(outcome.subject, row.subject)
      assert.equal(outcome.listOf, row.listOf)
    })
  }

  // A header cannot repeat a name that ends in a space, so that one is a mismatch already.
  for (const method of UNLISTED.filter((name) => name === name.trim())) {
    test(`${JSON.stringify(method)} is refused`, () => {
      assert.deepEqual(refusal(modern(method, {})), ['mcp_method_unlisted', 404, -32601, 7])
    })
  }

  test('subscriptions/listen names every resource and task as a part', () => {
    const outcome = modern('subscriptions/listen', {
      notifications: { toolsListChanged: true, resourceSubscriptions: ['a:1', 'a:2'], taskIds: ['t1'] },
    })
    assert.ok(outcome.kind === 'request')
    assert.deepEqual(outcome.parts, [
      { kind: 'resource', name: 'a:1' },
      { kind: 'resource', name: 'a:2' },
      { kind: 'task', name: 't1' },
    ])
  })

  test('subscriptions/listen with anything else is refused', () => {
    for (const notifications of [
      undefined,
      [],
      { resourceSubscriptions: 'a:1' },
      { taskIds: [1] },
      { toolsListChanged: 1 },
      { everything: true },
    ]) {
      const params = notifications === undefined ? {} : { notifications: notifications as JsonValue }
      assert.deepEqual(refusal(modern('subscriptions/listen', params)), ['mcp_subject_missing', 200, -32602, 7])
    }
  })

  test('Mcp-Method has to be there and to be the method', () => {
    for (const mcpMethod of ['tools/list', 'Tools/Call', '']) {
      assert.deepEqual(refusal(modern('tools/call', { name: 'a' }, { mcpMethod })), [
        'mcp_header_mismatch',
        400,
        -32020,
        7,
      ])
    }
    const absent = classify(request('ping', { _meta: envelope() }), { version: MODERN, supported: BOTH })
    assert.deepEqual(refusal(absent), ['mcp_header_mismatch', 400, -32020, 7])
    assert.equal(modern('tools/call', { name: 'a' }, { mcpMethod: ' tools/call\t' }).kind, 'request')
  })

  test('Mcp-Name has to be there and to be the name, after decoding', () => {
    for (const mcpName of [
      'b',
      'A',
      '',
      '=?base64?Yg==?=',
      '=?base64?Y?=',
      '=?base64?/w==?=',
      '=?base64?YQ?=',
      '=?base64?=',
    ]) {
      assert.deepEqual(
        refusal(modern('tools/call', { name: 'a' }, { mcpName })),
        ['mcp_header_mismatch', 400, -32020, 7],
        mcpName,
      )
    }
    for (const mcpName of ['a', ' a ', '=?base64?YQ==?='])
      assert.equal(modern('tools/call', { name: 'a' }, { mcpName }).kind, 'request', mcpName)
    const absent = classify(request('tools/call', { name: 'a', _meta: envelope() }), {
      version: MODERN,
      mcpMethod: 'tools/call',
      supported: BOTH,
    })
    assert.deepEqual(refusal(absent), ['mcp_header_mismatch', 400, -32020, 7])
  })

  test('Mcp-Name means nothing where the method mirrors nothing', () => {
    assert.equal(
      modern('completion/complete', { ref: { type: 'ref/prompt', name: 'a' } }, { mcpName: 'other' }).kind,
      'request',
    )
  })
})
