import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { LIST_LIMITS, filterListResult, fromUtf8, utf8 } from '@doorward/core'
import type { McpSubject } from '@doorward/core'

const answer = (result: string): Uint8Array => utf8(`{"jsonrpc":"2.0","id":1,"result":${result}}`)
const all = (): boolean => true
const none = (): boolean => false

function filtered(bytes: Uint8Array, method: string, allowed: (subject: McpSubject) => boolean): string {
  const list = filterListResult(bytes, method, allowed)
  return list.ok ? fromUtf8(list.bytes) : list.code
}

describe('a list result', () => {
  const lists = [
    ['tools/list', 'tools', 'name', 'tool'],
    ['prompts/list', 'prompts', 'name', 'prompt'],
    ['resources/list', 'resources', 'uri', 'resource'],
    ['resources/templates/list', 'resourceTemplates', 'uriTemplate', 'resource'],
    ['tasks/list', 'tasks', 'taskId', 'task'],
  ] as const
  for (const [method, items, name, kind] of lists) {
    test(`of ${method} loses the hidden items and nothing else`, () => {
      const item = (value: string): string => `{"x":9007199254740993, "${name}":"${value}","y":1e400}`
      const bytes = answer(
        `{"_meta":{"n":1e400},"${items}":[${item('a')} , ${item('b')},\n${item('c')}],"nextCursor":"\\u0063"}`,
      )
      const asked: McpSubject[] = []
      const list = filterListResult(bytes, method, (subject) => {
        asked.push(subject)
        return subject.name !== 'b'
      })
      assert.ok(list.ok)
      assert.deepEqual(
        asked,
        ['a', 'b', 'c'].map((value) => ({ kind, name: value })),
      )
      assert.equal(
        fromUtf8(list.bytes),
        fromUtf8(answer(`{"_meta":{"n":1e400},"${items}":[${item('a')},${item('c')}],"nextCursor":"\\u0063"}`)),
      )
      assert.deepEqual([list.total, list.hidden], [3, 1])
    })

    test(`of ${method} may become empty and keeps its cursor`, () => {
      assert.equal(
        filtered(answer(`{"${items}":[{"${name}":"a"}],"nextCursor":"c"}`), method, none),
        fromUtf8(answer(`{"${items}":[],"nextCursor":"c"}`)),
      )
    })
  }

  test('is the same bytes when nothing is hidden', () => {
    const bytes = answer('{ "tools" : [ {"name":"a"} ] }')
    const list = filterListResult(bytes, 'tools/list', all)
    assert.ok(list.ok)
    assert.equal(list.bytes, bytes)
  })

  test('that is an error passes as it is', () => {
    const bytes = utf8('{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}')
    const list = filterListResult(bytes, 'tools/list', none)
    assert.ok(list.ok)
    assert.equal(list.bytes, bytes)
  })

  test('is filtered under keys that are spelled with escapes', () => {
    const bytes = utf8(
      String.raw`{"jsonrpc":"2.0","id":1,"\u0072esult":{"tool\u0073":[{"nam\u0065":"a"},{"name":"b"}]}}`,
    )
    assert.equal(
      filtered(bytes, 'tools/list', ({ name }) => name === 'b'),
      String.raw`{"jsonrpc":"2.0","id":1,"\u0072esult":{"tool\u0073":[{"name":"b"}]}}`,
    )
  })

  test('is refused when it cannot be read in one way', () => {
    const malformed = [
      utf8(''),
      utf8('[]'),
      utf8('{"jsonrpc":"2.0","id":1}'),
      utf8('{"jsonrpc":"2.0","id":1,"result":{"tools":[]}} '.repeat(2)),
      utf8('{"jsonrpc":"2.0","id":1,"method":"tools/list"}'),
      utf8('{"jsonrpc":"2.0","id":1,"result":{"tools":[]},"result":{"tools":[{"name":"a"}]}}'),
      utf8('{"jsonrpc":"2.0","id":1,"result":{"tools":[]},"Result":{"tools":[{"name":"a"}]}}'),
      answer('{}'),
      answer('{"tools":{}}'),
      answer('{"tools":null}'),
      answer('{"tools":["a"]}'),
      answer('{"tools":[{}]}'),
      answer('{"tools":[{"name":1}]}'),
      answer('{"tools":[{"name":""}]}'),
      answer('{"tools":[{"name":"a"},[]]}'),
      answer('{"tools":[{"name":"a","Name":"b"}]}'),
      answer('{"tools":[{"name":"a","name":"b"}]}'),
      answer('{"tools":[{"name":"a","uri":"x","URI":"y"}]}'),
      answer('{"tools":[],"Tools":[{"name":"a"}]}'),
      answer('{"tools":[],"tool\u017f":[{"name":"a"}]}'),
      answer(`{"tools":[{"name":"a","inputSchema":${'{"a":'.repeat(70)}1${'}'.repeat(70)}}]}`),
    ]
    for (const bytes of malformed)
      assert.equal(filtered(bytes, 'tools/list', all), 'mcp_list_malformed', fromUtf8(bytes).slice(0, 90))
    assert.equal(filtered(answer('{"tools":[]}'), 'tools/call', all), 'mcp_list_malformed')
    assert.ok(!filterListResult(answer('{"tools":[]}'), 'tools/list', all, { ...LIST_LIMITS, maxBytes: 10 }).ok)
  })

  test('filtered equals the parsed list filtered', () => {
    const item = fc.record({
      name: fc.string({ minLength: 1, maxLength: 6 }),
      title: fc.string(),
      n: fc.double({ noNaN: true, noDefaultInfinity: true }),
    })
    fc.assert(
      fc.property(fc.array(item, { maxLength: 12 }), fc.nat({ max: 3 }), (tools, hidden) => {
        const allowed = (name: string): boolean => name.length % 4 !== hidden
        const text = filtered(answer(JSON.stringify({ tools, nextCursor: 'c' })), 'tools/list', ({ name }) =>
          allowed(name),
        )
        assert.deepEqual(
          JSON.parse(text),
          JSON.parse(
            JSON.stringify({
              jsonrpc: '2.0',
              id: 1,
              result: { tools: tools.filter(({ name }) => allowed(name)), nextCursor: 'c' },
            }),
          ),
        )
      }),
      { seed: 5, numRuns: 300 },
    )
  })
})

test('a tool whose schema has an argument named constructor is listed like any other', () => {
  const tool = (name: string) =>
    `{"name":"${name}","inputSchema":{"type":"object","properties":{"constructor":{"type":"string"},"__proto__":{"type":"string"}}}}`
  const bytes = utf8(`{"jsonrpc":"2.0","id":1,"result":{"tools":[${tool('kept')},${tool('hidden')}]}}`)
  const filtered = filterListResult(bytes, 'tools/list', (subject) => subject.name === 'kept')
  assert.ok(filtered.ok)
  assert.equal(fromUtf8(filtered.bytes), `{"jsonrpc":"2.0","id":1,"result":{"tools":[${tool('kept')}]}}`)
  assert.equal(Object.hasOwn(Object.prototype, 'type'), false)
})
