/** Servers that are not there, die, babble or flood: their caller is told, nobody else notices, and the record keeps it. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openMcpClient, ServerRefused, systemRuntime } from '@doorward/sdk'
import type { Identity, McpAnswer, McpClient } from '@doorward/sdk'
import { serverEndpoint } from '../../packages/server/src/apps/bridge.ts'
import { freePorts, TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { json, scriptedServer } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'

/** A server of one file: answers `initialize`, and any tool call as the tool's name says. */
const program = `
let rest = ''
const say = (message) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n')
const result = { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 's', version: '1' } }
function answer({ id, method, params }) {
  if (method === 'initialize') return say({ id, result })
  if (method === 'tools/list') return say({ id, result: { tools: [{ name: 'echo', inputSchema: { type: 'object' } }] } })
  if (method !== 'tools/call') return
  if (params.name === 'die') process.exit(3)
  if (params.name === 'crash') process.kill(process.pid, 'SIGKILL')
  if (params.name === 'flood') return process.stdout.write('x'.repeat(5 * 1024 * 1024) + '\\n')
  if (params.name === 'babble') process.stdout.write('\\u0000\\u0001 not json\\n[1,2\\n"text"\\n{"jsonrpc":"2.0","id":99,"result":{}}\\n{}\\n')
  if (params.name === 'wait') return
  if (params.name === 'both') return process.stdout.write('{"jsonrpc":"2.0","id":' + JSON.stringify(id) + ',"result":{},"error":{}}\\n')
  if (params.name === 'repeat') return process.stdout.write('{"jsonrpc":"2.0","id":' + JSON.stringify(id) + ',"result":{"a":1,"a":2}}\\n')
  say({ id, result: { content: [{ type: 'text', text: params.name }] } })
}
process.stdin.on('data', (chunk) => {
  const lines = (rest + chunk).split('\\n')
  rest = lines.pop()
  for (const line of lines) if (line !== '') answer(JSON.parse(line))
})
`

