import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  canonicalJson,
  compileKeepRules,
  compilePaths,
  keepMembers,
  keepRuleFor,
  parsePermission,
  withoutSecrets,
} from '@doorward/core'
import type { JsonValue, KeepPaths, KeepRule, KeepRules } from '@doorward/core'

const none: KeepPaths = { store: [], hmac: [], redact: [] }
const options = { hmac: (value: JsonValue) => `<${canonicalJson(value)}>`, maxBytes: 4096 }

function nodeOf(paths: Partial<KeepPaths>) {
  const compiled = compilePaths({ ...none, ...paths })
  if ('problems' in compiled) throw new Error(JSON.stringify(compiled.problems))
  return compiled.node
}

const kept = (paths: object, value: unknown, maxBytes = 4096) =>
  keepMembers(nodeOf(paths), value, { ...options, maxBytes })

test('what is named is kept as it is named, and the rest is left out with its name', () => {
  const value = { repo: 'acme/x', path: '/etc', body: 'long', other: 'left out', deep: { a: 1, b: { c: [1] } } }
  assert.deepEqual(kept({ store: ['repo', 'deep.b.c', 'absent'], hmac: ['path'], redact: ['body'] }, value), {
    members: { store: { repo: 'acme/x', 'deep.b.c': [1] }, hmac: { path: '<"/etc">' }, redact: { body: '[redacted]' } },
  })
  assert.deepEqual(kept({}, value), { members: {} })
  assert.deepEqual(kept({ store: ['a'] }, undefined), { members: {} })
})

test('a star is all that is not named otherwise, at its place alone', () => {
  const value = { a: 1, b: 2, c: { d: 3, e: 4 } }
  assert.deepEqual(kept({ store: ['*'], hmac: ['b'], redact: ['c.d'] }, value), {
    members: { store: { a: 1 }, hmac: { b: '<2>' }, redact: { 'c.d': '[redacted]' } },
  })
  assert.deepEqual(kept({ redact: ['*'], store: ['c.*'] }, value), {
    members: { store: { 'c.d': 3, 'c.e': 4 }, redact: { a: '[redacted]', b: '[redacted]' } },
  })
  assert.deepEqual(kept({ store: ['a.b'] }, { a: 'no object' }), { members: {} })
})

test('what the rule cannot be applied to is a problem that is told', () => {
  for (const value of [null, 1, 'text', [1]])
    assert.deepEqual(kept({ store: ['*'] }, value), { problem: 'not_an_object' })
  assert.deepEqual(kept({ store: ['*'] }, { a: 'x'.repeat(300) }, 256), { problem: 'too_large' })
  const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`n${n}`, 0]))
  assert.deepEqual(kept({ redact: ['*'] }, many, 65_536), { problem: 'too_large' })
})

test('names that objects have by themselves are members like others, and only when they are there', () => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty']
  assert.deepEqual(kept({ store: names }, {}), { members: {} })
  const text = `{${names.map((name) => `${JSON.stringify(name)}:"x"`).join(',')}}`
  for (const paths of [{ store: names }, { store: ['*'] }])
    assert.equal(JSON.stringify(kept(paths, JSON.parse(text))), `{"members":{"store":${text}}}`)
  assert.equal(({} as { x?: unknown }).x, undefined)
})

test('mistakes in paths have their place and say what was meant', () => {
  const said = (paths: Partial<KeepPaths>) => {
    const compiled = compilePaths({ ...none, ...paths })
    return 'problems' in compiled ? compiled.problems.map(({ mode, index, expected }) => [mode, index, expected]) : []
  }
  assert.deepEqual(said({ store: ['a', '$.b.c'] }), [['store', 1, 'names with dots between them, such as b.c']])
  assert.deepEqual(said({ hmac: ['/a/b'] }), [['hmac', 0, 'names with dots between them, such as a.b']])
  assert.deepEqual(said({ hmac: ['a["b"].c[0]'] }), [['hmac', 0, 'names with dots between them, such as a.b.c.0']])
  assert.deepEqual(said({ redact: ['a.b*', '*.a'] }), [
    ['redact', 0, 'a.* for all that remain there'],
    ['redact', 1, '* for all that remain there'],
  ])
  assert.deepEqual(said({ store: ['a..b', ' a'] }), [
    ['store', 0, 'such as a.b'],
    ['store', 1, 'such as a'],
  ])
  assert.equal(said({ store: ['a.b.c.d.e.f.g.h.i'] }).length, 1)
  for (const twice of [{ store: ['a', 'a'] }, { store: ['a'], hmac: ['a.b'] }, { store: ['a.b'], redact: ['a'] }])
    assert.deepEqual(
      said(twice).map(([, , expected]) => expected),
      ['each member once'],
    )
  assert.equal(said({ store: ['a.*'], hmac: ['a.*'] }).length, 1)
})

const rule = (calls: readonly string[], maxBytes: number): KeepRule => ({
  calls: calls.map((call) => parsePermission(call)),
  arguments: null,
  result: 'hmac',
  maxBytes,
})
const find = (rules: KeepRules | null, server: string, name: string, kind = 'tool') =>
  rules === null
    ? null
    : (keepRuleFor(rules, { name: 'tools/call', group: 'write' } as never, { server, kind, name } as never)?.maxBytes ??
      null)

