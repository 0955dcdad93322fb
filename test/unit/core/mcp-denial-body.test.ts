import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  classifyMcp,
  errorBody,
  fromUtf8,
  refusalBody,
  refuseJson,
  scanJson,
  toolDenialResult,
  utf8,
} from '@doorward/core'

const text = (bytes: Uint8Array | null): string => (bytes === null ? 'none' : fromUtf8(bytes))

test('an error body carries the id as it came, and data only where there is some', () => {
  assert.equal(
    text(errorBody('a"\n', -32601, 'method not found')),
    '{"jsonrpc":"2.0","id":"a\\"\\n","error":{"code":-32601,"message":"method not found"}}',
  )
  assert.equal(
    text(errorBody(null, -32700, 'x', { a: [1] })),
    '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x","data":{"a":[1]}}}',
  )
})

test('a tool denial is a result that the model reads; resultType exists in the modern era alone', () => {
  const content = '"isError":true,"content":[{"type":"text","text":"denied"}]'
  assert.equal(text(toolDenialResult(7, 'denied')), `{"jsonrpc":"2.0","id":7,"result":{${content}}}`)
  assert.equal(
    text(toolDenialResult(7, 'denied', 'modern')),
    `{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete",${content}}}`,
  )
})

test('a refused request has a body, a refused notification none', () => {
  const headers = { protocolVersion: undefined, method: undefined, name: undefined }
  const exchange = { httpMethod: 'POST', headers, session: null, supported: ['2025-03-26'] }
  const request = classifyMcp({ ...exchange, body: { jsonrpc: '2.0', id: 7, method: 'x' } })
  const notification = classifyMcp({ ...exchange, body: { jsonrpc: '2.0', method: 'x' } })
  assert.ok(request.kind === 'refusal' && notification.kind === 'refusal')
  assert.equal(
    text(refusalBody(request)),
    '{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"method not found"}}',
  )
  assert.equal(refusalBody(notification), null)
})

test('a body that is not JSON is 400 / −32700, one that is too large 413', () => {
  const syntax = scanJson(utf8('{'))
  const large = scanJson(utf8('[1]'), { maxBytes: 2, maxDepth: 1, maxKeys: 1 })
  assert.ok(!syntax.ok && !large.ok)
  assert.deepEqual(
    [refuseJson(syntax).http, refuseJson(syntax).rpcCode, refuseJson(syntax).code],
    [400, -32700, 'json_syntax'],
  )
  assert.deepEqual(
    [refuseJson(large).http, refuseJson(large).rpcCode, refuseJson(large).code],
    [413, -32700, 'json_too_large'],
  )
})
