/** Requests that a client cancels: servers need not answer them, and nothing may be kept of them for ever. */

import { deepEqual, equal } from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { EntryEnvelope } from '@doorward/core'
import { GatewayFixture } from '../fixtures/gateway-fixture.ts'
import { dial, talk } from '../fixtures/raw-http.ts'
import { event, json, scriptedServer, stream } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

/** Requests that one session may have waiting: fewer than the tests cancel. */
const pending = 4
const silentProgram = `
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method } = JSON.parse(line)
  const result = method === 'initialize'
    ? { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 'silent', version: '1' } }
    : method === 'ping' ? {} : undefined
  if (result !== undefined) process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result }) + '\\n')
})
`

/** Questions that the server takes back at once. */
const asked = Array.from({ length: pending + 2 }, (_, id) => [
  event(`{"jsonrpc":"2.0","id":${id},"method":"roots/list"}`),
  event(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${id}}}`),
]).flat()

let folder: string
let silent: ScriptedServer
let gateway: GatewayFixture
let agent: TestSvid
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-cancelled-'))
  const program = join(folder, 'silent.cjs')
  await writeFile(program, silentProgram)
  silent = await scriptedServer(({ method, body }, response) => {
    if (method === 'GET') stream(response, ...asked)
    else if (method === 'DELETE') response.writeHead(200).end()
    else if (body.includes('"ping"')) json(response, '{"jsonrpc":"2.0","id":"p","result":{}}')
    else stream(response, ': nothing to say\n\n')
  })
  gateway = await GatewayFixture.open({
    servers: { http: { url: silent.url }, stdio: { command: [process.execPath, program] } },
    roles: { all: ['*'] },
    sessions: { pending },
    patienceMilliseconds: 20,
  })
  agent = await gateway.trust.issue('agent/planner', { roles: ['all'] })
})
after(async () => {
  await gateway.close()
  await silent.close()
  await rm(folder, { recursive: true, force: true })
})

const call = (id: number) => `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"wait"}}`
const cancel = (id: number) => `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${id}}}`
const begun = (text: string) => text.includes('\r\n\r\n')

/** A request that waits on a connection of its own. */
async function waiting(server: string, session: string, id: number) {
  const socket = await dial(gateway.connection(agent))
  await talk(socket, await gateway.request(agent, server, { session, body: call(id) }), begun)
  return socket
}

async function outcomesOfCalls(session: { readonly from: number }, count: number): Promise<readonly EntryEnvelope[]> {
  for (;;) {
    const entries = gateway.record.entries.slice(session.from)
    const calls = entries.flatMap((entry, i) =>
      entry.kind === 'decision' && entry.body['action'] === 'tools/call' ? [session.from + i] : [],
    )
    const outcomes = entries.filter((entry) => entry.kind === 'outcome' && calls.includes(Number(entry.body['of'])))
    if (outcomes.length >= count) return outcomes
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

for (const server of ['http', 'stdio']) {
  test(`${server}: a caller may cancel more requests than may wait, and leave each`, async () => {
    const from = gateway.record.entries.length
    const session = await gateway.initialize(agent, server)
    for (let id = 1; id <= pending + 2; id++) {
      const socket = await waiting(server, session, id)
      equal((await gateway.rpc(agent, server, { session, body: cancel(id) })).status, 202, `${id}`)
      socket.destroy()
      await outcomesOfCalls({ from }, id)
    }
    const outcomes = await outcomesOfCalls({ from }, pending + 2)
    deepEqual(
      outcomes.map(({ body }) => [body['status'], body['code']]),
      outcomes.map(() => ['cancelled', undefined]),
    )
    equal(
      (await gateway.rpc(agent, server, { session, body: '{"jsonrpc":"2.0","id":"p","method":"ping"}' })).status,
      200,
    )
  })

  test(`${server}: a caller may leave first and cancel afterwards`, async () => {
    const from = gateway.record.entries.length
    const session = await gateway.initialize(agent, server)
    for (let id = 1; id <= pending + 2; id++) {
      const socket = await waiting(server, session, id)
      socket.destroy()
      await outcomesOfCalls({ from }, id)
      equal((await gateway.rpc(agent, server, { session, body: cancel(id) })).status, 202, `${id}`)
    }
    equal(
      (await gateway.rpc(agent, server, { session, body: '{"jsonrpc":"2.0","id":"p","method":"ping"}' })).status,
      200,
    )
  })

  test(`${server}: a cancelled request that ends with its session has not failed`, async () => {
    const from = gateway.record.entries.length
    const session = await gateway.initialize(agent, server)
    const socket = await waiting(server, session, 1)
    await gateway.rpc(agent, server, { session, body: cancel(1) })
    equal((await gateway.rpc(agent, server, { session, method: 'DELETE' })).status, 200)
    const [outcome] = await outcomesOfCalls({ from }, 1)
    deepEqual([outcome?.body['status'], outcome?.body['code']], ['cancelled', undefined])
    socket.destroy()
  })
}

test('a server may cancel more questions to its client than may wait', async () => {
  const session = await gateway.initialize(agent, 'http', { roots: {} })
  const last = `"requestId":${pending + 1}`
  const { body } = await gateway.rpc(agent, 'http', { session, method: 'GET' }, (text) => text.includes(last))
  equal(body.match(/roots\/list/g)?.length, pending + 2)
})
