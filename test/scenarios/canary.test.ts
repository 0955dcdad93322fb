/** Secrets are planted, used, and looked for where they do not belong: logs, records, outputs, arguments, environments. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openMcpClient, systemRuntime } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { serverEndpoint } from '../../packages/server/src/apps/bridge.ts'
import type { RunResult } from '../fixtures/deployment.ts'
import { TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { foundInMemory } from '../fixtures/memory.ts'
import { descendants } from '../fixtures/process-tree.ts'
import type { RunningProcess } from '../fixtures/process-tree.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import { json, scriptedServer } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import { pemOf } from '../fixtures/trust-fixture.ts'

/** What now counts, and the most that it may be raised to. */
const noCore = /^Max core file size +0 +0 /m
const VARIABLE = 'canary-variable-5f2c'
const UPSTREAM = 'canary-upstream-91ab'
const CLIENT = 'canary-client-77de'
const FOREIGN = 'canary-bearer-03cc'

/** Answers every tool call with whether it has the variable. */
const vault = `process.stdin.on('data', (chunk) => {
  for (const line of String(chunk).split('\\n').filter(Boolean)) {
    const { id, method } = JSON.parse(line)
    const result = method === 'initialize'
      ? { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'vault', version: '1' } }
      : { tools: [], content: [{ type: 'text', text: String(process.env.VAULT_KEY !== undefined) }] }
    if (id !== undefined) process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result }) + '\\n')
  }
})`

