import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { LEGACY_VERSIONS } from '@doorward/core'
import type { Classified, JsonObject, JsonValue, McpRefusal } from '@doorward/core'
import { BOTH, MODERN, TABLE, classify, envelope, notification, refusal, request } from './mcp-exchange.ts'

describe('the order of the eras', () => {
  const list = (params: JsonObject): JsonObject => request('tools/list', params)

  test('a well-formed modern request is answered with the versions that are supported', () => {
    const outcome = classify(list({ _meta: envelope() }), { version: MODERN, mcpMethod: 'tools/list' })
    assert.deepEqual(refusal(outcome), ['mcp_version_unsupported', 400, -32022, 7])
    assert.ok(outcome.kind === 'refusal')
    assert.deepEqual(outcome.data, { supported: LEGACY_VERSIONS, requested: MODERN })
  })

  test('so is server/discover, from which clients learn the era', () => {
    const outcome = classify(request('server/discover', { _meta: envelope() }), {
      version: MODERN,
      mcpMethod: 'server/discover',
    })
    assert.deepEqual(refusal(outcome), ['mcp_version_unsupported', 400, -32022, 7])
  })

  test('an envelope that names a legacy or unknown version is unsupported, also where the header agrees', () => {
    for (const version of ['2025-11-25', '2027-01-01', 'x']) {
      const outcome = classify(list({ _meta: envelope(version) }), { version, supported: BOTH })
      assert.deepEqual(refusal(outcome), ['mcp_version_unsupported', 400, -32022, 7])
    }
  })

  test('a malformed envelope is −32602 before any header is compared', () => {
    const malformed: readonly JsonObject[] = [
      envelope(7),
      envelope(null),
      { 'io.modelcontextprotocol/protocolVersion': MODERN },
      { ...envelope(), 'io.modelcontextprotocol/clientCapabilities': [] },
      { ...envelope(), 'io.modelcontextprotocol/clientCapabilities': { sampling: true } },
      { ...envelope(), 'io.modelcontextprotocol/clientInfo': { name: 'x' } },
      { ...envelope(), 'io.modelcontextprotocol/logLevel': 'loud' },
      { ...envelope(), progressToken: 1.5 },
    ]
    for (const _meta of malformed) {
      assert.deepEqual(refusal(classify(list({ _meta }), { version: '2025-11-25' })), [
        'mcp_envelope_malformed',
        400,
        -32602,
        7,
      ])
    }
  })

  test('an envelope without its header, or with another, is −32020', () => {
    for (const version of [undefined, '2025-11-25', '2026-07-29', '']) {
      const setting = version === undefined ? {} : { version }
      assert.deepEqual(refusal(classify(list({ _meta: envelope() }), setting)), ['mcp_header_mismatch', 400, -32020, 7])
    }
  })

  test('a modern header without an envelope is −32602', () => {
    assert.deepEqual(refusal(classify(list({}), { version: MODERN })), ['mcp_envelope_malformed', 400, -32602, 7])
    assert.deepEqual(refusal(classify(list({}), { version: MODERN, session: '2025-11-25' })), [
      'mcp_envelope_malformed',
      400,
      -32602,
      7,
    ])
    assert.deepEqual(refusal(classify(request('tools/list'), { version: ` ${MODERN}` })), [
      'mcp_envelope_malformed',
      400,
      -32602,
      7,
    ])
  })

  test('initialize with a modern envelope does not exist', () => {
    assert.deepEqual(refusal(classify(request('initialize', { _meta: envelope() }), { version: MODERN })), [
      'mcp_method_unlisted',
      404,
      -32601,
      7,
    ])
  })

  test('initialize under a modern header contradicts it, whatever half of an envelope it has', () => {
    const params = { protocolVersion: '2025-11-25' }
    const half = { ...params, _meta: { 'io.modelcontextprotocol/protocolVersion': MODERN } }
    for (const p of [params, half]) {
      assert.deepEqual(refusal(classify(request('initialize', p), { version: MODERN })), [
        'mcp_header_mismatch',
        400,
        -32020,
        7,
      ])
    }
  })

  test('initialize is judged by the version it asks for, or by the newest where that is unknown', () => {
    for (const [asked, judged] of [
      ['2024-11-05', '2024-11-05'],
      ['1999-01-01', '2025-11-25'],
      [MODERN, '2025-11-25'],
    ] as const) {
      const outcome = classify(request('initialize', { protocolVersion: asked }))
      assert.ok(outcome.kind === 'request')
      assert.equal(outcome.revision, judged)
    }
    assert.deepEqual(refusal(classify(request('initialize', {}))), ['mcp_params_malformed', 200, -32602, 7])
  })

  test('a notification follows its body key, else the header, and the modern era has none', () => {
    for (const [params, setting] of [
      [{ _meta: envelope() }, {}],
      [{ _meta: { 'io.modelcontextprotocol/protocolVersion': 7 } }, { session: '2025-11-25' }],
      [{}, { version: MODERN }],
    ] as const) {
      const outcome = classify(notification('notifications/initialized', params), setting)
      assert.deepEqual(refusal(outcome), ['mcp_notification_refused', 400, null, null])
    }
  })
})

