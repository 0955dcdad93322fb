/** Servers that keep silent: a handshake has a limit, and a stream that cannot be answered ends with an error message. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { GatewayFixture, messagesOf } from '../fixtures/gateway-fixture.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

const init =
  '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}'
const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}'
// Two messages may arrive in one piece, so it reads lines.
const greet = `require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method } = JSON.parse(line)
  if (method === 'initialize') console.log(JSON.stringify({ jsonrpc: '2.0', id, result: { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 's', version: '1' } } }))
  if (method === 'ping') setTimeout(() => process.exit(0), 400)
})`

let gateway: GatewayFixture
let agent: TestSvid
before(async () => {
  gateway = await GatewayFixture.open({
    servers: {
      mute: { command: [process.execPath, '-e', 'process.stdin.resume()'] },
      dies: { command: [process.execPath, '-e', greet] },
    },
    roles: { all: ['*'] },
    patienceMilliseconds: 100,
    limits: { responseMilliseconds: 6000 },
  })
  agent = await gateway.trust.issue('agent/planner', { roles: ['all'] })
})
after(() => gateway.close())

test('a server that does not answer initialize is timed out, and its session is gone', async () => {
  const answer = await gateway.rpc(agent, 'mute', { body: init })
  const [message] = messagesOf(answer)
  deepEqual([message?.id, message?.error?.data], [0, { code: 'upstream_timeout' }])
  const session = answer.headers['mcp-session-id'] ?? ''
  equal((await gateway.rpc(agent, 'mute', { session, body: ping })).headers['doorward-code'], 'session_unknown')
  ok(gateway.dropped.some((reason) => reason.includes('initialize')))
})

test('a stream whose process dies ends with the error of its request', async () => {
  const session = await gateway.initialize(agent, 'dies')
  const answer = await gateway.rpc(agent, 'dies', { session, body: ping })
  equal(answer.headers['content-type'], 'text/event-stream')
  const [message] = messagesOf(answer)
  deepEqual([message?.id, message?.error?.data], [1, { code: 'upstream_unavailable' }])
})
