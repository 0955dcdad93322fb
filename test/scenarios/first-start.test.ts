import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { filesBelow } from '../fixtures/files-below.ts'
import { repository, TestDeployment } from '../fixtures/deployment.ts'
import { openFakeKeyring } from '../fixtures/keyring.ts'

const documents = join(repository, 'examples', 'first-call', 'documents')
const yaml = `servers:
  files:
    command: [mcp-server-filesystem, ${documents}]
    effects: { read: [read_*, list_*] }
roles:
  reader: ["read:files/*"]
bindings:
  - { role: reader, workloads: ["spiffe://test.example/agent/*"] }
`

const initialize = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
})

async function identitiesKey({ folder }: TestDeployment): Promise<string> {
  const { state_id } = JSON.parse(await readFile(join(folder, '.doorward', 'state.json'), 'utf8')) as {
    state_id: string
  }
  return join(folder, 'config', 'doorward', state_id, 'identities.key')
}

interface HostFile {
  readonly theme: string
  readonly mcpServers: Readonly<Record<string, { readonly command: string; readonly args: readonly string[] }>>
}

describe('the first start, with the tour', () => {
  let system: TestDeployment
  before(async () => {
    system = await TestDeployment.start({ yaml, words: ['--tour'] })
  })
  after(() => system.remove())

  test('shows one allowed call and three refusals, each with its entry in the record', async () => {
    const rows = system.events.filter(({ event }) => event === 'call')
    assert.deepEqual(
      rows.map(({ allowed, code }) => [allowed, code]),
      [
        [true, 'allowed'],
        [false, 'policy_denied'],
        [false, 'token_binding'],
        [false, 'certificate_missing'],
      ],
    )
    assert.match(String(rows[1]?.['reason']), /tools\/call:files\/write_file/)
    const record = await system.record()
    for (const { entry, code } of rows) {
      const index = Number(String(entry).split('#')[1])
      const body = record[index]?.entry.body
      assert.equal(body?.['code'] ?? body?.['reason'], code, String(entry))
    }
  })

  test('the denied write changed nothing', async () => {
    assert.deepEqual((await readdir(documents)).toSorted(), ['opening-hours.md', 'welcome.md'])
  })

  test('verifies both logs', () => {
    const verified = system.events.filter(({ event }) => event === 'verified')
    assert.deepEqual(
      verified.map(({ problems }) => problems),
      [[], []],
    )
  })

  test('what it prints to try in a second terminal works', async () => {
    const tools = await system.run(['tools', 'files', '--json'])
    assert.equal(tools.code, 0, tools.stderr)
    const read = await system.run(['call', 'files', 'read_text_file', 'path=welcome.md', '--json'])
    assert.equal(read.code, 0, read.stderr)
    const tail = await system.run(['audit', 'tail', '--json'])
    assert.equal(tail.code, 0, tail.stderr)
  })

  test('a host is installed with an identity of its own, absolute paths and a backup', async () => {
    const file = join(system.folder, '.claude.json')
    await writeFile(file, '{"theme": "dark"}\n')
    const installed = await system.run(['connect', 'files', '--install', 'claude-code', '--yes'])
    assert.equal(installed.code, 0, installed.stderr)
    const { theme, mcpServers } = JSON.parse(await readFile(file, 'utf8')) as HostFile
    assert.equal(theme, 'dark')
    const { command, args } = mcpServers['files'] ?? { command: '', args: [] }
    assert.ok(isAbsolute(command))
    assert.deepEqual(args.slice(-3), [system.configFile, '--as', 'agent/claude-code'])
    assert.equal((await readdir(system.folder)).filter((name) => name.startsWith('.claude.json.')).length, 1)
    const read = await system.run(['call', 'files', 'read_text_file', 'path=welcome.md', '--as', 'agent/claude-code'])
    assert.equal(read.code, 0, read.stderr)
    const words = ['write_file', 'path=x', 'content=x', '--as', 'agent/claude-code', '--json']
    const write = await system.run(['call', 'files', ...words])
    assert.equal(write.code, 1)
    const { error } = JSON.parse(write.stdout) as { error: Record<string, string> }
    assert.equal(error['permission'], 'tools/call:files/write_file')
    assert.match(error['decision'] ?? '', /^test\.example\/gateway\/main#\d+$/)
  })

  test('state is closed to others, and the keys that seal it lie elsewhere', async () => {
    const state = join(system.folder, '.doorward')
    assert.equal((await stat(state)).mode & 0o777, 0o700)
    for (const { path, mode } of await filesBelow(state)) assert.equal(mode & 0o077, 0, path)
    const { state_id } = JSON.parse(await readFile(join(state, 'state.json'), 'utf8')) as { state_id: string }
    const keys = await readdir(join(system.folder, 'config', 'doorward', state_id))
    for (const key of ['authority.key', 'gateway-main.key', 'identities.key', 'recovery-root.pem'])
      assert.ok(keys.includes(key), key)
  })

  test('a bridge whose key is in the keyring calls as long as the keyring gives it, and not at all without', async () => {
    const keyring = await openFakeKeyring()
    const [configuration, key] = [await readFile(system.configFile, 'utf8'), await identitiesKey(system)]
    const content = await readFile(key, 'utf8')
    const connect = async () => {
      const { command, args, env } = system.launch(['connect', 'files', '--as', 'agent/claude-code'])
      const child = spawn(command, args, { env: { ...env, ...keyring.env }, cwd: system.folder, stdio: 'pipe' })
      child.stdin.on('error', () => undefined).end(`${initialize}\n`)
      const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
      return { stdout, stderr, code: Number(code) }
    }
    try {
      await keyring.set(content)
      await rm(key)
      await writeFile(system.configFile, `${configuration}state: { identities_keyring: { account: notes } }\n`)
      const opened = await connect()
      assert.match(opened.stdout, /"serverInfo"/, opened.stderr)
      const before = (await system.record()).length
      await keyring.mood('broken')
      const closed = await connect()
      assert.notEqual(closed.code, 0)
      assert.match(closed.stderr, /unlock the keyring/)
      assert.equal(closed.stdout, '')
      assert.equal((await system.record()).length, before)
    } finally {
      await writeFile(key, content, { mode: 0o600 })
      await writeFile(system.configFile, configuration)
      await keyring.close()
    }
  })

  test('Ctrl-C ends it cleanly, and a second start finds state and keys again', async () => {
    const before = (await system.record()).length
    assert.equal(await system.interrupt(), 0)
    assert.equal(system.events.at(-1)?.['event'], 'stopped')
    system.events.length = 0
    await system.up(['--tour'])
    assert.equal(system.events.find(({ event }) => event === 'starting')?.['created'], false)
    assert.equal(system.events.filter(({ event }) => event === 'call').length, 4)
    assert.ok((await system.record()).length > before)
  })
})
