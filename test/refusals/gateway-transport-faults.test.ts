/** Servers that hang or flood, callers that do not read or go away: bounded, answered, on the record, and nobody else notices. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import type { RateLimiter } from '@doorward/enforcement'
import { GatewayFixture } from '../fixtures/gateway-fixture.ts'
import type { GatewayFixtureOptions } from '../fixtures/gateway-fixture.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import { event, json, scriptedServer, stream } from '../fixtures/scripted-server.ts'
import type { Script, ScriptedServer } from '../fixtures/scripted-server.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

interface Scene {
  readonly gateway: GatewayFixture
  readonly server: ScriptedServer
  readonly agent: TestSvid
}

async function scene(
  script: Script,
  options: GatewayFixtureOptions,
  play: (scene: Scene) => Promise<void>,
): Promise<void> {
  const server = await scriptedServer(script)
  const gateway = await GatewayFixture.open({
    servers: { files: { url: server.url }, twin: { url: server.url } },
    roles: { all: ['*'] },
    ...options,
  })
  try {
    await play({ gateway, server, agent: await gateway.trust.issue('agent/planner', { roles: ['all'] }) })
  } finally {
    await gateway.close()
    await server.close()
  }
}

const pause = (milliseconds = 5) => new Promise((resolve) => setTimeout(resolve, milliseconds))

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await pause()
}

const ping = (id: number | string = 1) => `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"method":"ping"}`
const pong = (body: string) =>
  `{"jsonrpc":"2.0","id":${JSON.stringify((JSON.parse(body) as { id: unknown }).id)},"result":{}}`

test('a server that hangs is a timeout, and the others are served meanwhile', async () => {
  const script: Script = ({ body }, response) => void (body.includes('"hang"') || json(response, pong(body)))
  await scene(script, { limits: { responseMilliseconds: 300 } }, async ({ gateway, agent }) => {
    const session = await gateway.initialize(agent, 'files')
    const other = await gateway.initialize(agent, 'twin')
    const hanging = gateway.rpc(agent, 'files', { session, body: ping('hang') })
    equal((await gateway.rpc(agent, 'twin', { session: other, body: ping() })).status, 200)
    const answer = await hanging
    equal(answer.status, 504)
    equal(answer.headers['doorward-code'], 'upstream_timeout')
    await until(async () => (await gateway.entries('outcome')).some(({ body }) => body['code'] === 'upstream_timeout'))
    equal((await gateway.rpc(agent, 'files', { session, body: ping(2) })).status, 200)
  })
})

test('a server that nobody reaches is unavailable', async () => {
  await scene(
    () => undefined,
    { servers: { files: { url: 'http://127.0.0.1:9/mcp' } } },
    async ({ gateway, agent }) => {
      const body =
        '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}'
      const answer = await gateway.rpc(agent, 'files', { body })
      equal(answer.status, 502)
      equal(answer.headers['doorward-code'], 'upstream_unavailable')
      ok(answer.headers['doorward-decision'] !== undefined)
      equal(gateway.sessions.size, 0)
    },
  )
})

test('answers and events above the limit are refused', async () => {
  const big = 'x'.repeat(200_000)
  const script: Script = ({ body, method }, response) => {
    if (method === 'GET')
      return stream(response, event('{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'), event(`"${big}"`))
    return json(response, pong(body).replace('{}', `{"big":"${big}"}`))
  }
  await scene(script, { limits: { messageBytes: 100_000 } }, async ({ gateway, agent }) => {
    const session = await gateway.initialize(agent, 'files')
    const answer = await gateway.rpc(agent, 'files', { session, body: ping() })
    equal(answer.headers['doorward-code'], 'upstream_invalid')
    const streamed = await gateway.rpc(agent, 'files', { session, method: 'GET' })
    ok(streamed.body.includes('list_changed'))
    equal(streamed.body.includes('xxx'), false)
  })
})

test('a caller that does not read holds up its server, not the gateway', async () => {
  let written = 0
  const piece = event(
    `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"${'x'.repeat(60_000)}"}}`,
  )
  const script: Script = (_reached, response) => {
    stream(response)
    const more = () => {
      while (written < 100_000_000) {
        written += piece.length
        if (!response.write(piece)) return void response.once('drain', more)
      }
    }
    more()
  }
  await scene(script, {}, async ({ gateway, agent }) => {
    const session = await gateway.initialize(agent, 'files')
    const socket = await dial(gateway.connection(agent))
    socket.pause()
    socket.write(await gateway.request(agent, 'files', { session, method: 'GET' }))
    await until(() => written > 0)
    let before = -1
    while (before !== written) {
      before = written
      await pause(150)
    }
    ok(written < 40_000_000, `${written} bytes were taken`)
    socket.destroy()
  })
})

test('a caller that goes away while its request is judged leaves nothing open', async () => {
  let gate: Promise<unknown> | null = null
  let waiting = 0
  const limiter: RateLimiter = {
    charge: async () => true,
    take: async () => {
      waiting++
      await gate
      return { ok: true }
    },
  }
  const script: Script = ({ body }, response) => json(response, pong(body))
  await scene(script, { pipeline: { limiter } }, async ({ gateway, agent }) => {
    const session = await gateway.initialize(agent, 'files')
    for (const text of [
      await gateway.request(agent, 'files', { session, body: ping() }),
      await gateway.request(agent, 'files', { session, method: 'GET' }),
    ]) {
      let open: () => void = () => undefined
      gate = new Promise<void>((resolve) => (open = resolve))
      waiting = 0
      const decisions = (await gateway.entries()).length
      const socket = await dial(gateway.connection(agent))
      socket.write(text)
      await until(() => waiting > 0)
      socket.destroy()
      await until(() => gateway.listener.openConnections === 0)
      gate = null
      open()
      await until(async () => (await gateway.entries()).length > decisions)
      const last = (await gateway.entries()).at(-1)
      if (last?.body['decision'] === 'deny') equal(last.body['code'], 'body_aborted')
      else await until(async () => (await gateway.entries('outcome')).at(-1)?.body['status'] === 'cancelled')
    }
    equal((await gateway.rpc(agent, 'files', { session, body: ping(7) })).status, 200)
    gateway.sessions.endWhere((one) => one.open > 0)
    equal(gateway.sessions.size, 1)
  })
})

test('a session has a bounded number of streams', async () => {
  const script: Script = (_reached, response) => stream(response, ': hello\n\n')
  await scene(script, { sessions: { streams: 2 } }, async ({ gateway, server, agent }) => {
    const session = await gateway.initialize(agent, 'files')
    const open = []
    for (let i = 0; i < 2; i++) {
      const socket = await dial(gateway.connection(agent))
      await talk(socket, await gateway.request(agent, 'files', { session, method: 'GET' }), (text) =>
        text.includes('hello'),
      )
      open.push(socket)
    }
    const reached = server.reached.length
    const answer = await gateway.rpc(agent, 'files', { session, method: 'GET' })
    equal(answer.status, 429)
    equal(answer.headers['doorward-code'], 'stream_limit')
    equal(server.reached.length, reached)
    for (const socket of open) socket.destroy()
  })
})

test('streams that are judged at the same time are no more than may be open', async () => {
  const script: Script = (_reached, response) => stream(response, ': hello\n\n')
  await scene(script, { sessions: { streams: 2 } }, async ({ gateway, server, agent }) => {
    const session = await gateway.initialize(agent, 'files')
    const { record } = gateway
    const append = record.append.bind(record)
    const gate = Promise.withResolvers<void>()
    let waiting = 0
    Object.assign(record, {
      append: async (entry: Parameters<typeof append>[0]) => {
        waiting++
        await gate.promise
        return append(entry)
      },
    })
    const reached = server.reached.length
    const request = await gateway.request(agent, 'files', { session, method: 'GET' })
    const sockets = await Promise.all(Array.from({ length: 5 }, () => dial(gateway.connection(agent))))
    const answers = sockets.map((socket) => talk(socket, request, (text) => /hello|stream_limit/.test(text)))
    await until(() => waiting === 5)
    Object.assign(record, { append })
    gate.resolve()
    const refused = (await Promise.all(answers)).filter((text) => text.includes(' 429 '))
    deepEqual([refused.length, server.reached.length - reached], [3, 2])
    for (const socket of sockets) socket.destroy()
  })
})

test('ended and idle sessions leave the table', async () => {
  const script: Script = ({ body }, response) => json(response, pong(body))
  await scene(script, {}, async ({ gateway, agent }) => {
    await gateway.initialize(agent, 'files')
    equal(gateway.sessions.sweep(), 0)
    gateway.sessions.endWhere((session) => {
      session.usedAt = -Number.MAX_SAFE_INTEGER
      return false
    })
    equal(gateway.sessions.sweep(), 1)
    equal(gateway.sessions.size, 0)
  })
})

test('when the record cannot be written nothing is forwarded', async () => {
  const script: Script = ({ body }, response) => json(response, pong(body))
  await scene(script, {}, async ({ gateway, server, agent }) => {
    const session = await gateway.initialize(agent, 'files')
    gateway.record.failWith(new Error('disk full'))
    const reached = server.reached.length
    const answer = await gateway.rpc(agent, 'files', { session, body: ping() })
    gateway.record.failWith(null)
    equal(answer.status, 503)
    equal(answer.headers['doorward-code'], 'record_unavailable')
    equal(server.reached.length, reached)
    equal((await gateway.rpc(agent, 'files', { session, body: ping() })).status, 200)
  })
})

test('many callers with the same ids get their own answers', async () => {
  const script: Script = ({ body, headers }, response) => {
    const { id, params } = JSON.parse(body) as { id: number; params: { arguments: { nonce: string } } }
    const answer = `{"jsonrpc":"2.0","id":${id},"result":{"content":[],"nonce":${JSON.stringify(params.arguments.nonce)}}}`
    setTimeout(
      () => (id % 2 === 0 ? json(response, answer) : (stream(response, event(answer)), response.end())),
      Number(headers['content-length']) % 7,
    )
  }
  await scene(script, {}, async ({ gateway, agent }) => {
    const others = await Promise.all(
      ['a', 'b', 'c'].map((name) => gateway.trust.issue(`agent/${name}`, { roles: ['all'] })),
    )
    const crossed: string[] = []
    await Promise.all(
      [agent, ...others].map(async (svid, who) => {
        const session = await gateway.initialize(svid, 'files')
        const socket = await dial(gateway.connection(svid))
        for (let id = 1; id <= 40; id++) {
          const nonce = `${who}-${id}-${'x'.repeat((who * 7 + id) % 11)}`
          const body = JSON.stringify({
            jsonrpc: '2.0',
            id,
            method: 'tools/call',
            params: { name: 't', arguments: { nonce } },
          })
          const ended = (text: string) =>
            text.includes('"result"') && (text.endsWith('0\r\n\r\n') || text.endsWith('}'))
          const answer = parseAnswer(await talk(socket, await gateway.request(svid, 'files', { session, body }), ended))
          if (!answer.body.includes(`"nonce":"${nonce}"`)) crossed.push(nonce)
        }
        socket.destroy()
      }),
    )
    deepEqual(crossed, [])
  })
})
