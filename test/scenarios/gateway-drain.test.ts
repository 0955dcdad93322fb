/** Gateways that stop and start again: what is under way ends well, and whoever asks another one meanwhile loses no call. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { once } from 'node:events'
import { get } from 'node:https'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { RollingGateways, called } from '../load/rolling-gateways.ts'
import type { Restartable } from '../load/rolling-gateways.ts'

const GRACE_MILLISECONDS = 10_000

let rolling: RollingGateways

before(async () => {
  rolling = await RollingGateways.open()
})
after(() => rolling?.close())

async function readiness({ ports }: Restartable): Promise<number | undefined> {
  const asked = get({ host: '127.0.0.1', port: ports[2], path: '/readyz', rejectUnauthorized: false, agent: false })
  const [response] = (await once(asked, 'response')) as [import('node:http').IncomingMessage]
  let bytes = 0
  for await (const part of response) bytes += (part as Buffer).length
  equal(bytes, 0)
  return response.statusCode
}

test('both gateways are restarted one after the other, and no call of who asks the other one then is lost or made twice', async () => {
  const calling = rolling.calling()
  for (const one of [rolling.east, rolling.west]) {
    await calling.further(40)
    const began = performance.now()
    await one.stop()
    ok(performance.now() - began < GRACE_MILLISECONDS)
    await calling.further(40)
    await one.restart()
  }
  await calling.further(40)
  await calling.finish()
  deepEqual(calling.lost, [])
  equal(rolling.executed, calling.done)
})

test('who stops is not ready at once, takes no connection, answers what is under way, and ends streams', async () => {
  const client = await rolling.client(rolling.east)
  const listening = await rolling.caller.call(rolling.east.endpoint.url, {
    audience: rolling.east.endpoint.audience,
    expectedId: rolling.east.endpoint.expectedId,
    headers: { accept: 'text/event-stream', 'mcp-session-id': await sessionAt(rolling.east) },
  })
  equal(listening.status, 200)
  const ended = (async () => {
    for await (const part of listening.body) void part
  })().catch((error: unknown) => error)
  equal(await readiness(rolling.east), 200)
  const before = rolling.executed
  const slow = called(client, 'read_slowly')
  await sleep(200)
  const stopped = rolling.east.stop()
  equal(await readiness(rolling.east), 503)
  const refused = connect({ host: '127.0.0.1', port: rolling.east.ports[0] ?? 0 })
  const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException]
  equal(error.code, 'ECONNREFUSED')
  equal(await ended, undefined)
  equal(rolling.executed, before)
  await slow
  equal(rolling.executed, before + 1)
  await stopped
  await rolling.east.restart()
})

async function sessionAt({ endpoint }: Restartable): Promise<string> {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
  const accept = 'application/json, text/event-stream'
  const answered = await rolling.caller.call(endpoint.url, {
    ...endpoint,
    method: 'POST',
    headers: { accept, 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params }),
  })
  answered.body.resume()
  return String(answered.headers['mcp-session-id'])
}

test('a gateway that needs a server is not ready while none is asked, and says why to operators alone', async () => {
  const client = await rolling.client(rolling.west)
  rolling.server.closeAllConnections()
  rolling.server.close()
  equal(await readiness(rolling.west), 200)
  for (let i = 0; i < 8; i++) await called(client, 'read_note').catch(() => undefined)
  equal(await readiness(rolling.west), 503)
  deepEqual(rolling.west.gateway.health(), { ready: false, reasons: ['servers_away'] })
})
