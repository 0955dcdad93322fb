import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { REVISIONS, classifyServerMessage, isCapable, negotiatedVersion, SUPPORTED_VERSIONS } from '@doorward/core'
import type { JsonObject, JsonValue, ServerMessage, ServerMessageRefusal } from '@doorward/core'

const ALL = Array.from(REVISIONS.keys())
const LEGACY = ALL.filter((version) => version !== '2026-07-28')

function classify(body: JsonValue, version = '2025-11-25'): ServerMessage | ServerMessageRefusal {
  return classifyServerMessage(body, REVISIONS.get(version)!)
}

const request = (method: string, params: JsonObject = {}): JsonObject => ({ jsonrpc: '2.0', id: 's1', method, params })
const notification = (method: string, params: JsonObject = {}): JsonObject => ({ jsonrpc: '2.0', method, params })

const REQUESTS: Readonly<Record<string, { readonly in: readonly string[]; readonly needs: string | undefined }>> = {
  ping: { in: LEGACY, needs: undefined },
  'sampling/createMessage': { in: LEGACY, needs: 'sampling' },
  'roots/list': { in: LEGACY, needs: 'roots' },
  'elicitation/create': { in: ['2025-06-18', '2025-11-25'], needs: 'elicitation' },
  'tasks/get': { in: ['2025-11-25'], needs: 'tasks' },
  'tasks/result': { in: ['2025-11-25'], needs: 'tasks' },
  'tasks/cancel': { in: ['2025-11-25'], needs: 'tasks' },
  'tasks/list': { in: ['2025-11-25'], needs: 'tasks' },
}

const NOTIFICATIONS: Readonly<Record<string, readonly string[]>> = {
  'notifications/cancelled': ALL,
  'notifications/progress': ALL,
  'notifications/message': ALL,
  'notifications/tools/list_changed': ALL,
  'notifications/prompts/list_changed': ALL,
  'notifications/resources/list_changed': ALL,
  'notifications/resources/updated': ALL,
  'notifications/tasks/status': ['2025-11-25'],
  'notifications/elicitation/complete': ['2025-11-25'],
  'notifications/subscriptions/acknowledged': ['2026-07-28'],
  'notifications/tasks': ['2026-07-28'],
}

const everything: JsonObject = { uri: 'u', taskId: 't', requestId: 1, progressToken: 1 }