describe('the version of a legacy message', () => {
  test('is the session’s, else the header’s, else 2025-03-26', () => {
    for (const [setting, version] of [
      [{ session: '2025-06-18' }, '2025-06-18'],
      [{ session: '2025-06-18', version: ' 2025-06-18 ' }, '2025-06-18'],
      [{ version: '2024-11-05' }, '2024-11-05'],
      [{}, '2025-03-26'],
    ] as const) {
      const outcome = classify(request('ping'), setting)
      assert.ok(outcome.kind === 'request')
      assert.equal(outcome.revision, version)
    }
  })

  test('may not differ between session and header', () => {
    const setting = { session: '2025-06-18', version: '2025-11-25' }
    assert.deepEqual(refusal(classify(request('ping'), setting)), ['mcp_header_mismatch', 400, -32020, 7])
    assert.deepEqual(refusal(classify(notification('notifications/initialized'), setting)), [
      'mcp_header_mismatch',
      400,
      null,
      null,
    ])
    assert.deepEqual(refusal(classify({ jsonrpc: '2.0', id: 1, result: {} }, setting)), [
      'mcp_header_mismatch',
      400,
      null,
      null,
    ])
    assert.deepEqual(refusal(classify(undefined, { ...setting, httpMethod: 'GET' })), [
      'mcp_header_mismatch',
      400,
      null,
      null,
    ])
  })

  test('has to be supported', () => {
    for (const setting of [
      { version: '2025-01-01' },
      { version: '' },
      { version: '2025-11-25', supported: ['2025-06-18'] },
      { supported: ['2025-11-25'] },
    ]) {
      assert.deepEqual(refusal(classify(request('ping'), setting)), ['mcp_version_unsupported', 400, -32022, 7])
    }
  })
})

describe('what is not a POSTed call', () => {
  test('GET and DELETE are operations on a session', () => {
    for (const [httpMethod, operation] of [
      ['GET', 'stream'],
      ['DELETE', 'end'],
    ] as const) {
      const outcome = classify(undefined, { httpMethod, session: '2025-11-25' })
      assert.ok(outcome.kind === 'session-operation')
      assert.equal(outcome.operation, operation)
    }
  })

  test('other verbs, and any verb of the modern era, are refused', () => {
    for (const httpMethod of ['PUT', 'HEAD', 'OPTIONS', 'PATCH', 'post', 'get', 'TRACE', '']) {
      assert.deepEqual(refusal(classify(request('ping'), { httpMethod })), ['mcp_http_method_refused', 405, null, null])
    }
    for (const httpMethod of ['GET', 'DELETE']) {
      assert.deepEqual(refusal(classify(undefined, { httpMethod, version: MODERN })), [
        'mcp_http_method_refused',
        405,
        null,
        null,
      ])
    }
  })

  test('a client response keeps its id and outcome', () => {
    for (const [body, outcome] of [
      [{ jsonrpc: '2.0', id: 'x', result: {} }, 'result'],
      [{ jsonrpc: '2.0', id: 'x', error: { code: -1, message: 'no' } }, 'error'],
    ] as const) {
      const classified = classify(body, { session: '2025-11-25' })
      assert.ok(classified.kind === 'response')
      assert.equal(classified.id, 'x')
      assert.equal(classified.outcome, outcome)
    }
  })

  test('a client response has to answer something', () => {
    assert.deepEqual(refusal(classify({ jsonrpc: '2.0', error: { code: -1, message: 'no' } })), [
      'mcp_message_malformed',
      400,
      null,
      null,
    ])
  })

  test('batches and malformed messages are −32600', () => {
    assert.deepEqual(refusal(classify([request('ping')], { session: '2025-03-26' })), ['mcp_batch', 400, -32600, null])
    assert.deepEqual(refusal(classify(undefined)), ['mcp_message_malformed', 400, -32600, null])
    assert.deepEqual(refusal(classify({ ...request('ping'), params: [] })), ['mcp_message_malformed', 400, -32600, 7])
    assert.deepEqual(refusal(classify(request('tools/call', { name: 'a', Name: 'b' }))), [
      'mcp_key_lookalike',
      400,
      -32600,
      7,
    ])
  })
})

