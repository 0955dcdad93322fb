/**
 * The guide that gives a server its credential, to the letter: its configuration, its commands; and canaries, one in every place where
 * a secret can be, that are found nowhere else.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { open, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { repository, TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import type { RunResult } from '../fixtures/deployment.ts'
import { readGuide } from '../fixtures/guide.ts'
import type { GuideCommand } from '../fixtures/guide.ts'
import { descendants } from '../fixtures/process-tree.ts'
import { json, scriptedServer } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'

/** By the file that holds it, or where it is put. */
const canaries = {
  'notes.token': 'canary-notes-0a41c7d2',
  'notes-new.token': 'canary-notes-new-77b1e3',
  'office.key': 'canary-office-5d90fa16',
  'mounted/tool': 'canary-mounted-tool-b2c8',
  WIKI_TOKEN: 'canary-environment-e41f',
} as const

/** Says the length of what it has, and writes it to its standard error, which is nobody's business. */
const files = `
import { createInterface } from 'node:readline'
console.error('my key is ' + process.env.TOOL_KEY)
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method } = JSON.parse(line)
  const say = (result) => console.log(JSON.stringify({ jsonrpc: '2.0', id, result }))
  if (method === 'initialize') say({ protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'files', version: '1' } })
  else if (method === 'tools/list') say({ tools: [{ name: 'say', inputSchema: { type: 'object' } }] })
  else if (method === 'tools/call') say({ content: [{ type: 'text', text: 'length ' + process.env.TOOL_KEY.length }] })
  else if (id !== undefined) console.log(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'no' } }))
})
`