describe('a message from the server', () => {
  for (const version of ALL) {
    test(`is in ${version} one that the revision lists in this direction`, () => {
      const listed = [
        ...Object.keys(REQUESTS).filter((m) => REQUESTS[m]!.in.includes(version)),
        ...Object.keys(NOTIFICATIONS).filter((m) => NOTIFICATIONS[m]!.includes(version)),
      ]
      assert.deepEqual(Array.from(REVISIONS.get(version)!.server.keys()).toSorted(), listed.toSorted())
      for (const [method, row] of Object.entries(REQUESTS)) {
        const outcome = classify(request(method, everything), version)
        if (!row.in.includes(version))
          assert.ok(outcome.kind === 'refusal' && outcome.rpcCode === -32601 && outcome.id === 's1')
        else assert.ok(outcome.kind === 'request' && outcome.row.capability === row.needs)
      }
      for (const [method, versions] of Object.entries(NOTIFICATIONS)) {
        const outcome = classify(notification(method, everything), version)
        if (!versions.includes(version)) assert.ok(outcome.kind === 'refusal' && outcome.id === null)
        else assert.ok(outcome.kind === 'notification')
      }
    })
  }

  test('that is not listed, or of the other kind, is refused', () => {
    for (const method of [
      'tools/call',
      'initialize',
      'resources/read',
      'constructor',
      '',
      'Ping',
      'notifications/message',
      'notifications/initialized',
    ]) {
      const outcome = classify(request(method, everything))
      assert.ok(outcome.kind === 'refusal' && outcome.code === 'mcp_method_unlisted' && outcome.id === 's1', method)
    }
    for (const method of [
      'ping',
      'sampling/createMessage',
      'notifications/initialized',
      'notifications/roots/list_changed',
      'notifications/',
    ]) {
      const outcome = classify(notification(method, everything))
      assert.ok(outcome.kind === 'refusal' && outcome.code === 'mcp_method_unlisted' && outcome.id === null, method)
    }
  })

  test('answers the request whose id it bears', () => {
    assert.deepEqual(classify({ jsonrpc: '2.0', id: 4, result: {} }), { kind: 'response', id: 4, outcome: 'result' })
    assert.deepEqual(classify({ jsonrpc: '2.0', id: 4, error: { code: -1, message: '' } }), {
      kind: 'response',
      id: 4,
      outcome: 'error',
    })
    assert.deepEqual(classify({ jsonrpc: '2.0', id: null, error: { code: -32700, message: '' } }), {
      kind: 'unaddressed-error',
      rpcCode: -32700,
    })
  })

  test('that is malformed, a batch or a lookalike is refused', () => {
    for (const [body, code] of [
      [[], 'mcp_batch'],
      [{ jsonrpc: '2.0', id: 1, result: [] }, 'mcp_message_malformed'],
      [{ jsonrpc: '2.0', id: 1, result: {}, Result: {} }, 'mcp_key_lookalike'],
    ] as const) {
      const outcome = classify(body)
      assert.ok(outcome.kind === 'refusal' && outcome.code === code)
    }
  })

  test('names its resource, task, request or token', () => {
    const updated = classify(notification('notifications/resources/updated', { uri: 'file:///a' }))
    assert.deepEqual(updated.kind === 'notification' && updated.subject, { kind: 'resource', name: 'file:///a' })
    const progress = classify(notification('notifications/progress', { progressToken: 'p' }))
    assert.equal(progress.kind === 'notification' && progress.refersTo, 'p')
    for (const method of [
      'notifications/resources/updated',
      'notifications/progress',
      'notifications/cancelled',
      'notifications/tasks/status',
    ]) {
      const outcome = classify(notification(method))
      assert.ok(outcome.kind === 'refusal' && outcome.code === 'mcp_subject_missing', method)
    }
  })
})

describe('a request of the server', () => {
  function capable(capabilities: JsonValue | undefined, method: string, params: JsonObject = {}): boolean {
    const outcome = classify(request(method, params))
    assert.ok(outcome.kind === 'request')
    return isCapable(capabilities, outcome)
  }

  test('needs the capability that its method names', () => {
    assert.equal(capable({}, 'ping'), true)
    assert.equal(capable(undefined, 'ping'), true)
    assert.equal(capable({ sampling: {} }, 'sampling/createMessage'), true)
    assert.equal(capable({ roots: { listChanged: true } }, 'roots/list'), true)
    for (const capabilities of [undefined, null, {}, { roots: {} }, { sampling: true }, { Sampling: {} }] as readonly (
      | JsonValue
      | undefined
    )[]) {
      assert.equal(capable(capabilities, 'sampling/createMessage'), false)
    }
  })

  test('to elicit needs the mode too; an empty declaration means form', () => {
    assert.equal(capable({ elicitation: {} }, 'elicitation/create'), true)
    assert.equal(capable({ elicitation: {} }, 'elicitation/create', { mode: 'form' }), true)
    assert.equal(capable({ elicitation: {} }, 'elicitation/create', { mode: 'url' }), false)
    assert.equal(capable({ elicitation: { url: {} } }, 'elicitation/create', { mode: 'url' }), true)
    assert.equal(capable({ elicitation: { url: {} } }, 'elicitation/create'), false)
    assert.equal(capable({ elicitation: { url: {}, form: {} } }, 'elicitation/create'), true)
    const unknown = classify(request('elicitation/create', { mode: 'popup' }))
    assert.ok(unknown.kind === 'refusal' && unknown.code === 'mcp_subject_missing')
  })
})

test('an initialize result settles on a supported legacy version or on none', () => {
  assert.equal(negotiatedVersion({ protocolVersion: '2025-06-18' }, SUPPORTED_VERSIONS), '2025-06-18')
  for (const result of [
    {},
    null,
    [],
    { protocolVersion: 1 },
    { protocolVersion: '2026-07-28' },
    { protocolVersion: '1999-01-01' },
  ]) {
    assert.equal(negotiatedVersion(result, SUPPORTED_VERSIONS), null)
  }
})
