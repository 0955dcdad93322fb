import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { ToolHeaders } from '../../../packages/sdk/src/tool-headers.ts'

const marked = (name: string, more: object = {}) => ({ type: 'string', 'x-mcp-header': name, ...more })

test('arguments that the schema marks are repeated as headers, at any depth of properties', () => {
  const headers = new ToolHeaders()
  const inner = { type: 'object', properties: { deep: marked('Deep'), flag: marked('Flag'), n: marked('N') } }
  const properties = { region: marked('Region'), plain: { type: 'string' }, inner, list: { items: marked('Never') } }
  headers.learn({ tools: [{ name: 'go', inputSchema: { type: 'object', properties } }] })
  deepEqual(headers.of('go', { region: 'eu', plain: 'x', inner: { deep: 'a b', flag: true, n: 7 }, list: ['x'] }), {
    'mcp-param-region': 'eu',
    'mcp-param-deep': 'a b',
    'mcp-param-flag': 'true',
    'mcp-param-n': '7',
  })
  deepEqual(headers.of('go', { region: 'é' }), { 'mcp-param-region': '=?base64?w6k=?=' })
  for (const args of [{}, { region: null }, { region: {} }, { inner: 'x' }]) deepEqual(headers.of('go', args), {})
  deepEqual(headers.of('other', { region: 'eu' }), {})
})

test('what is no list, no tool or no header name has no headers; a tool without marks loses them', () => {
  const headers = new ToolHeaders()
  for (const result of [undefined, null, 7, {}, { tools: 'x' }, { tools: [null, 1, { name: 7 }, { name: 'a' }] }])
    headers.learn(result)
  const bad = { a: marked('two words'), b: marked('line\r\nbreak'), c: marked(''), d: { 'x-mcp-header': 7 } }
  headers.learn({ tools: [{ name: 'go', inputSchema: { properties: bad } }] })
  deepEqual(headers.of('go', { a: '1', b: '2', c: '3', d: '4' }), {})
  headers.learn({ tools: [{ name: 'go', inputSchema: { properties: { a: marked('A') } } }] })
  deepEqual(headers.of('go', { a: '1' }), { 'mcp-param-a': '1' })
  headers.learn({ tools: [{ name: 'go', inputSchema: {} }] })
  deepEqual(headers.of('go', { a: '1' }), {})
})