describe('the subject and the params', () => {
  test('a subject that is missing or no text is refused', () => {
    const wrong: readonly JsonValue[] = [null, 1, true, '', ['a'], { name: 'a' }, 'x'.repeat(4097)]
    for (const [method, row] of Object.entries(TABLE)) {
      const field = ['name', 'uri', 'taskId'].find((key) => row.params[key] !== undefined)
      if (field === undefined || row.kind === 'notification' || row.legacy.length === 0) continue
      const { [field]: _, ...without } = row.params
      for (const params of [without, ...wrong.map((value) => ({ ...row.params, [field]: value }))]) {
        assert.deepEqual(
          refusal(classify(request(method, params), { session: '2025-11-25' })),
          ['mcp_subject_missing', 200, -32602, 7],
          method,
        )
      }
      assert.deepEqual(
        refusal(classify(request(method), { session: '2025-11-25' })),
        ['mcp_subject_missing', 200, -32602, 7],
        method,
      )
    }
  })

  test('a completion names a prompt or a resource, and only one of them', () => {
    const complete = (ref: JsonValue): Classified | McpRefusal => classify(request('completion/complete', { ref }))
    const found = complete({ type: 'ref/resource', uri: 'file:///{path}' })
    assert.deepEqual(found.kind === 'request' && found.subject, { kind: 'resource', name: 'file:///{path}' })
    for (const ref of [
      'ref/prompt',
      null,
      {},
      { type: 'ref/prompt' },
      { type: 'ref/prompt', uri: 'a' },
      { type: 'ref/tool', name: 'a' },
      { name: 'a' },
      { type: 'ref/prompt', name: 'a', uri: 'b' },
      { type: 'ref/resource', name: 'a', uri: 'b' },
      { type: 'ref/resource', uri: ['a'] },
    ]) {
      assert.deepEqual(refusal(complete(ref)), ['mcp_subject_missing', 200, -32602, 7])
    }
  })

  test('arguments, progress token and task of a call are read, and have to be of their types', () => {
    const outcome = classify(
      request('tools/call', { name: 'a', arguments: { x: 1 }, task: { ttl: 1 }, _meta: { progressToken: 'p' } }),
      { session: '2025-11-25' },
    )
    assert.ok(outcome.kind === 'request')
    assert.deepEqual(outcome.args, { x: 1 })
    assert.equal(outcome.progressToken, 'p')
    assert.equal(outcome.asTask, true)
    for (const params of [
      { arguments: [1] },
      { arguments: null },
      { arguments: 'x' },
      { _meta: [] },
      { _meta: null },
      { _meta: { progressToken: 1.5 } },
      { _meta: { progressToken: null } },
    ]) {
      assert.deepEqual(refusal(classify(request('tools/call', { name: 'a', ...(params as JsonObject) }))), [
        'mcp_params_malformed',
        200,
        -32602,
        7,
      ])
    }
  })

  test('notifications name what they refer to', () => {
    const outcome = classify(notification('notifications/cancelled', { requestId: 'r' }))
    assert.equal(outcome.kind === 'notification' && outcome.refersTo, 'r')
    for (const [method, params] of [
      ['notifications/cancelled', {}],
      ['notifications/cancelled', { requestId: null }],
      ['notifications/cancelled', { requestId: 1.5 }],
      ['notifications/progress', { progress: 1 }],
    ] as const) {
      assert.deepEqual(refusal(classify(notification(method, params))), ['mcp_subject_missing', 400, null, null])
    }
  })
})
