import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findings, ownRules } from '../../scripts/own-rules.ts'

const planted: readonly (readonly [string, string, string])[] = [
  ['environment-outside-config', 'packages/sdk/src/a.ts', 'const home = process.env.HOME'],
  ['environment-outside-config', 'packages/sdk/src/a.ts', "const home = process['env']"],
  ['secret-comparison', 'packages/sdk/src/a.ts', 'if (given === stored.joinToken) allow()'],
  ['secret-comparison', 'packages/sdk/src/a.ts', 'if (mac !== computed) refuse()'],
  ['clock-in-rules', 'packages/core/src/a.ts', 'const now = Date.now()'],
  ['clock-in-rules', 'packages/enforcement/src/a.ts', 'const now = new Date()'],
  ['weak-random', 'packages/sdk/src/a.ts', 'const jitter = Math.random()'],
  ['node-global-in-core', 'packages/core/src/a.ts', "const bytes = Buffer.from('a')"],
  ['empty-name', 'packages/sdk/src/a.ts', 'class KeyManager {}'],
  ['empty-name', 'packages/sdk/src/token-utils.ts', ''],
  ['empty-name', 'packages/server/src/common/a.ts', ''],
  ['file-name', 'packages/sdk/src/keySet.ts', ''],
  ['loose-type', 'packages/sdk/src/a.ts', 'const a = value as any'],
  ['loose-type', 'packages/sdk/src/a.ts', 'const a = value as unknown as Key'],
  ['silenced-error', 'test/a.test.ts', ['// @', 'ts-ignore'].join('')],
  ['silenced-rule', 'test/a.test.ts', ['// ox', 'lint-disable no-eval'].join('')],
  ['silenced-rule', 'test/a.test.ts', ['// ox', 'lint-disable-next-line no-eval -- a reason'].join('')],
  ['silenced-rule', 'test/a.test.ts', ['// ox', 'lint-disable-next-line no-control-regex'].join('')],
  ['silenced-rule', 'test/a.test.ts', ['/* es', 'lint-disable */'].join('')],
  ['shell', 'packages/sdk/src/a.ts', 'spawn(program, { shell: true })'],
  ['shell', 'packages/sdk/src/a.ts', "import { spawn, exec } from 'node:child_process'"],
  ['shell', 'packages/sdk/src/a.ts', "import { execSync } from 'child_process'"],
  ['code-from-text', 'packages/sdk/src/a.ts', "import { runInNewContext } from 'node:vm'"],
  ['unjudged-peer', 'packages/sdk/src/a.ts', 'connect({ host, rejectUnauthorized: false })'],
  ['unjudged-peer', 'packages/sdk/src/a.ts', 'connect({ host, rejectUnauthorized: isStrict })'],
  ['not-erasable', 'packages/sdk/src/a.ts', 'export enum Kind { a }'],
  ['not-erasable', 'packages/sdk/src/a.ts', 'class A {\n  @logged\n  run() {}\n}'],
  ['default-export', 'packages/sdk/src/a.ts', 'export default 1'],
  ['wildcard-export', 'packages/sdk/src/index.ts', "export * from './a.ts'"],
  ['unfinished', 'packages/sdk/src/a.ts', '// TODO: later'],
  ['unfinished', 'packages/sdk/src/a.ts', "throw new Error('not implemented')"],
  ['test-left-out', 'test/a.test.ts', 'test.only(name, run)'],
  ['test-library-in-package', 'packages/sdk/src/a.ts', "import { test } from 'node:test'"],
]

for (const [rule, path, text] of planted) {
  test(`${rule} is found in: ${text === '' ? path : text}`, () => {
    assert.deepEqual(
      findings([{ path, text }]).map((finding) => finding.rule),
      [rule],
    )
  })
}

test('every rule has a planted violation', () => {
  const shown = new Set(planted.map(([rule]) => rule))
  assert.deepEqual(
    ownRules.filter((rule) => !shown.has(rule.name)),
    [],
  )
})

test('comments, strings and other places are left alone', () => {
  const clean: readonly (readonly [string, string])[] = [
    ['packages/server/src/config/environment.ts', 'const home = process.env.HOME'],
    ['packages/sdk/src/a.ts', '// process.env is read elsewhere, as any\nconst a = "Math.random()"'],
    ['packages/sdk/src/a.ts', "if (token === undefined || kind === 'token' || token === '') refuse()"],
    ['packages/sdk/src/a.ts', ['// ox', 'lint-disable-next-line no-control-regex -- it looks for them'].join('')],
    ['packages/sdk/src/a.ts', "import { execFile, spawn } from 'node:child_process'\nspawn(a, { shell: false })"],
    ['packages/sdk/src/enrolment.ts', 'connect({ host, rejectUnauthorized: false })'],
    ['packages/server/src/apps/clock.ts', 'const now = Date.now()'],
    ['packages/sdk/src/secret-file.ts', 'const pattern = /as any/'],
  ]
  for (const [path, text] of clean) assert.deepEqual(findings([{ path, text }]), [])
})
