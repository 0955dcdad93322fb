/** A configuration with mistakes is told all of them at once, and nothing is started or made. */

import { deepEqual, equal, match, ok, throws } from 'node:assert/strict'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { parseConfiguration } from '../../packages/server/src/config/load.ts'
import { ConfigurationError } from '../../packages/server/src/config/problem.ts'
import { TestDeployment } from '../fixtures/deployment.ts'
import type { RunResult } from '../fixtures/deployment.ts'

interface Told {
  readonly error: {
    readonly code: string
    readonly where?: string
    readonly next?: string
    readonly problems?: readonly { line: number | null; path: string; expected: string | null; got: string | null }[]
  }
}

describe('a bad configuration', () => {
  let system: TestDeployment
  before(async () => {
    system = await TestDeployment.prepare({ yaml: '' })
  })
  after(() => system.remove())

  const check = async (text: string | Uint8Array, words: readonly string[] = ['config', 'check', '--json']) => {
    await writeFile(system.configFile, text)
    return system.run(words)
  }
  const errorOf = ({ code, stdout, stderr }: RunResult) => {
    equal(code, 2, stderr)
    return (JSON.parse(stdout) as Told).error
  }

  test('every mistake is told with line, path, expected and got', async () => {
    const mistakes = `trust_domain: Acme Corp
listen: 127.0.0.1:99999
serverz: {}
security:
  tls: { enabled: false }
  rate_limiting: { per_ip: lots }
servers:
  files: { command: "npx server" }
  both: { command: [x], url: "https://a.example/mcp" }
  none: 7
bindings:
  - { role: reader }
limits: { body_bytes: 1.5, sessions_per_user: 0 }
trust: { full_seconds: 4000 }
`
    const { code, problems } = errorOf(await check(mistakes))
    equal(code, 'configuration_invalid')
    deepEqual(
      problems?.map(({ line, path, got }) => [line, path, got]),
      [
        [1, 'trust_domain', '"Acme Corp"'],
        [2, 'listen', '"127.0.0.1:99999"'],
        [3, 'serverz', null],
        [5, 'security.tls.enabled', 'false'],
        [6, 'security.rate_limiting.per_ip', '"lots"'],
        [8, 'servers.files.command', '"npx server"'],
        [9, 'servers.both', '{"command":["x"],"url":"https://a.example/mcp"}'],
        [10, 'servers.none', '7'],
        [12, 'bindings[0].workloads', 'nothing'],
        [13, 'limits.body_bytes', '1.5'],
        [13, 'limits.sessions_per_user', '0'],
        [14, 'trust.full_seconds', '4000'],
      ],
    )
    for (const { path, expected } of problems ?? []) ok(expected !== null && expected !== '', path)
  })

  test('people read the same on standard error, one line for each mistake', async () => {
    const { code, stdout, stderr } = await check('trust_domain: 5\nlisten: x\n', ['config', 'check'])
    deepEqual([code, stdout], [2, ''])
    match(stderr, /doorward\.yaml:1 trust_domain: .*; expected .*, got 5\n/)
    match(stderr, /doorward\.yaml:2 listen: .*; expected host:port, got "x"\n/)
  })

  const texts: readonly (readonly [what: string, text: string, line: number | null])[] = [
    ['malformed YAML', 'trust_domain: a.example\nservers: [1\nroles: }\n', 3],
    ['a repeated key', 'trust_domain: a.example\ntrust_domain: b.example\n', 2],
    ['a second document', 'trust_domain: a.example\n---\nlisten: x\n', 2],
    ['an alias', 'trust_domain: &a a.example\nlisten: *a\n', 2],
    ['a tag', 'trust_domain: !!js/function a\n', 1],
    ['a key that JavaScript treats apart', 'trust_domain: a.example\nservers: { __proto__: { command: [x] } }\n', 2],
    ['a key that is no name', 'trust_domain: a.example\n? [a]\n: 1\n', 2],
    ['a list', '- trust_domain\n', null],
    ['an empty file', '', 1],
  ]
  for (const [what, text, line] of texts) {
    test(`${what} is refused with its line`, () => {
      throws(
        () => parseConfiguration(text, 'doorward.yaml'),
        (error) => error instanceof ConfigurationError && error.problems.some((problem) => problem.line === line),
      )
    })
  }

  test('bytes that are not UTF-8 and a folder are unreadable, a missing file says what to do', async () => {
    equal(errorOf(await check(new Uint8Array([0xff, 0xfe]))).code, 'configuration_unreadable')
    equal(
      errorOf(await system.run(['config', 'check', '--json', '--config', system.folder])).code,
      'configuration_unreadable',
    )
    await rm(system.configFile)
    const missing = errorOf(await system.run(['up', '--json']))
    deepEqual([missing.code, missing.where], ['configuration_missing', system.configFile])
    match(String(missing.next), /doorward init/)
    await writeFile(system.configFile, '')
  })

  test('values of variables are never shown', async () => {
    const yaml =
      'trust_domain: a.example\nservers:\n  a: { command: [x], env: { TOKEN: 31337 } }\n  b: { command: [x], url: "https://b.example", env: { KEY: hunter2 } }\n'
    const { stdout } = await check(yaml)
    equal(stdout.includes('31337') || stdout.includes('hunter2'), false, stdout)
    match(stdout, /servers\.a\.env\.TOKEN/)
  })

  test('a name with control characters is shown, not obeyed', async () => {
    const yaml = 'trust_domain: a.example\n"evil\\u001b[31m\\u009b2J": 1\n'
    for (const words of [
      ['config', 'check'],
      ['config', 'check', '--json'],
    ]) {
      const { stdout, stderr } = await check(yaml, words)
      equal(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(stdout + stderr), false)
      match(stdout + stderr, /\\u001b/)
    }
  })

  test('up, authority and gateway refuse it likewise and make nothing', async () => {
    await writeFile(system.configFile, 'trust_domain: a.example\nunknown: 1\n')
    const commands = ['up', 'authority run', 'gateway run', 'workload list', 'audit verify']
    const results = await Promise.all(commands.map((words) => system.run([...words.split(' '), '--json'])))
    for (const result of results) equal(errorOf(result).code, 'configuration_invalid')
    deepEqual(await readdir(system.folder), ['doorward.yaml'])
  })
})
