/** `init` from the files of every host: no secret is copied, nothing is overwritten, and nothing is allowed. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { loadConfiguration } from '../../packages/server/src/config/load.ts'
import { compiledPolicy } from '../../packages/server/src/config/policy-source.ts'
import { isPlainSetting, secretWord } from '../../packages/server/src/config/secret-words.ts'
import { deploymentOf } from '../../packages/server/src/config/settings.ts'
import { repository, TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { fences } from '../fixtures/guide.ts'
import { openV2 } from '../fixtures/official-peers.ts'
import { PageWalk } from '../fixtures/page-walk.ts'

const documents = join(repository, 'examples', 'first-call', 'documents')
const files = {
  command: 'mcp-server-filesystem',
  args: [documents],
  env: {
    LOG_LEVEL: 'debug',
    GITHUB_TOKEN: 'ghp_planted1',
    DATABASE: 'postgres://u:planted2@db/x',
    WORD: 'Planted3-long_value+',
  },
}
const remote = { type: 'http', url: 'https://mcp.example.com/mcp', headers: { Authorization: 'Bearer planted4' } }
const rest = {
  broken: { command: 'no-such-program' },
  keyed: { command: 'x', args: ['--api-key', 'planted5'] },
  headed: { command: 'x', args: ['-H', 'X-Api-Key: planted6'] },
  addressed: { url: 'https://a.example/mcp?token=planted7' },
  plain: { url: 'http://mcp.example.com/mcp' },
  streamed: { type: 'sse', url: 'https://a.example/sse' },
  filled: { command: 'x', args: ['${workspaceFolder}/y'] },
  guarded: { command: 'doorward', args: ['connect', 'files'] },
  empty: {},
}
const PLANTED = /planted\d/i

const hosts: Readonly<Record<string, string>> = {
  '.mcp.json': JSON.stringify({ mcpServers: { files, 'My Remote!': remote, ...rest } }),
  'claude_desktop_config.json': JSON.stringify({ globalShortcut: 'x', mcpServers: { files } }),
  'cursor.json': JSON.stringify({ mcpServers: { files, remote: { url: remote.url } } }),
  'vscode.json': `{
  // comments, and commas at the end, as the editor writes them
  "inputs": [{ "type": "promptString", "id": "key", "password": true }],
  "servers": {
    "files": { "type": "stdio", "command": "mcp-server-filesystem", "args": [${JSON.stringify(documents)}], "env": { "API_KEY": "\${input:key}" } }, /* one */
  },
}`,
  'settings.json': JSON.stringify({ mcp: { servers: { files } } }),
}

interface HostFile {
  readonly mcpServers: Readonly<Record<string, { readonly command: string; readonly args: readonly string[] }>>
}

interface Told {
  readonly servers: readonly {
    readonly name: string
    readonly tools: { readonly read: readonly string[] } | null
    readonly notes: readonly string[]
  }[]
  readonly skipped: readonly { readonly originalName: string; readonly why: string }[]
  readonly error?: { readonly code: string }
}

describe('init', () => {
  let system: TestDeployment
  before(async () => {
    system = await TestDeployment.prepare({ yaml: 'servers: {}\n' })
    for (const [name, content] of Object.entries(hosts)) await writeFile(join(system.folder, name), content)
  })
  after(() => system.remove())

  /** Writes `name.yaml` from the host's file. */
  const init = async (name: string, ...more: readonly string[]) => {
    const target = join(system.folder, `${name}.yaml`)
    const words = ['init', '--from', name, '--trust-domain', 'test.example', '--json', ...more]
    const { command, args, env } = system.launch(words)
    const child = spawn(command, [...args.slice(0, -1), target], {
      cwd: system.folder,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
    return { code: code as number | null, stdout, stderr, target, told: JSON.parse(stdout) as Told }
  }

  test('reads the files of every host, and its result is a sound configuration that allows nothing', async () => {
    const names = Object.keys(hosts).filter((name) => name !== '.mcp.json')
    for (const { code, target, told, stdout } of await Promise.all(names.map((name) => init(name, '--no-start')))) {
      equal(code, 0, stdout)
      const { configuration } = await loadConfiguration(target)
      deepEqual([configuration.roles, configuration.bindings, configuration.trust_domain], [{}, [], 'test.example'])
      ok('files' in configuration.servers)
      equal(told.skipped.length, 0)
      equal(PLANTED.test(await readFile(target, 'utf8')), false)
    }
  })

  test('asks each server for its tools, proposes what it says of itself, and leaves out what cannot stand there', async () => {
    const { code, told, target, stderr } = await init('.mcp.json')
    equal(code, 0)
    equal(stderr, '')
    deepEqual(
      told.servers.map(({ name }) => name),
      ['files', 'my-remote', 'broken'],
    )
    deepEqual(
      told.skipped.map(({ originalName }) => originalName),
      ['keyed', 'headed', 'addressed', 'plain', 'streamed', 'filled', 'guarded', 'empty'],
    )
    const { configuration } = await loadConfiguration(target)
    const found = configuration.servers['files']
    ok(found !== undefined && 'command' in found)
    deepEqual([found.env, found.env_from], [{ LOG_LEVEL: 'debug' }, ['GITHUB_TOKEN', 'DATABASE', 'WORD']])
    ok(found.effects.read.includes('read_text_file') && !found.effects.read.includes('write_file'))
    const { tools } = await compiledPolicy(deploymentOf(await loadConfiguration(target)))
    ok([...tools.keys()].includes('files/read_text_file'))
    match(told.servers[2]?.notes.join() ?? '', /tools unknown: .*no-such-program/)
    for (const one of [await readFile(target, 'utf8'), JSON.stringify(told)]) equal(PLANTED.test(one), false, one)
  })

  test('nothing that is there is overwritten, unless it is asked for', async () => {
    const target = join(system.folder, 'cursor.json.yaml')
    await writeFile(target, 'mine')
    const { code, told } = await init('cursor.json', '--no-start')
    deepEqual([code, told.error?.code], [2, 'configuration_exists'])
    equal(await readFile(target, 'utf8'), 'mine')
    equal((await init('cursor.json', '--no-start', '--force')).code, 0)
    match(await readFile(target, 'utf8'), /^servers:/m)
  })

  test('a file that is missing, is no JSON or names no servers is told with its code', async () => {
    await writeFile(join(system.folder, 'half.json'), '{"mcpServers": {')
    await writeFile(join(system.folder, 'other.json'), '{"name": "x"}')
    const results = await Promise.all(['none.json', 'half.json', 'other.json'].map((name) => init(name)))
    deepEqual(
      results.map(({ code, told }) => [code, told.error?.code]),
      [
        [2, 'host_file_unreadable'],
        [2, 'host_file_invalid'],
        [2, 'host_file_invalid'],
      ],
    )
  })

  test('a variable that the result names and nobody has set is told at the start', async () => {
    const written = await readFile(join(system.folder, '.mcp.json.yaml'), 'utf8')
    const servers = written.replace(/^trust_domain:.*$/m, '')
    await system.configure(`${servers}${wideLimits}`)
    equal((await system.run(['config', 'check'])).code, 0)
    const missing = await system.run(['up', '--json'])
    equal((JSON.parse(missing.stdout.trim().split('\n').at(-1) ?? '') as Told).error?.code, 'environment_missing')
    await rm(join(system.folder, '.doorward'), { recursive: true, force: true })
  })

  test('docs/quick-start.md: its result allows nobody anything, then what its roles say, to the host that starts its entry', async () => {
    await mkdir(join(system.folder, 'notes'))
    await writeFile(join(system.folder, 'notes', 'hello.md'), 'hello\n')
    const blocks = fences(await readFile(join(repository, 'docs', 'quick-start.md'), 'utf8'))
    const block = (wanted: string) => blocks.find(({ kind }) => kind === wanted)?.text ?? ''
    await writeFile(join(system.folder, '.mcp.json'), block('json'))
    const ports = (await readFile(system.configFile, 'utf8')).split('\n').slice(1, 5).join('\n')
    await rm(system.configFile)
    const walk = new PageWalk(system)
    await walk.page('quick-start.md', { before: '2. Start' })
    const written = `${await readFile(system.configFile, 'utf8')}\n${ports}\n${wideLimits}`
    await writeFile(system.configFile, written)
    await system.up()
    ;(await system.identity('agent/a')).close()
    const call = await system.run(['call', 'notes', 'list_allowed_directories', '--as', 'agent/a', '--json'])
    equal((JSON.parse(call.stdout) as Told).error?.code, 'policy_denied')
    equal((await system.run(['tools', 'notes', '--as', 'agent/a', '--json'])).code, 1)

    const roles = block('yaml').split('\n').slice(2).join('\n')
    await writeFile(system.configFile, `${written.replace(/^(?:roles: {}|bindings: \[\])$/gm, '')}\n${roles}`)
    equal((await system.run(['policy', 'reload'])).code, 0)
    await walk.page('quick-start.md', { from: '3. Connect your host' })
    const { mcpServers } = JSON.parse(await readFile(join(system.folder, '.mcp.json'), 'utf8')) as HostFile
    const { command = '', args = [] } = mcpServers['notes'] ?? {}
    const host = await openV2({ command, args: [...args], env: { ...system.env } })
    const listed = (await host.client.listTools()).tools.map(({ name }) => name).join()
    ok(listed.includes('read_text_file') && !listed.includes('write_file'), listed)
    await host.close()
    equal(await system.interrupt(), 0)
  })
})

test('what is written down of a variable is plainly no secret', () => {
  for (const [name, value] of [
    ['LOG_LEVEL', 'debug'],
    ['PORT', '8080'],
    ['LANG', 'en_US.UTF-8'],
    ['ROOT', '/srv/docs'],
    ['BASE', 'https://api.example.com/v1'],
  ] as const)
    equal(isPlainSetting(name, value), true, name)
  for (const [name, value] of [
    ['API_KEY', 'x'],
    ['DB_PASSWORD', 'word'],
    ['VALUE', 'aB3dE5fG7hI9jK1l'],
    ['URL', 'https://u:p@h/'],
    ['URL', 'https://h/?k=v'],
    ['X', '${TOKEN}'],
    ['X', ''],
  ] as const)
    equal(isPlainSetting(name, value), false, name)
})

test('a command line that carries a secret is seen, and its value is not told', () => {
  deepEqual(
    [
      ['x', '--token', 'v'],
      ['x', '--api-key=v'],
      ['x', '--header', 'Authorization: Bearer v'],
      ['x', 'postgres://u:p@h/d'],
      ['x', 'ghp_abc'],
    ].map(secretWord),
    ['--token', '--api-key', 'a header', 'argument 1', 'argument 1'],
  )
  deepEqual(
    [
      ['npx', '-y', '@a/b', '/srv/docs'],
      ['x', '--verbose', '--port', '80'],
    ].map(secretWord),
    [null, null],
  )
})
