import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { isDoorwardError } from '@doorward/core'
import { exportPlaces } from '../../../packages/server/src/config/audit-exports.ts'
import { loadConfiguration, parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { ConfigurationError } from '../../../packages/server/src/config/problem.ts'
import { readSecretFile } from '../../../packages/server/src/config/secret-file.ts'
import { deploymentOf } from '../../../packages/server/src/config/settings.ts'

const folder = await mkdtemp(join(tmpdir(), 'doorward-config-exports-'))
after(() => rm(folder, { recursive: true, force: true }))

const withExports = (...lines: readonly string[]) =>
  `trust_domain: acme.example\naudit:\n  exports:\n${lines.map((line) => `    - ${line}\n`).join('')}`

function problemsOf(...lines: readonly string[]): readonly (readonly [number | null, string, string])[] {
  try {
    parseConfiguration(withExports(...lines), 'doorward.yaml')
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigurationError)
    return error.problems.map(({ line, path, message }) => [line, path, message])
  }
}

const tls = 'certificate_file: c.pem, key_file: c.key'
const sound = [
  `{ name: a, kind: syslog, address: "siem.example:6514", ${tls}, ca_file: ca.pem }`,
  '{ name: b, kind: syslog, address: "127.0.0.1:514", insecure: true }',
  `{ name: c, kind: otlp, url: "https://otel.example/v1/logs", authorization_file: auth, ${tls} }`,
  '{ name: d, kind: otlp, url: "http://localhost:4318/v1/logs", insecure: true }',
  '{ name: e, kind: webhook, url: "https://hook.example/", secret_file: s, timeout_seconds: 60 }',
  '{ name: f, kind: file, dir: out, rotate_bytes: 1048576, keep: 1, spool_bytes: 1048576 }',
]

test('exports of every kind are read, with their defaults', async () => {
  assert.deepEqual(problemsOf(...sound), [])
  const file = join(folder, 'doorward.yaml')
  await writeFile(file, withExports(...sound))
  const [syslog, plain, otlp, local, webhook, lines] = exportPlaces(deploymentOf(await loadConfiguration(file)))
  assert.ok(syslog?.kind === 'syslog' && plain?.kind === 'syslog')
  assert.deepEqual([syslog.host, syslog.port, syslog.spoolBytes], ['siem.example', 6514, 268_435_456])
  assert.deepEqual([syslog.timeoutMilliseconds, plain.tls], [10_000, null])
  assert.ok(otlp?.kind === 'otlp' && local?.kind === 'otlp' && otlp.tls !== null && local.tls === null)
  assert.equal(local.authorization, null)
  assert.ok(webhook?.kind === 'webhook' && webhook.timeoutMilliseconds === 60_000)
  assert.deepEqual(lines, {
    name: 'f',
    kind: 'file',
    spoolBytes: 1_048_576,
    dir: join(folder, 'out'),
    rotateBytes: 1_048_576,
    keep: 1,
  })
})

const wrong: readonly (readonly [string, string, string])[] = [
  ['{ name: a, kind: kafka }', 'audit.exports[0].kind', 'no kind of export'],
  ['{ name: a }', 'audit.exports[0].kind', 'no kind of export'],
  ['{ name: A b, kind: file, dir: x }', 'audit.exports[0].name', 'not a name'],
  ['{ name: a, kind: file, dir: x, path: y }', 'audit.exports[0].path', 'unknown key'],
  ['{ name: a, kind: file, dir: x, secret_file: y }', 'audit.exports[0].secret_file', 'unknown key'],
  [
    '{ name: a, kind: webhook, url: "https://x/", secret_file: s, secret: abc }',
    'audit.exports[0].secret',
    'unknown key',
  ],
  ['{ name: a, kind: file, dir: x, spool_bytes: 5 }', 'audit.exports[0].spool_bytes', 'too small'],
  ['{ name: a, kind: webhook, url: "https://x/" }', 'audit.exports[0].secret_file', 'wrong type'],
  ['{ name: a, kind: otlp, url: "http://otel.example/", insecure: true }', 'audit.exports[0].url', 'without TLS'],
  ['{ name: a, kind: otlp, url: "http://127.0.0.1.example/", insecure: true }', 'audit.exports[0].url', 'without TLS'],
  ['{ name: a, kind: otlp, url: "http://localhost:4318/" }', 'audit.exports[0].url', 'without TLS'],
  ['{ name: a, kind: otlp, url: "https://otel.example/", insecure: true }', 'audit.exports[0].insecure', 'TLS already'],
  ['{ name: a, kind: otlp, url: "https://u:p@otel.example/" }', 'audit.exports[0].url', 'no credentials'],
  ['{ name: a, kind: otlp, url: "https://x/", key_file: k }', 'audit.exports[0].key_file', 'belong together'],
  [
    '{ name: a, kind: otlp, url: "http://[::1]/", insecure: true, ca_file: c }',
    'audit.exports[0].insecure',
    'of no use',
  ],
  ['{ name: a, kind: syslog, address: "siem.example:6514" }', 'audit.exports[0].kind', 'mutual TLS'],
  [
    '{ name: a, kind: syslog, address: "siem.example:514", insecure: true }',
    'audit.exports[0].insecure',
    'without TLS',
  ],
  [`{ name: a, kind: syslog, address: "siem.example:65536", ${tls} }`, 'audit.exports[0].address', 'not a port'],
  [`{ name: a, kind: syslog, address: siem.example, ${tls} }`, 'audit.exports[0].address', 'not an address'],
]
for (const [line, path, message] of wrong) {
  test(`refused with its place: ${line}`, () => {
    const problems = problemsOf(line)
    assert.equal(problems.length, 1, JSON.stringify(problems))
    const [[at, where, said] = [0, '', '']] = problems
    assert.deepEqual([at, where], [4, path])
    assert.ok(said.includes(message), said)
  })
}

test('two exports have neither one name nor one folder, and sixteen are enough', () => {
  const file = (name: string, dir: string) => `{ name: ${name}, kind: file, dir: ${dir} }`
  assert.deepEqual(
    problemsOf(file('a', 'x'), file('a', 'x')).map(([line, path]) => [line, path]),
    [
      [5, 'audit.exports[1].name'],
      [5, 'audit.exports[1].dir'],
    ],
  )
  const many = Array.from({ length: 17 }, (_, n) => file(`e${n}`, `d${n}`))
  assert.deepEqual(
    problemsOf(...many).map(([, path]) => path),
    ['audit.exports'],
  )
})

test('a secret comes from a file that nobody else can read, and shows nowhere', async () => {
  const path = join(folder, 'secret')
  const refused = (error: unknown) => isDoorwardError(error, 'secret_file') && !JSON.stringify(error).includes('hush')
  await assert.rejects(readSecretFile(path), refused)
  await writeFile(path, 'hush\n', { mode: 0o600 })
  const secret = await readSecretFile(path)
  assert.equal(secret.reveal(), 'hush')
  await chmod(path, 0o640)
  await assert.rejects(readSecretFile(path), refused)
  await writeFile(path, '\n')
  await chmod(path, 0o600)
  await assert.rejects(readSecretFile(path), refused)
})