describe('docs/secrets.md', () => {
  let system: TestDeployment
  let server: ScriptedServer
  let guide: ReturnType<typeof readGuide>
  const outputs: RunResult[] = []

  before(async () => {
    guide = readGuide(await readFile(join(repository, 'docs', 'secrets.md'), 'utf8'))
    server = await scriptedServer(({ body }, response) => {
      if (body === '') return void response.writeHead(405).end()
      const { id, method } = JSON.parse(body) as { id: number; method: string }
      if (method === 'tools/list')
        return json(
          response,
          JSON.stringify({ jsonrpc: '2.0', id, result: { tools: [{ name: 'say', inputSchema: { type: 'object' } }] } }),
        )
      if (method !== 'tools/call')
        return json(response, JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'no' } }))
      json(response, JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: 'said' }] } }))
    })
    const yaml = (guide.files.find(({ machine }) => machine === 'here')?.text ?? '').replaceAll(
      'http://127.0.0.1:9001/mcp',
      server.url,
    )
    const more = `  wiki: { url: "${server.url}", insecure_upstream: true, credential: { secret: wiki } }\n`
    system = await TestDeployment.prepare({
      yaml: '',
      trustDomain: 'acme.example',
      env: { WIKI_TOKEN: canaries.WIKI_TOKEN },
    })
    await system.configure(
      yaml
        .replace('roles:\n', `${more}roles:\n`)
        .replace('servers:\n', '  wiki: { env: WIKI_TOKEN, servers: [wiki] }\nservers:\n')
        .replace('"*:files/*"', '"*:files/*", "*:wiki/*"') + wideLimits,
      { trustDomain: 'acme.example' },
    )
    await mkdir(join(system.folder, 'mounted'))
    for (const [name, value] of Object.entries(canaries))
      if (name !== 'WIKI_TOKEN') await writeFile(join(system.folder, name), `${value}\n`, { mode: 0o600 })
    await writeFile(join(system.folder, 'files.mjs'), files)
    await system.up()
    for (const name of ['agent/planner', 'agent/clerk']) (await system.identity(name)).close()
  })
  after(async () => {
    await system.remove()
    await server.close()
  })

  async function carriedOut({ words: [program, ...words], exit, line }: GuideCommand): Promise<void> {
    equal(program, 'doorward', line)
    const from = words.indexOf('<')
    const input = from < 0 ? '' : await readFile(join(system.folder, words[from + 1] ?? ''), 'utf8')
    const result = await system.run(from < 0 ? words : words.slice(0, from), input)
    outputs.push(result)
    equal(result.code, exit, `${line}\n${result.stdout}${result.stderr}`)
  }

  test('its commands do what it says', async () => {
    ok(guide.commands.length > 12)
    for (const command of guide.commands) await carriedOut(command)
    const sent = server.having('tools/call').map(({ headers }) => headers['authorization'] ?? headers['x-api-key'])
    deepEqual(sent, [
      `Bearer ${canaries['notes.token']}`,
      canaries['office.key'],
      `Bearer ${canaries['notes-new.token']}`,
    ])
    ok(
      outputs.some(({ stdout }) => stdout.includes('length 24')),
      'the process has its key',
    )
    outputs.push(await system.run(['call', 'wiki', 'say', '--as', 'agent/planner', '--json']))
    equal(server.having('tools/call').at(-1)?.headers['authorization'], `Bearer ${canaries.WIKI_TOKEN}`)
  })

  test('what was used and changed is found by the name of the secret', async () => {
    const { stdout } = await system.run(['audit', 'query', '--secret', 'notes', '--json'])
    const found = stdout
      .trim()
      .split('\n')
      .map(
        (line) =>
          JSON.parse(line) as {
            kind: string
            body: Record<string, unknown>
            outcome: { body: Record<string, unknown> } | null
          },
      )
    deepEqual(
      found.filter(({ kind }) => kind === 'admin').map(({ body }) => body['change']),
      ['secret.put', 'secret.remove', 'secret.rotate', 'secret.put'],
    )
    const versions = found.flatMap(({ body, outcome }) =>
      body['action'] === 'tools/call' ? [outcome?.body['credentials']] : [],
    )
    equal(new Set(versions.map((one) => JSON.stringify(one))).size, 2, JSON.stringify(versions))
  })

  const forms = Object.values(canaries).flatMap((value) => [
    value,
    Buffer.from(value).toString('base64').replace(/=+$/, '').slice(0, -2),
    encodeURIComponent(value),
  ])
  const found = (text: string) => [...new Set(forms.filter((form) => text.includes(form)))]

  test('no canary is in an output, a log, an entry, an export or any file of the state', async () => {
    for (const words of [
      ['secret', 'list', '--json'],
      ['secret', 'list'],
      ['audit', 'tail', '-n', '2000', '--json'],
      ['gateway', 'reload', '--json'],
    ])
      outputs.push(await system.run(words))
    for (const { stdout, stderr } of outputs) deepEqual([found(stdout), found(stderr)], [[], []])
    deepEqual(found(system.stderr + JSON.stringify(system.events)), [])
    for (const log of ['gateway', 'authority'] as const) deepEqual(found(JSON.stringify(await system.record(log))), [])
    const looked: string[] = []
    for (const folder of ['.doorward', 'config'])
      for (const entry of await readdir(join(system.folder, folder), { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue
        const path = join(entry.parentPath, entry.name)
        looked.push(entry.name)
        deepEqual(found(await readFile(path, 'latin1').catch(() => '')), [], path)
      }
    ok(looked.includes('notes.secret') && looked.includes('gateway.log'), looked.join())
  })

  test(
    'processes have only what is theirs: on command lines, in environments, and in the memory that a core dump would hold',
    { skip: process.platform !== 'linux' && 'processes are read from /proc' },
    async () => {
      const peer = system.launch(['connect', 'files', '--as', 'agent/planner'])
      const { spawn } = await import('node:child_process')
      const bridge = spawn(peer.command, peer.args, {
        cwd: system.folder,
        env: peer.env,
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } }
      bridge.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params })}\n`)
      await new Promise((resolve) => bridge.stdout.once('data', resolve))
      try {
        const processes = await descendants(system.pid)
        for (const { words } of processes) deepEqual(found(words), [], words)
        const children = processes.filter(({ words }) => words.includes('files.mjs'))
        ok(children.length > 0)
        for (const { pid, environment } of children) {
          deepEqual(found(environment), [canaries['mounted/tool']])
          const memory = await memoryOf(pid)
          deepEqual(memory, [canaries['mounted/tool']])
        }
        const authority = processes.find(({ words }) => words.includes('authority run'))
        deepEqual(found(authority?.environment ?? 'none'), [])
        const holding = processes.filter(({ environment }) => found(environment).includes(canaries.WIKI_TOKEN))
        deepEqual(
          holding.map(({ words }) => / (gateway run|up) /.test(`${words} `)),
          holding.map(() => true),
        )
      } finally {
        bridge.kill()
      }
    },
  )

  /** Canaries in everything that the process may write and a core dump would have. */
  async function memoryOf(pid: number): Promise<readonly string[]> {
    const seen = new Set<string>()
    const maps = (await readFile(`/proc/${pid}/maps`, 'utf8')).split('\n')
    await using memory = await open(`/proc/${pid}/mem`, 'r')
    for (const line of maps) {
      const [, from = '', to = '', mode = ''] = /^([0-9a-f]+)-([0-9a-f]+) (\S+)/.exec(line) ?? []
      if (!mode.startsWith('rw')) continue
      const [start, end] = [Number.parseInt(from, 16), Number.parseInt(to, 16)]
      for (let at = start; at < end; at += 4 * 1024 * 1024) {
        const buffer = Buffer.alloc(Math.min(4 * 1024 * 1024, end - at))
        const { bytesRead } = await memory.read(buffer, 0, buffer.length, at).catch(() => ({ bytesRead: 0 }))
        for (const form of forms) if (buffer.subarray(0, bytesRead).includes(form)) seen.add(form)
      }
    }
    return [...seen].filter((form) => Object.values(canaries).includes(form as never))
  }
})