test('the first rule that matches decides, for servers that are configured, and never for our own API', () => {
  const rules = compileKeepRules(
    [
      rule(['tools/call:github/get_secret'], 1),
      rule(['tools/call:github/get_*', 'read:files/*'], 2),
      rule(['write'], 3),
    ],
    ['github', 'files', 'gateway'],
  )
  assert.equal(find(rules, 'github', 'get_secret'), 1)
  assert.equal(find(rules, 'github', 'get_issue'), 2)
  assert.equal(find(rules, 'github', 'put_issue'), 3)
  assert.equal(find(rules, 'files', 'x'), 3)
  assert.equal(find(rules, 'elsewhere', 'get_issue'), null)
  assert.equal(find(rules, '__proto__', 'get_issue'), null)
  assert.equal(find(rules, 'gateway', '/v1/status', 'route'), null)
  assert.equal(compileKeepRules([], ['github']), null)
})

const token = 'A'.repeat(40)
const jwt = `eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.${token}`
const pem = `-----BEGIN EC PRIVATE KEY-----\n${token}\n-----END EC PRIVATE KEY-----`
for (const [what, text, left] of [
  ['a JWT', `see ${jwt} there`, 'see [redacted] there'],
  ['a bearer token', `Authorization: Bearer ${token}`, 'Authorization: [redacted]'],
  ['a private key', `k: ${pem}!`, 'k: [redacted]!'],
  ['half a private key', pem.slice(0, 60), '[redacted]'],
  ['an encrypted private key', pem.replace('\n', '\nProc-Type: 4,ENCRYPTED\n'), '[redacted]'],
  ['a join string', `doorward-join-1.${token}`, '[redacted]'],
  ['an AWS key', `id AKIA${'B'.repeat(16)}`, 'id [redacted]'],
  ['a GitHub token', `ghp_${token}`, '[redacted]'],
  ['a fine-grained GitHub token', `github_pat_${token}`, '[redacted]'],
  ['a GitLab token', `glpat-${token}`, '[redacted]'],
  ['a Slack token', `xoxb-${token}`, '[redacted]'],
  ['a Google key', `AIza${token}`, '[redacted]'],
  ['an API key', `sk-ant-${token}`, '[redacted]'],
  ['credentials in a URL', 'postgres://user:hunter2hunter2@db/x', 'postgres[redacted]db/x'],
] as const) {
  test(`${what} is not stored, wherever it stands`, () => {
    assert.deepEqual(withoutSecrets({ a: [text], [text]: 1 }), { a: [left], [left]: 1 })
  })
}

test('a random value under a name of secrets is not stored, and plain ones are', () => {
  for (const name of ['password', 'apiKey', 'api_key', 'client-secret', 'Authorization', 'accessToken', 'auth'])
    assert.deepEqual(withoutSecrets({ [name]: 'correct horse' }), { [name]: '[redacted]' }, name)
  const plain = {
    token_count: 12,
    passage: 'all of the words',
    password: '',
    secret: 'aaaaaaaaaaaa',
    keyboard: 'qwertyuiop',
  }
  assert.deepEqual(withoutSecrets(plain), plain)
  assert.deepEqual(withoutSecrets({ secrets: 1, secret: ['s3cr3t-v4lue'] }), { secrets: 1, secret: ['[redacted]'] })
})

test('texts that are made to be slow to look through are not', () => {
  const begun = performance.now()
  for (const part of ['-----BEGIN A PRIVATE KEY-----', 'eyJaaaaaa.', 'Bearer ', '://a:', 'sk-', 'xoxb-', 'AKIA'])
    withoutSecrets(part.repeat(60_000 / part.length))
  assert.ok(performance.now() - begun < 1000, `${performance.now() - begun}`)
})

test('equal values have one text, whatever the order of their members', () => {
  assert.equal(canonicalJson({ b: [1, { d: null, c: 'ü' }], a: 1e21 }), '{"a":1e+21,"b":[1,{"c":"ü","d":null}]}')
})

test('tokens are found wherever they begin, as one expression would find them', () => {
  const asOne = /\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{2,}(?:\.[A-Za-z0-9_-]*){0,3}/g
  const part = fc.constantFrom('eyJ', '-', '.', 'a', 'abcdef', '_', ' ', '..', 'eyJabcdef.', 'eyJ-eyJ-')
  fc.assert(
    fc.property(fc.array(part, { maxLength: 24 }), (parts) => {
      const text = parts.join('')
      assert.equal(withoutSecrets(text), text.length < 8 ? text : text.replace(asOne, '[redacted]'))
    }),
    { numRuns: 2000 },
  )
})

test('what only looks like the beginnings of many tokens takes a time that grows with it', () => {
  for (const text of ['eyJ-'.repeat(250_000), 'eyJabcdef-'.repeat(100_000), 'eyJabcdef.'.repeat(100_000)]) {
    const from = performance.now()
    withoutSecrets(text)
    assert.ok(performance.now() - from < 5000)
  }
})
