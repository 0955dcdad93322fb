import assert from 'node:assert/strict'
import { test } from 'node:test'
import { importTable, silentFolders, type Violation, violations, zoneOf } from './boundaries.ts'

const declared = new Map([
  ['core', new Set(['some-library'])],
  ['enforcement', new Set<string>()],
  ['server', new Set(['undici'])],
])

/** Judges planted files; what they import relatively is planted empty beside them. */
function rules(planted: Readonly<Record<string, string>>): readonly Violation['rule'][] {
  const files = Object.entries(planted).map(([path, text]) => ({ path: `packages/${path}`, text }))
  return violations(files, declared).map((violation) => violation.rule)
}

const bad: readonly (readonly [string, Violation['rule'], Readonly<Record<string, string>>])[] = [
  ['core reads a file', 'node_in_core', { 'core/src/bytes.ts': "import { readFileSync } from 'node:fs'" }],
  ['core takes a type of Node', 'node_in_core', { 'core/src/bytes.ts': "import type { Stats } from 'node:fs'" }],
  ['core loads Node later', 'node_in_core', { 'core/src/bytes.ts': "await import('node:fs')" }],
  [
    'the vocabulary uses identity',
    'import_forbidden',
    { 'core/src/bytes.ts': "import { a } from './identity/a.ts'", 'core/src/identity/a.ts': '' },
  ],
  [
    'identity uses token',
    'import_forbidden',
    { 'core/src/identity/a.ts': "import type { b } from '../token/b.ts'", 'core/src/token/b.ts': '' },
  ],
  [
    'policy uses token',
    'import_forbidden',
    { 'core/src/policy/a.ts': "export { b } from '../token/b.ts'", 'core/src/token/b.ts': '' },
  ],
  [
    'mcp uses identity',
    'import_forbidden',
    { 'core/src/mcp/a.ts': "import '../identity/b.ts'", 'core/src/identity/b.ts': '' },
  ],
  [
    'audit uses identity',
    'import_forbidden',
    { 'core/src/audit/a.ts': "import { b } from '../identity/b.ts'", 'core/src/identity/b.ts': '' },
  ],
  ['core uses enforcement', 'import_forbidden', { 'core/src/a.ts': "import { b } from '@doorward/enforcement'" }],
  ['enforcement uses the SDK', 'import_forbidden', { 'enforcement/src/a.ts': "import { b } from '@doorward/sdk'" }],
  [
    'the authority uses an adapter',
    'import_forbidden',
    { 'server/src/authority/a.ts': "import type { b } from '../storage/b.ts'", 'server/src/storage/b.ts': '' },
  ],
  [
    'authority and audit use each other',
    'import_forbidden',
    { 'server/src/authority/a.ts': "import { b } from '../audit/b.ts'", 'server/src/audit/b.ts': '' },
  ],
  [
    'the authority uses a logger instead of its type',
    'import_types_only',
    {
      'server/src/authority/a.ts': "import { b } from '../observability/b.ts'",
      'server/src/observability/b.ts': '',
    },
  ],
  [
    'an adapter runs the code that it serves',
    'import_types_only',
    { 'server/src/storage/sqlite/a.ts': "import { type A, b } from '@doorward/enforcement'" },
  ],
  [
    'the policy engine runs enforcement',
    'import_types_only',
    { 'server/src/policy/a.ts': "import { b } from '@doorward/enforcement'" },
  ],
  [
    'a transport reads the configuration',
    'import_forbidden',
    { 'server/src/transports/a.ts': "import { b } from '../config/b.ts'", 'server/src/config/b.ts': '' },
  ],
  [
    'a command opens a database',
    'import_forbidden',
    { 'server/src/cli/a.ts': "import { b } from '../storage/b.ts'", 'server/src/storage/b.ts': '' },
  ],
  ['the console uses the server', 'package_undeclared', { 'console/src/a.ts': "import { b } from 'doorward'" }],
  ['a folder that the design does not have', 'zone_unknown', { 'server/src/tools/a.ts': '' }],
  ['a file beside the folders of the server', 'zone_unknown', { 'server/src/a.ts': '' }],
  ['an undeclared package', 'package_undeclared', { 'enforcement/src/a.ts': "import { b } from 'undici'" }],
  ['the inside of a package', 'package_inner_path', { 'sdk/src/a.ts': "import { b } from '@doorward/core/src/b.ts'" }],
  ['a path into another package', 'import_escapes', { 'sdk/src/a.ts': "import { b } from '../../core/src/b.ts'" }],
  ['a file that does not exist', 'import_missing', { 'sdk/src/a.ts': "import { b } from './b.ts'" }],
  [
    'two files that import each other, if only for types',
    'import_cycle',
    { 'sdk/src/a.ts': "import type { b } from './b.ts'", 'sdk/src/b.ts': "import { a } from './a.ts'" },
  ],
]