describe('secrets', () => {
  let system: TestDeployment
  let server: ScriptedServer
  let agent: Identity
  const secrets = new Map<string, string>()
  const outputs: RunResult[] = []
  let processes: readonly RunningProcess[] = []

  before(async () => {
    server = await scriptedServer(({ body }, response) => {
      if (body === '') return void response.writeHead(405).end()
      const { id } = JSON.parse(body) as { id: number }
      const headers = {
        'X-Upstream-Key': UPSTREAM,
        'Set-Cookie': `s=${UPSTREAM}`,
        'WWW-Authenticate': `x="${UPSTREAM}"`,
      }
      if (body.includes('"fail"')) return void response.writeHead(401, headers).end(UPSTREAM)
      json(response, JSON.stringify({ jsonrpc: '2.0', id, result: { tools: [], content: [] } }), headers)
    })
    system = await TestDeployment.prepare({ yaml: '', env: { VAULT_KEY: VARIABLE } })
    await writeFile(join(system.folder, 'vault.mjs'), vault)
    await system.configure(`servers:
  notes: { url: "${server.url}", insecure_upstream: true }
  vault: { command: [node, vault.mjs], env_from: [VAULT_KEY] }
roles: { all: ["*"] }
bindings: [{ role: all, workloads: ["spiffe://test.example/agent/*"] }]
${wideLimits}`)
    await system.up()
    await use()
  })
  after(async () => {
    agent.close()
    await server.close()
    await system.remove()
  })

  /** Everything that a secret takes part in; what it is known by is kept in `secrets`. */
  async function use(): Promise<void> {
    const run = async (words: string) => outputs.push(await system.run(words.split(' ')))
    await run('workload add agent/a --out a.join')
    const joinString = (await readFile(join(system.folder, 'a.join'), 'utf8')).trim()
    secrets.set('the join string', joinString)
    const inside = JSON.parse(Buffer.from(joinString.split('.')[1] ?? '', 'base64url').toString()) as Record<
      string,
      unknown
    >
    secrets.set('its token', String(inside['token']))
    await run('join --file a.join')
    await run('call vault x --as agent/a')
    await run('call notes x --as agent/a --json')
    await run('call notes fail --as agent/a --json')
    await run('workload list --json')
    await run('audit tail -n 500 --json')
    agent = await system.identity('agent/a')
    const { audience } = serverEndpoint(await system.deployment(), 'notes')
    secrets.set('an access token', (await agent.token(audience)).reveal())
    await Promise.all([
      raw({ 'X-Api-Key': CLIENT, Cookie: CLIENT }),
      raw({ Authorization: `Bearer ${FOREIGN}` }),
      raw({ Authorization: `Basic ${FOREIGN}` }),
    ])
    const home = join(system.folder, 'config', 'doorward')
    const keys = join(home, (await readdir(home))[0] ?? '')
    for (const name of ['authority.key', 'gateway-main.key', 'identities.key']) {
      secrets.set(name, (await readFile(join(keys, name), 'utf8')).trim().split('.')[2] ?? '')
    }
    secrets.set('the recovery root', (await readFile(join(keys, 'recovery-root.pem'), 'utf8')).split('\n')[1] ?? '')
    secrets.set('the variable', VARIABLE)
    secrets.set('a header of a server', UPSTREAM)
    secrets.set('a header of a client', CLIENT)
    secrets.set('a credential of a client', FOREIGN)
    processes = await descendants(system.pid)
  }

  /** A call with other headers than the SDK would send; its answer is an output, too. */
  async function raw(headers: Readonly<Record<string, string>>): Promise<void> {
    const deployment = await system.deployment()
    const { chain, privateKey } = agent.credentials.current()
    const { host, port } = deployment.gateway.listeners.main
    const tls = {
      host,
      port,
      ca: agent.material().anchors.map(pemOf),
      cert: chain.map(pemOf).join(''),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    }
    const token = (await agent.token(serverEndpoint(deployment, 'notes').audience)).reveal()
    const content =
      '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}'
    const all = {
      Host: `${host}:${port}`,
      Authorization: `Bearer ${token}`,
      Accept: 'application/json, text/event-stream',
      'Content-Type': 'application/json',
      'Content-Length': content.length,
      ...headers,
    }
    const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
    const socket = await dial(tls)
    const answer = await talk(socket, `POST /mcp/notes HTTP/1.1\r\n${head.join('')}\r\n${content}`)
    socket.destroy()
    ok(parseAnswer(answer).status > 0)
    outputs.push({ code: 0, stdout: answer, stderr: '' })
  }

  const found = (text: string): readonly string[] =>
    [...secrets].filter(([, secret]) => text.includes(secret)).map(([name]) => name)

  test('are known to this test, and have been used', () => {
    for (const [name, secret] of secrets) ok(secret.length >= 16, name)
    ok(outputs[2]?.stdout.includes('true'), 'the server has its variable')
    ok(server.having('tools/call').length >= 2)
  })

  test('are in no output of a command, and in no answer', () => {
    for (const { stdout, stderr } of outputs) deepEqual([found(stdout), found(stderr)], [[], []], `${stdout}${stderr}`)
    deepEqual(found(system.stderr + JSON.stringify(system.events)), [])
  })

  test('are in no file of the state: no log, no record, no store', async () => {
    for (const entry of await readdir(join(system.folder, '.doorward'), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      // A file that another one replaces has another name for a moment.
      deepEqual(found(await readFile(path, 'latin1').catch(emptyWhenGone)), [], path)
    }
  })

  test('are in no entry of either record', async () => {
    for (const log of ['gateway', 'authority'] as const) {
      const entries = await system.record(log)
      ok(entries.length > 0)
      for (const { entry } of entries) deepEqual(found(JSON.stringify(entry)), [], JSON.stringify(entry))
    }
  })

  test('do not go on to the server: neither the token nor other headers of the client', () => {
    for (const reached of server.reached) deepEqual(found(JSON.stringify(reached)), [])
  })

  test(
    'are in no arguments, and the variable is only where it was put and where it is meant',
    { skip: process.platform !== 'linux' && 'processes are read from /proc' },
    () => {
      ok(processes.length >= 3, JSON.stringify(processes.map(({ words }) => words)))
      for (const { words } of processes) deepEqual(found(words), [], words)
      const holding = processes.filter(({ environment }) => found(environment).length > 0)
      for (const { environment } of holding) deepEqual(found(environment), ['the variable'])
      ok(holding.length >= 2, 'it is seen where it was put')
      equal(
        holding.some(({ words }) => words.includes('authority run')),
        false,
      )
    },
  )

  test(
    'are in no core dump of a server that crashes, but for the one that it was given',
    { skip: process.platform !== 'linux' && 'processes are read from /proc' },
    async () => {
      const endpoint = serverEndpoint(await system.deployment(), 'vault')
      const client = await openMcpClient({
        fetch: agent,
        endpoint,
        runtime: systemRuntime,
        client: { name: 'canary', version: '1' },
      })
      const running = (await descendants(system.pid)).filter(({ words }) => /^\S*node \S*vault\.mjs/.test(words))
      equal(running.length, 1, JSON.stringify(running))
      const { pid = 0, environment = '' } = running[0] ?? {}
      match(await readFile(`/proc/${pid}/limits`, 'utf8'), noCore)
      process.kill(pid, 'SIGSTOP')
      deepEqual(await foundInMemory(pid, secrets), ['the variable'])
      process.kill(pid, 'SIGSEGV')
      process.kill(pid, 'SIGCONT')
      for (let looks = 0; await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''); looks++) {
        ok(looks < 500, 'it has crashed')
        await sleep(20)
      }
      const home = /(?:^|\0)HOME=([^\0]*)/.exec(environment)?.[1] ?? ''
      const files = [...(await readdir(home)), ...(await readdir(system.folder))]
      deepEqual(
        files.filter((name) => name.startsWith('core')),
        [],
      )
      await client.close().catch(() => undefined)
    },
  )

  test(
    'are in no core dump of ours: neither part may leave one',
    { skip: process.platform !== 'linux' && 'processes are read from /proc' },
    async () => {
      for (const name of ['authority run', 'gateway run']) {
        const { pid } = processes.find(({ words }) => words.includes(name)) ?? {}
        ok(pid !== undefined, name)
        match(await readFile(`/proc/${pid}/limits`, 'utf8'), noCore, name)
      }
    },
  )
})

function emptyWhenGone(error: unknown): string {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
  throw error
}
