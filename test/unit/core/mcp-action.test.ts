import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  REVISIONS,
  SUPPORTED_VERSIONS,
  actionTable,
  classifyMcp,
  isKnownUse,
  mcpAction,
  partAction,
} from '@doorward/core'
import type { Action, Classified, JsonObject, JsonValue, ToolEffect } from '@doorward/core'

function classified(body: JsonValue | undefined, httpMethod = 'POST'): Classified {
  const headers = { protocolVersion: undefined, method: undefined, name: undefined }
  const outcome = classifyMcp({
    httpMethod,
    headers,
    body,
    session: { version: '2025-11-25' },
    supported: SUPPORTED_VERSIONS,
  })
  assert.ok(outcome.kind !== 'refusal')
  return outcome
}

function actionOf(method: string, params: JsonObject): Action {
  const body = method.startsWith('notifications/')
    ? { jsonrpc: '2.0', method, params }
    : { jsonrpc: '2.0', id: 1, method, params }
  return mcpAction(classified(body), 'files', () => 'write')
}

describe('the action of a message', () => {
  const everything: JsonObject = {
    name: 'n',
    uri: 'u',
    taskId: 't',
    requestId: 1,
    progressToken: 1,
    protocolVersion: '2025-11-25',
    ref: { type: 'ref/prompt', name: 'n' },
  }
  const groups: Readonly<Record<string, Action['group']>> = {
    'tools/call': 'write',
    'prompts/get': 'read',
    'resources/read': 'read',
    'resources/subscribe': 'read',
    'resources/unsubscribe': 'read',
    'completion/complete': 'read',
    'tasks/get': 'read',
    'tasks/result': 'read',
    'tasks/cancel': 'write',
  }
  for (const method of REVISIONS.get('2025-11-25')!.client.keys()) {
    const group = groups[method] ?? 'session'
    test(`${method} is ${group}`, () => assert.deepEqual(actionOf(method, everything), { name: method, group }))
  }

  test('is one that policy knows, on that kind of resource', () => {
    for (const method of REVISIONS.get('2025-11-25')!.client.keys()) {
      const body = method.startsWith('notifications/')
        ? { jsonrpc: '2.0', method, params: everything }
        : { jsonrpc: '2.0', id: 1, method, params: everything }
      const message = classified(body)
      assert.ok(
        isKnownUse(
          mcpAction(message, 'files', () => 'write'),
          message.subject.kind,
        ),
        method,
      )
    }
  })

  test('of every listed method of every revision has a row in policy', () => {
    for (const revision of REVISIONS.values()) {
      for (const method of revision.client.keys()) assert.ok(actionTable.has(method), method)
    }
  })

  test('tools/call is in the group of the effect that is declared for that tool of that server', () => {
    const asked: string[] = []
    for (const effect of ['read', 'write', 'admin'] as readonly ToolEffect[]) {
      const action = mcpAction(
        classified({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'n' } }),
        'files',
        (server, tool) => {
          asked.push(`${server}/${tool}`)
          return effect
        },
      )
      assert.deepEqual(action, { name: 'tools/call', group: effect })
    }
    assert.deepEqual(asked, ['files/n', 'files/n', 'files/n'])
  })

  test('responses and session operations belong to the session', () => {
    assert.deepEqual(
      mcpAction(classified({ jsonrpc: '2.0', id: 1, result: {} }), 'files', () => 'admin'),
      { name: 'response', group: 'session' },
    )
    for (const verb of ['GET', 'DELETE']) {
      const operation = classified(undefined, verb)
      const action = mcpAction(operation, 'files', () => 'admin')
      assert.deepEqual(action, { name: verb, group: 'session' })
      assert.ok(isKnownUse(action, operation.subject.kind))
    }
  })

  test('each part of subscriptions/listen is read', () => {
    const version = '2026-07-28'
    const outcome = classifyMcp({
      httpMethod: 'POST',
      headers: { protocolVersion: version, method: 'subscriptions/listen', name: undefined },
      body: {
        jsonrpc: '2.0',
        id: 1,
        method: 'subscriptions/listen',
        params: {
          notifications: { resourceSubscriptions: ['a:1'] },
          _meta: {
            'io.modelcontextprotocol/protocolVersion': version,
            'io.modelcontextprotocol/clientCapabilities': {},
          },
        },
      },
      session: null,
      supported: [version],
    })
    assert.ok(outcome.kind === 'request')
    assert.ok(
      isKnownUse(
        mcpAction(outcome, 'files', () => 'write'),
        'server',
      ),
    )
    assert.ok(isKnownUse(partAction(outcome), outcome.parts[0]!.kind))
  })
})
