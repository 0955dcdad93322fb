import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isRequestId, parseMessage, scanJson, utf8 } from '@doorward/core'
import type { JsonValue, MalformedMessage, McpMessage } from '@doorward/core'

function parse(text: string): McpMessage | MalformedMessage {
  const scan = scanJson(utf8(text))
  assert.ok(scan.ok, text)
  return parseMessage(scan.value)
}

function codeOf(text: string): string {
  const message = parse(text)
  return message.kind === 'malformed' ? message.code : message.kind
}

const call = (rest: string): string => `{"jsonrpc":"2.0","id":1,"method":"tools/call"${rest}}`

describe('a JSON-RPC message', () => {
  const shapes: readonly (readonly [string, string])[] = [
    [call(''), 'request'],
    [call(',"params":{}'), 'request'],
    ['{"jsonrpc":"2.0","method":"x"}', 'notification'],
    ['{"jsonrpc":"2.0","id":"a","result":{}}', 'result'],
    ['{"jsonrpc":"2.0","id":0,"error":{"code":-1,"message":""}}', 'error'],
    ['{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":""}}', 'error'],
    ['{"jsonrpc":"2.0","error":{"code":-1,"message":"","data":[1]}}', 'error'],
    ['[]', 'mcp_batch'],
    [`[${call('')}]`, 'mcp_batch'],
    ['null', 'mcp_message_malformed'],
    ['"tools/call"', 'mcp_message_malformed'],
    ['{}', 'mcp_message_malformed'],
    ['{"id":1,"method":"x"}', 'mcp_message_malformed'],
    ['{"jsonrpc":2.0,"id":1,"method":"x"}', 'mcp_message_malformed'],
    ['{"jsonrpc":"1.0","id":1,"method":"x"}', 'mcp_message_malformed'],
    ['{"jsonrpc":"2.0","id":null,"method":"x"}', 'mcp_message_malformed'],
    ['{"jsonrpc":"2.0","id":1.5,"method":"x"}', 'mcp_message_malformed'],
    ['{"jsonrpc":"2.0","id":1e400,"method":"x"}', 'mcp_message_malformed'],
    ['{"jsonrpc":"2.0","id":9007199254740993,"method":"x"}', 'mcp_message_malformed'],
    ['{"jsonrpc":"2.0","id":"","method":"x"}', 'mcp_message_malformed'],
    ['{"jsonrpc":"2.0","id":[1],"method":"x"}', 'mcp_message_malformed'],
    [`{"jsonrpc":"2.0","id":"${'i'.repeat(257)}","method":"x"}`, 'mcp_message_malformed'],
    ['{"jsonrpc":"2.0","id":1,"method":null}', 'mcp_message_malformed'],
    ['{"jsonrpc":"2.0","id":1,"method":["x"]}', 'mcp_message_malformed'],
    [call(',"params":[]'), 'mcp_message_malformed'],
    [call(',"params":null'), 'mcp_message_malformed'],
    [call(',"params":"x"'), 'mcp_message_malformed'],
    [call(',"result":{}'), 'mcp_message_malformed'],
    [call(',"error":{"code":1,"message":""}'), 'mcp_message_malformed'],
    [call(',"extra":1'), 'mcp_message_malformed'],
    ['{"jsonrpc":"2.0","id":1}', 'mcp_message_malformed'],
    ['{"jsonrpc":"2.0","result":{}}', 'mcp_message_malformed'],
    ['{"jsonrpc":"2.0","id":null,"result":{}}', 'mcp_message_malformed'],
    ['{"jsonrpc":"2.0","id":1,"result":null}', 'mcp_message_malformed'],
    ['{"jsonrpc":"2.0","id":1,"result":[]}', 'mcp_message_malformed'],
    ['{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}', 'mcp_message_malformed'],
    ['{"jsonrpc":"2.0","id":1,"result":{},"params":{}}', 'mcp_message_malformed'],
    ['{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":""}}', 'mcp_message_malformed'],
    ['{"jsonrpc":"2.0","id":1,"error":{"code":1.5,"message":""}}', 'mcp_message_malformed'],
    ['{"jsonrpc":"2.0","id":1,"error":"bad"}', 'mcp_message_malformed'],
  ]
  for (const [text, kind] of shapes) test(`${text.slice(0, 90)} is ${kind}`, () => assert.equal(codeOf(text), kind))

  test('keeps the id of a malformed request, so that the error can be paired with it', () => {
    const message = parse(call(',"params":[]'))
    assert.ok(message.kind === 'malformed' && message.id === 1)
  })

  test('ids are safe integers and strings of 1 to 256 units', () => {
    for (const id of [0, -1, Number.MAX_SAFE_INTEGER, 'a', 'a'.repeat(256)]) assert.equal(isRequestId(id), true)
    for (const id of [0.5, 2 ** 53, Infinity, '', null, true, {}] as readonly JsonValue[])
      assert.equal(isRequestId(id), false)
  })
})

describe('lookalike keys are refused', () => {
  const lookalikes: readonly (readonly [string, string])[] = [
    ['a field in other case at the top', '{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call"}'],
    ['params with a long s', call(',"params":{"name":"a"},"param\u017f":{"name":"b"}')],
    ['params with a long s, alone', call(',"param\u017f":{"name":"b"}')],
    ['name twice but for case', call(',"params":{"name":"a","Name":"b"}')],
    ['Name alone', call(',"params":{"Name":"b"}')],
    ['taskid alone', call(',"params":{"taskid":"b"}')],
    ['a name with a NUL behind it', call(',"params":{"name":"a","name\\u0000":"b"}')],
    ['a key with DEL', call(',"params":{"x\u007f":1}')],
    ['a key with a C1 control', call(',"params":{"x\u0085":1}')],
    ['unknown siblings that fold together', call(',"params":{"vendor":1,"VENDOR":2}')],
    ['unknown siblings that fold by the Kelvin sign', call(',"params":{"\u212aey":1,"key":2}')],
    ['_META', call(',"params":{"_META":{}}')],
    ['ProgressToken in _meta', call(',"params":{"_meta":{"ProgressToken":1}}')],
    [
      'the version key of _meta in other case',
      call(',"params":{"_meta":{"io.modelcontextprotocol/ProtocolVersion":"x"}}'),
    ],
    ['the Kelvin sign in task', call(',"params":{"tas\u212a":{}}')],
    ['Uri in ref', call(',"params":{"ref":{"type":"ref/resource","uri":"a","Uri":"b"}}')],
    ['TaskIds in notifications', call(',"params":{"notifications":{"taskIds":["a"],"TaskIds":["b"]}}')],
  ]
  for (const [name, text] of lookalikes) test(name, () => assert.equal(codeOf(text), 'mcp_key_lookalike'))

  test('but arguments are case-sensitive, and free in their names', () => {
    assert.equal(
      codeOf(call(',"params":{"name":"a","arguments":{"name":1,"Name":2,"x\\u0000":3,"Params":4}}')),
      'request',
    )
  })

  test('and keys that resemble nothing pass', () => {
    assert.equal(
      codeOf(call(',"params":{"name":"a","Vendor":1,"\u00fcber":2,"_meta":{"example.com/Trace":1,"traceparent":"x"}}')),
      'request',
    )
  })
})