for (const [name, rule, planted] of bad) {
  test(`refused: ${name}`, () => assert.deepEqual(rules(planted), [rule]))
}

const good: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  [
    'token and policy use identity',
    {
      'core/src/token/a.ts': "import { b } from '../identity/b.ts'",
      'core/src/policy/a.ts': "import { b } from '../identity/b.ts'",
      'core/src/identity/b.ts': "import { c } from '../bytes.ts'\nimport { d } from 'some-library'",
      'core/src/bytes.ts': '',
    },
  ],
  [
    'an adapter takes types of its port',
    {
      'server/src/storage/sqlite/a.ts':
        "import type { A } from '@doorward/enforcement'\nimport { type B } from '../../authority/ports.ts'\nimport 'node:fs'",
      'server/src/authority/ports.ts': "import type { Log } from '../observability/log.ts'",
      'server/src/observability/log.ts': "import { a } from '@doorward/core'",
    },
  ],
  [
    'an app builds everything',
    {
      'server/src/apps/gateway.ts':
        "import { a } from '../storage/a.ts'\nimport { b } from '@doorward/sdk'\nimport { c } from 'undici'",
      'server/src/storage/a.ts': '',
    },
  ],
  ['the configuration judges the runtime', { 'server/src/config/a.ts': "import { b } from '../../bin/runtime.cjs'" }],
  [
    'an import in a comment, a string or a template is none',
    {
      'core/src/bytes.ts':
        "// import 'node:fs'\nconst a = \"import 'node:fs'\"\nconst b = `import '${a}' from 'node:fs'`",
    },
  ],
]

for (const [name, planted] of good) {
  test(`allowed: ${name}`, () => assert.deepEqual(rules(planted), []))
}

test('every zone that a row names has a row of its own', () => {
  const zones = new Set(importTable.map((row) => row.zone))
  zones.add('server/bin')
  for (const row of importTable) for (const name of [...row.values, ...row.types]) assert.ok(zones.has(name), name)
})

test('what lies directly in core is its vocabulary, except its index', () => {
  assert.equal(zoneOf('packages/core/src/time.ts'), 'core/vocabulary')
  assert.equal(zoneOf('packages/core/src/index.ts'), 'core/index')
  assert.equal(zoneOf('packages/core/src/elsewhere/a.ts'), undefined)
})

test('a folder is silent without a README and without a comment at the head of its index', () => {
  const at = (path: string, text = ''): { path: string; text: string } => ({ path: `packages/${path}`, text })
  const files = [at('core/src/token/a.ts'), at('sdk/src/index.ts', '/** Decides. */'), at('sdk/src/x/index.ts')]
  assert.deepEqual(silentFolders(files, new Set()), ['packages/core/src/token', 'packages/sdk/src/x'])
  assert.deepEqual(silentFolders(files, new Set(['packages/core/src/token', 'packages/sdk/src/x'])), [])
})
