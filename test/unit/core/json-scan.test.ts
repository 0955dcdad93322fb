import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { DEFAULT_JSON_LIMITS, scanJson, utf8 } from '@doorward/core'
import type { JsonRefusalCode } from '@doorward/core'
import { run } from '../../vectors/json.ts'

function codeOf(text: string | Uint8Array): JsonRefusalCode | 'accepted' {
  const scan = scanJson(typeof text === 'string' ? utf8(text) : text)
  return scan.ok ? 'accepted' : scan.code
}

function object(keys: Iterable<string>): string {
  return `{${Array.from(keys, (key) => `${JSON.stringify(key)}:1`).join(',')}}`
}

const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values)

describe('the JSON scan refuses', () => {
  const refusals: readonly (readonly [string, string | Uint8Array, JsonRefusalCode, number?])[] = [
    ['nothing', '', 'json_syntax', 0],
    ['whitespace alone', ' \n', 'json_syntax', 2],
    ['two values', '{} {}', 'json_syntax', 3],
    ['a trailing comma', '[1,]', 'json_syntax', 3],
    ['a comment', '{}//', 'json_syntax', 2],
    ['single quotes', "{'a':1}", 'json_syntax', 1],
    ['a leading zero', '[01]', 'json_syntax', 2],
    ['a leading plus', '[+1]', 'json_syntax', 1],
    ['a bare point', '[1.]', 'json_syntax', 3],
    ['NaN', '[NaN]', 'json_syntax', 1],
    ['a literal cut short', '[tru]', 'json_syntax', 1],
    ['a raw newline in a string', '["a\nb"]', 'json_syntax', 3],
    ['an unknown escape', String.raw`["\x41"]`, 'json_syntax'],
    ['an open string', '["a', 'json_syntax', 3],
    ['an open escape', '["a\\', 'json_syntax', 4],
    ['a form feed as space', '[\f1]', 'json_syntax', 1],
    ['a no-break space', '[\u00a01]', 'json_syntax', 1],
    ['a NUL behind the value', '{}\u0000', 'json_syntax', 2],
    ['a byte order mark', '\ufeff{}', 'json_bom', 0],
    ['UTF-16', bytes(0xff, 0xfe, 0x7b, 0, 0x7d, 0), 'json_not_utf8', 0],
    ['an overlong sequence', bytes(0x22, 0xc0, 0xaf, 0x22), 'json_not_utf8', 1],
    ['an encoded surrogate', bytes(0x22, 0xed, 0xa0, 0x80, 0x22), 'json_not_utf8', 1],
    ['a malformed byte behind a spelled U+FFFD', bytes(0x22, 0xef, 0xbf, 0xbd, 0xff, 0x22), 'json_not_utf8', 4],
    ['a repeated key', '{"a":1,"a":2}', 'json_duplicate_key', 7],
    ['a key repeated by escape', String.raw`{"a":1,"\u0061":2}`, 'json_duplicate_key', 7],
    ['a key repeated in depth', '{"x":[{"y":{"a":1,"b":2,"a":3}}]}', 'json_duplicate_key'],
    ['a repeated key that is not ASCII', '{"ß":1,"ß":2}', 'json_duplicate_key', 8],
    ['__proto__', '{"__proto__":{}}', 'json_forbidden_key', 1],
    ['__proto__ by escape', String.raw`{"a":{"\u005f_proto__":1}}`, 'json_forbidden_key'],
    ['constructor', '[{"constructor":1}]', 'json_forbidden_key'],
    ['prototype', '{"prototype":1}', 'json_forbidden_key'],
    ['a lone surrogate in a value', String.raw`["\ud800"]`, 'json_lone_surrogate'],
    ['a lone surrogate in a key', String.raw`{"\udc00":1}`, 'json_lone_surrogate'],
    ['surrogates the wrong way round', String.raw`["\udc00\ud800"]`, 'json_lone_surrogate'],
    ['half a pair before another escape', String.raw`["\ud83d\n"]`, 'json_lone_surrogate'],
    ['half a pair before half an escape', String.raw`["\ud83d\u12"]`, 'json_lone_surrogate'],
  ]
  for (const [name, text, code, offset] of refusals) {
    test(name, () => {
      const scan = scanJson(typeof text === 'string' ? utf8(text) : text)
      assert.equal(scan.ok ? 'accepted' : scan.code, code)
      if (offset !== undefined) assert.equal(scan.ok ? -1 : scan.offset, offset)
    })
  }
})

describe('the JSON scan accepts', () => {
  const accepted: readonly (readonly [string, string, unknown])[] = [
    ['whitespace around', ' \t\r\n{"a": 1}\n', { a: 1 }],
    ['a scalar', '"x"', 'x'],
    ['a surrogate pair', String.raw`["\ud83d\ude00"]`, ['😀']],
    ['the same key in different objects', '[{"a":1},{"a":{"a":2}}]', [{ a: 1 }, { a: { a: 2 } }]],
    ['keys that differ only in case', '{"a":1,"A":2}', { a: 1, A: 2 }],
    ['names that JavaScript objects inherit', '{"toString":1,"hasOwnProperty":2}', { toString: 1, hasOwnProperty: 2 }],
    ['the forbidden keys as values', '["__proto__","constructor"]', ['__proto__', 'constructor']],
    ['a spelled U+FFFD', '"\ufffd"', '\ufffd'],
    ['U+2028 and DEL raw in a string', '"\u2028\u007f"', '\u2028\u007f'],
  ]
  for (const [name, text, value] of accepted) {
    test(name, () => assert.deepEqual(scanJson(utf8(text)), { ok: true, value }))
  }

  test('a Buffer as well as a plain array', () => {
    assert.equal(codeOf(Buffer.from('{"a":[1]}')), 'accepted')
  })
})

