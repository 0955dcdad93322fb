import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { ConfigurationError } from '../../../packages/server/src/config/problem.ts'

const withRules = (...rules: readonly string[]) =>
  `trust_domain: acme.example
servers: { github: { command: [x] }, files: { command: [x] } }
audit:
  keep:
${rules.map((rule) => `    - ${rule}\n`).join('')}`

function problemsOf(...rules: readonly string[]) {
  try {
    parseConfiguration(withRules(...rules), 'doorward.yaml')
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigurationError)
    return error.problems.map(({ line, path, message, expected }) => [line, path, message, expected])
  }
}

const said = 'arguments: { store: [a] }'

test('rules are read with their defaults', () => {
  const text = withRules(`{ calls: ["tools/call:github/*"], ${said} }`)
  const [rule] = parseConfiguration(text, 'doorward.yaml').audit.keep
  assert.deepEqual(rule?.arguments, { store: ['a'], hmac: [], redact: [] })
  assert.deepEqual([rule.result, rule.max_bytes], [undefined, 4096])
  assert.deepEqual(problemsOf(`{ calls: ["tools/call:github/get_*", "write"], result: { hmac: true } }`), [])
})

const wrong: readonly (readonly [string, readonly string[], readonly (string | number)[]])[] = [
  [
    'a server that is not there',
    [`{ calls: ["tools/call:gihub/*"], ${said} }`],
    [5, 'audit.keep[0].calls[0]', 'such as github'],
  ],
  ['no permission', [`{ calls: ["tool/call:github/*"], ${said} }`], [5, 'audit.keep[0].calls[0]']],
  [
    'no path',
    ['{ calls: [write], arguments: { hmac: ["$.a.b"] } }'],
    [5, 'audit.keep[0].arguments.hmac[0]', 'names with dots between them, such as a.b'],
  ],
  [
    'a member twice',
    ['{ calls: [write], arguments: { store: [a], redact: [a] } }'],
    [5, 'audit.keep[0].arguments.redact[0]', 'each member once'],
  ],
  ['nothing to keep', ['{ calls: [write] }'], [5, 'audit.keep[0]', 'arguments or result']],
  [
    'a result in two forms',
    ['{ calls: [write], result: { store: true, hmac: true } }'],
    [5, 'audit.keep[0].result', 'store or hmac'],
  ],
  ['a result in none', ['{ calls: [write], result: {} }'], [5, 'audit.keep[0].result', 'store: true or hmac: true']],
  [
    'a rule behind a wider one',
    [`{ calls: ["tools/call:files/*"], ${said} }`, `{ calls: ["tools/call:files/read"], ${said} }`],
    [6, 'audit.keep[1].calls[0]', 'narrow rules before wide ones'],
  ],
  [
    'a rule behind one for everything',
    [`{ calls: ["*"], ${said} }`, `{ calls: ["read:files/a"], ${said} }`],
    [6, 'audit.keep[1].calls[0]', 'narrow rules before wide ones'],
  ],
  ['an unknown key', [`{ calls: [write], ${said}, max: 1 }`], [5, 'audit.keep[0].max']],
  ['too many bytes', [`{ calls: [write], ${said}, max_bytes: 65537 }`], [5, 'audit.keep[0].max_bytes']],
  ['no calls', [`{ calls: [], ${said} }`], [5, 'audit.keep[0].calls']],
]
for (const [what, rules, [line, path, expected]] of wrong) {
  test(`a mistake has its place: ${what}`, () => {
    const [problem, ...more] = problemsOf(...rules)
    assert.deepEqual([problem?.[0], problem?.[1], more], [line, path, []])
    if (expected !== undefined) assert.equal(problem?.[3], expected)
  })
}
