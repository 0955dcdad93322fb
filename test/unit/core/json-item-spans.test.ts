import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { cutMembers, fromUtf8, itemSpans, memberSpan, spliceItems, spliceSpans, utf8 } from '@doorward/core'

function itemsOf(text: string, path: readonly string[]): readonly string[] | null {
  const bytes = utf8(text)
  return itemSpans(bytes, path)?.items.map(({ start, end }) => fromUtf8(bytes.subarray(start, end))) ?? null
}

describe('item spans', () => {
  test('cover exactly the items, without the whitespace around them', () => {
    const text = '{"a":[9],"r":{"x":"]}\\"","t":[ {"n":"[,\\\\"} , "s,]" ,1e400,[1,[2]],null ]}}'
    assert.deepEqual(itemsOf(text, ['r', 't']), ['{"n":"[,\\\\"}', '"s,]"', '1e400', '[1,[2]]', 'null'])
  })

  test('are found under keys that are spelled with escapes', () => {
    assert.deepEqual(itemsOf(String.raw`{"\u0072esult":{"tool\u0073":[1,2]}}`, ['result', 'tools']), ['1', '2'])
  })

  test('of an empty array are none', () => {
    assert.deepEqual(itemsOf('{"a":[ ]}', ['a']), [])
  })

  test('are null where the path leads to no array', () => {
    for (const text of ['{}', '{"a":{}}', '{"a":"[1]"}', '[1]', '1', '{"b":{"a":[1]}}'])
      assert.equal(itemsOf(text, ['a']), null)
  })

  test('end on malformed bytes too', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('{', '}', '[', ']', ',', ':', '"', '\\', 'a', '1', ' '), { maxLength: 20 }),
        (parts) => {
          try {
            itemSpans(utf8(`{"a":[${parts.join('')}`), ['a'])
          } catch (error) {
            assert.ok(error instanceof SyntaxError)
          }
        },
      ),
      { seed: 1, numRuns: 500 },
    )
  })

  test('splicing by them equals filtering the parsed array, and keeps the bytes of what stays', () => {
    const arrays = fc.array(fc.tuple(fc.json({ maxDepth: 3 }), fc.boolean()), { maxLength: 8 })
    fc.assert(
      fc.property(arrays, fc.constantFrom('', ' ', '\n\t'), (items, space) => {
        const bytes = utf8(`{"é":1,"r":{"t":[${items.map(([text]) => space + text + space).join(',')}],"next":"x"}}`)
        const spans = itemSpans(bytes, ['r', 't'])
        assert.ok(spans !== null)
        const spliced = fromUtf8(
          spliceItems(
            bytes,
            spans,
            items.map(([, keep]) => keep),
          ),
        )
        assert.equal(
          spliced,
          `{"é":1,"r":{"t":[${items
            .filter(([, keep]) => keep)
            .map(([text]) => text)
            .join(',')}],"next":"x"}}`,
        )
      }),
      { seed: 1, numRuns: 300 },
    )
  })

  test('numbers that no parser keeps survive', () => {
    const bytes = utf8('{"t":[{"n":9007199254740993},{"n":1},{"n":1e400}]}')
    const spans = itemSpans(bytes, ['t'])
    assert.ok(spans !== null)
    assert.equal(fromUtf8(spliceItems(bytes, spans, [true, false, true])), '{"t":[{"n":9007199254740993},{"n":1e400}]}')
  })
})

describe('the span of a member', () => {
  const keys = fc.constantFrom('a', 'b', 'requestState', '"', '\\', 'é')
  const document = fc.dictionary(
    keys,
    fc.oneof(
      fc.json({ maxDepth: 2 }),
      fc.string().map((text) => JSON.stringify(text)),
    ),
  )

  test('is exactly the text of its value, wherever it stands', () => {
    fc.assert(
      fc.property(document, fc.constantFrom('', ' ', '\n\t'), (members, space) => {
        const text = Object.entries(members).map(
          ([key, value]) => `${space}${JSON.stringify(key)}${space}:${space}${value}`,
        )
        const bytes = utf8(`${space}{"r":${space}{${text.join(`${space},`)}${space}}}`)
        for (const [key, value] of Object.entries(members)) {
          const span = memberSpan(bytes, ['r', key])
          assert.ok(span !== null)
          assert.equal(fromUtf8(bytes.subarray(span.start, span.end)), value.trim())
        }
        assert.equal(memberSpan(bytes, ['r', 'missing']), null)
        assert.equal(memberSpan(bytes, ['missing']), null)
      }),
    )
  })

  test('takes insertions and replacements in any order; every other byte stays', () => {
    const bytes = utf8('{ "s" : "a\\u0062" , "n":1e400,"t":"x" }')
    const [s, t] = [memberSpan(bytes, ['s']), memberSpan(bytes, ['t'])]
    assert.ok(s !== null && t !== null)
    const edits = [
      { ...t, bytes: utf8('"y"') },
      { start: s.start + 1, end: s.start + 1, bytes: utf8('dw1.') },
    ]
    assert.equal(fromUtf8(spliceSpans(bytes, edits)), '{ "s" : "dw1.a\\u0062" , "n":1e400,"t":"y" }')
    assert.deepEqual(spliceSpans(bytes, []), bytes)
  })
})

describe('members that are cut out', () => {
  const cut = (text: string, path: readonly string[], ...keys: readonly string[]) => {
    const left = cutMembers(utf8(text), path, (key) => !keys.includes(key))
    return left === null ? null : fromUtf8(left)
  }

  test('take nothing with them: the rest is spelled as it was, and remains JSON', () => {
    assert.equal(cut('{"r":{ "a" : {"x":","} ,"b": 1e400, "c":"}" } }', ['r'], 'b'), '{"r":{"a" : {"x":","},"c":"}"} }')
    assert.equal(cut('{"r":{"a":1}}', ['r'], 'a'), '{"r":{}}')
    assert.equal(cut(String.raw`{"r":{"\u0061":1,"b":2}}`, ['r'], 'a'), '{"r":{"b":2}}')
  })

  test('are none where no key is named, and null where the path leads to no object', () => {
    const bytes = utf8('{"r": {"a":1} }')
    assert.equal(
      cutMembers(bytes, ['r'], () => true),
      bytes,
    )
    for (const text of ['{}', '{"r":[]}', '{"r":1}']) assert.equal(cut(text, ['r'], 'a'), null)
  })

  test('are gone for every reader, and nothing else is', () => {
    const keys = fc.constantFrom('a', 'b', '"', '\\', 'é')
    const property = fc.property(fc.dictionary(keys, fc.jsonValue()), fc.array(keys), (members, gone) => {
      const left = cut(JSON.stringify({ r: members, z: 1 }), ['r'], ...gone)
      const kept = Object.fromEntries(Object.entries(members).filter(([key]) => !new Set<string>(gone).has(key)))
      assert.deepEqual(JSON.parse(left ?? ''), JSON.parse(JSON.stringify({ r: kept, z: 1 })))
    })
    fc.assert(property)
  })
})