describe('the bounds of the JSON scan', () => {
  test('the size is judged before anything is read', () => {
    const scan = scanJson(utf8('['.repeat(11)), { ...DEFAULT_JSON_LIMITS, maxBytes: 10 })
    assert.equal(scan.ok ? 'accepted' : scan.code, 'json_too_large')
    assert.equal(codeOf(new Uint8Array(DEFAULT_JSON_LIMITS.maxBytes + 1)), 'json_too_large')
  })

  test('32 levels pass, 33 do not, whatever they are made of', () => {
    assert.equal(codeOf('['.repeat(32) + ']'.repeat(32)), 'accepted')
    assert.equal(codeOf('['.repeat(33) + ']'.repeat(33)), 'json_too_deep')
    assert.equal(codeOf('{"a":'.repeat(32) + '1' + '}'.repeat(32)), 'accepted')
    assert.equal(codeOf('{"a":'.repeat(33) + '1' + '}'.repeat(33)), 'json_too_deep')
    assert.equal(codeOf('['.repeat(100_000)), 'json_too_deep')
  })

  test('10,000 keys pass, 10,001 do not, in one object or in many', () => {
    const keys = Array.from({ length: 10_000 }, (_, i) => `k${i}`)
    assert.equal(codeOf(object(keys)), 'accepted')
    assert.equal(codeOf(object([...keys, 'more'])), 'json_too_many_keys')
    assert.equal(codeOf(`[${'{"a":1},'.repeat(10_000)}{"a":1}]`), 'json_too_many_keys')
  })

  test('a million keys are refused at the first too many', () => {
    const text = object(Array.from({ length: 1_000_000 }, (_, i) => String(i)))
    const scan = scanJson(utf8(text), { ...DEFAULT_JSON_LIMITS, maxBytes: text.length })
    assert.ok(!scan.ok && scan.code === 'json_too_many_keys' && scan.offset < 100_000)
  })

  test('TR-8: a repeated key is found among thousands, wherever it stands', () => {
    const keys = Array.from({ length: 9_998 }, (_, i) => String(i * 32_768))
    for (const at of [0, 15, 16, 5_000, 9_997]) assert.equal(codeOf(object([...keys, keys[at]!])), 'json_duplicate_key')
    assert.equal(codeOf(object(keys)), 'accepted')
  })

  test('keys of an outer object are still compared after a large inner one', () => {
    const inner = object(Array.from({ length: 100 }, (_, i) => `k${i}`))
    assert.equal(codeOf(`{"a":${inner},"b":1,"a":2}`), 'json_duplicate_key')
    assert.equal(codeOf(`{"a":${inner},"k0":1,"b":${inner}}`), 'accepted')
  })
})

describe('the JSON scan beside JSON.parse', () => {
  const parsed = (text: string): { readonly value: unknown } | null => {
    try {
      return { value: JSON.parse(text) }
    } catch {
      return null
    }
  }

  test('what it accepts, JSON.parse accepts with the same value; what JSON.parse rejects, it rejects', () => {
    const fragment = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '"a"',
      '"b":',
      '\\',
      String.raw`\u0061`,
      String.raw`\ud83d`,
      String.raw`\ude00`,
      '0',
      '-',
      '1',
      '.5',
      'e+1',
      'E',
      'true',
      'false',
      'null',
      ' ',
      '\n',
      '\t',
      '\u00e9',
      '😀',
      '\u0000',
      'nul',
      '//',
    )
    const noise = fc.array(fragment, { maxLength: 12 }).map((parts) => parts.join(''))
    const valid = fc.json({ maxDepth: 6 })
    const bent = fc.tuple(valid, fc.nat(), fragment).map(([text, at, piece]) => {
      const cut = at % (text.length + 1)
      return text.slice(0, cut) + piece + text.slice(cut + (at % 3))
    })
    fc.assert(
      fc.property(fc.oneof(noise, valid, bent), (text) => {
        const encoded = utf8(text)
        const scan = scanJson(encoded)
        const truth = parsed(new TextDecoder('utf-8', { ignoreBOM: true }).decode(encoded))
        if (scan.ok) assert.deepEqual(scan.value, truth?.value)
        if (truth === null) assert.equal(scan.ok, false)
      }),
      { seed: 8259, numRuns: 3_000 },
    )
  })

  test('what it refuses although JSON.parse accepts has one of the reasons beyond grammar', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 40 }), (text) => {
        const scan = scanJson(utf8(text))
        if (scan.ok) return
        assert.notEqual(scan.code, 'json_syntax')
        assert.notEqual(scan.code, 'json_not_utf8')
      }),
      { seed: 8259, numRuns: 1_000 },
    )
  })

  test('arbitrary bytes never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (input) => {
        const scan = scanJson(input)
        if (!scan.ok) assert.ok(scan.offset >= 0 && scan.offset <= input.length)
      }),
      { seed: 8259, numRuns: 2_000 },
    )
  })
})

test('JSONTestSuite: no wrong accept, and every wrong reject has its reason', async (t) => {
  const report = await run({ json: false })
  if (report.notice?.startsWith('no vectors') === true) {
    t.diagnostic(report.notice)
    return
  }
  assert.deepEqual(report.wrongAccepts, [])
  assert.deepEqual(
    report.wrongRejects.map(({ id }) => id),
    ['y_object_duplicated_key', 'y_object_duplicated_key_and_value'],
  )
  assert.equal(report.failed, 0)
  assert.equal(report.passed, 93 + 188)
})