describe('bad servers', () => {
  let system: TestDeployment
  let http: ScriptedServer
  let agent: Identity
  before(async () => {
    http = await scriptedServer((reached, response) => {
      if (reached.body.includes('"garbage"'))
        return void response.writeHead(200, { 'Content-Type': 'application/json' }).end('not json')
      if (reached.body.includes('"cut"')) return void response.destroy()
      if (reached.body.includes('"html"'))
        return void response.writeHead(200, { 'Content-Type': 'text/html' }).end('<p>')
      if (reached.body.includes('"huge"'))
        return json(response, `{"jsonrpc":"2.0","id":1,"result":{"x":"${'y'.repeat(5 * 1024 * 1024)}"}}`)
      const { id } = JSON.parse(reached.body === '' ? '{}' : reached.body) as { id?: number }
      return json(response, JSON.stringify({ jsonrpc: '2.0', id, result: { content: [] } }))
    })
    const [closed] = await freePorts(1)
    system = await TestDeployment.prepare({ yaml: '' })
    await writeFile(join(system.folder, 'server.mjs'), program)
    await system.configure(`servers:
  good: { command: [node, server.mjs] }
  bad: { command: [node, server.mjs] }
  missing: { command: [no-such-program] }
  stillborn: { command: [node, -e, "console.error('no licence'); process.exit(4)"] }
  away: { url: "http://127.0.0.1:${closed}/mcp", insecure_upstream: true }
  http: { url: "${http.url}", insecure_upstream: true }
roles: { all: ["*"] }
bindings: [{ role: all, workloads: ["spiffe://test.example/agent/*"] }]
${wideLimits}`)
    await system.up()
    agent = await system.identity('agent/a')
  })
  after(async () => {
    agent.close()
    await http.close()
    await system.remove()
  })

  const open = async (server: string): Promise<McpClient> =>
    openMcpClient({
      fetch: agent,
      endpoint: serverEndpoint(await system.deployment(), server),
      runtime: systemRuntime,
      client: { name: 'test', version: '1' },
    })
  const call = (client: McpClient, name: string) => client.request('tools/call', { name, arguments: {} })
  interface Refused {
    readonly code: string | undefined
    readonly entry: string
  }
  const refusal = (answer: McpAnswer): Refused => {
    ok(!answer.ok, 'it was answered')
    const data = answer.data as Readonly<Record<string, string>>
    equal(data['decision'], answer.decision?.decision)
    return { code: data['code'], entry: data['decision'] ?? '' }
  }
  /** What the record says of it: allowed, and how it ended. */
  const recorded = async ({ code, entry }: Refused) => {
    const index = Number(entry.split('#')[1])
    for (;;) {
      const record = await system.record()
      const outcome = record.find((one) => one.entry.kind === 'outcome' && one.entry.body['of'] === index)?.entry.body
      if (outcome === undefined) {
        await sleep(25)
        continue
      }
      deepEqual([record[index]?.entry.body['decision'], outcome['status'], outcome['code']], ['allow', 'failed', code])
      return
    }
  }

  const faults: readonly (readonly [server: string, tool: string, code: string])[] = [
    ['bad', 'die', 'upstream_unavailable'],
    ['bad', 'crash', 'upstream_unavailable'],
    ['bad', 'flood', 'upstream_unavailable'],
    ['bad', 'repeat', 'upstream_invalid'],
    ['bad', 'both', 'upstream_invalid'],
    ['http', 'garbage', 'upstream_invalid'],
    ['http', 'html', 'upstream_invalid'],
    ['http', 'huge', 'upstream_invalid'],
    ['http', 'cut', 'upstream_unavailable'],
  ]
  for (const [server, tool, code] of faults) {
    test(`a call of ${server}/${tool} is answered ${code}, while another session and another server go on`, async () => {
      const [good, client, neighbour] = await Promise.all(['good', server, server].map(open))
      ok(good !== undefined && client !== undefined && neighbour !== undefined)
      const refused = refusal(await call(client, tool))
      equal(refused.code, code)
      await recorded(refused)
      ok((await call(neighbour, 'echo')).ok)
      ok((await call(good, 'echo')).ok)
      for (const one of [good, client, neighbour]) await one.close()
    })
  }

  test('noise between messages is dropped, and the answer still comes', async () => {
    const client = await open('bad')
    ok((await call(client, 'babble')).ok)
    await client.close()
  })

  test('calls that wait when the process dies are each answered', async () => {
    const client = await open('bad')
    const waiting = [call(client, 'wait'), call(client, 'wait'), call(client, 'die')]
    for (const answer of await Promise.all(waiting)) await recorded(refusal(answer))
    await client.close()
  })

  for (const server of ['missing', 'stillborn', 'away']) {
    test(`a server that is ${server} is upstream_unavailable, with its entry`, async () => {
      const error: unknown = await open(server).then(
        () => null,
        (reason: unknown) => reason,
      )
      ok(error instanceof ServerRefused)
      equal(error.code, 'upstream_unavailable')
      await recorded({ code: error.code, entry: error.decision ?? '' })
    })
  }

  test('the command line tells it with code and entry, as a failed check', async () => {
    const { code, stdout } = await system.run(['tools', 'missing', '--as', 'agent/a', '--json'])
    equal(code, 1)
    const { error } = JSON.parse(stdout) as { error: { code: string; where: string } }
    equal(error.code, 'upstream_unavailable')
    await recorded({ code: error.code, entry: error.where.replace('decision ', '') })
  })

  test('the operator is told why, and nothing of it reaches the caller', () => {
    const notices = system.events.filter(({ event }) => event === 'notice').map(({ text }) => String(text))
    for (const reason of [
      /missing: its program "no-such-program" is not there/,
      /stillborn: it ended with exit code 4/,
    ]) {
      ok(
        notices.some((text) => reason.test(text)),
        notices.join('\n'),
      )
    }
  })

  test('the gateway has not been restarted, and the record verifies', async () => {
    equal(system.events.filter(({ event }) => event === 'died').length, 0)
    const { code, stdout } = await system.run(['audit', 'verify', '--json'])
    equal(code, 0, stdout)
  })
})
