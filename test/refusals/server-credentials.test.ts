/**
 * What the gateway proves itself with to servers: it is sent where it is meant for, taken from nowhere else, on record by name and
 * version; where it cannot be had nothing is sent at all.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { DenialCode } from '@doorward/enforcement'
import { whole } from '../fixtures/backend-stage.ts'
import { answered, GatewayFixture, messagesOf } from '../fixtures/gateway-fixture.ts'
import { modern, modernServer, result } from '../fixtures/modern-server.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { json } from '../fixtures/scripted-server.ts'
import type { Reached, ScriptedServer } from '../fixtures/scripted-server.ts'
import { bearer, SecretsStage, stored } from '../fixtures/secrets-stage.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

/** Answers with what it has in its environment. */
const teller = `
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method } = JSON.parse(line)
  const say = (result) => console.log(JSON.stringify({ jsonrpc: '2.0', id, result }))
  if (method === 'initialize') say({ protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 's', version: '1' } })
  else if (method === 'server/discover') console.log(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'no' } }))
  else if (id !== undefined) say({ content: [{ type: 'text', text: process.env.TOKEN.split('').reverse().join('') + ' ' + process.argv.length }] })
})`

const settings = {
  github: stored(['notes', 'modern', 'refusing']),
  narrow: stored(['narrowed'], ['reader']),
  elsewhere: stored(['other']),
  a: stored(['chosen']),
  b: stored(['chosen']),
  env: stored(['child']),
  spare: stored(['orders']),
}

const secret = (name: string, form: { header: string; scheme: string | null } = bearer) =>
  ({ kind: 'secret', secret: name, form }) as const

describe('credentials towards servers', () => {
  let stage: SecretsStage
  let server: ScriptedServer
  let gateway: GatewayFixture
  let agent: TestSvid
  let reader: TestSvid
  /** How the server answers tools. */
  let answers: (reached: Reached) => 'result' | 401 | Promise<'result' | 401> = () => 'result'

  before(async () => {
    stage = await SecretsStage.open(settings)
    const answer = async (reached: Reached, response: ServerResponse): Promise<void> => {
      const said = await answers(reached)
      if (said === 401) return void response.writeHead(401, { 'WWW-Authenticate': 'Bearer' }).end('no')
      if (reached.body === '') return void response.writeHead(200, { 'Content-Type': 'text/plain' }).end('fine')
      result(reached, response, { resultType: 'complete', content: [{ type: 'text', text: 'done' }] })
    }
    server = await modernServer((reached, response) => void answer(reached, response))
    const { url } = server
    gateway = await GatewayFixture.open({
      servers: {
        notes: {
          url,
          credential: stage.credential('notes', secret('github')),
          output: { maxBytes: null, redact: true, validate: false, withoutKnown: stage.known.without },
        },
        modern: {
          url,
          credential: stage.credential('modern', secret('github', { header: 'x-api-key', scheme: null })),
        },
        narrowed: { url, credential: stage.credential('narrowed', secret('narrow')) },
        stolen: { url, credential: stage.credential('stolen', secret('elsewhere')) },
        basic: {
          url,
          credential: stage.credential('basic', secret('github', { header: 'authorization', scheme: 'Basic' })),
        },
        chosen: {
          url,
          credential: stage.credential('chosen', {
            kind: 'by',
            by: [
              { roles: ['reader'], secret: 'a' },
              { roles: ['writer'], secret: 'b' },
            ],
            own: null,
            form: bearer,
          }),
        },
        child: { command: [process.execPath, '-e', teller], variablesFor: stage.variables('child', { TOKEN: 'env' }) },
      },
      backends: { orders: { url: url.replace('/mcp', ''), credential: stage.credential('orders', secret('spare')) } },
      roles: { all: ['*'], reader: ['*'], writer: ['*'] },
    })
    agent = await gateway.trust.issue('agent/planner', { roles: ['all'] })
    reader = await gateway.trust.issue('agent/reader', { roles: ['reader'] })
  })
  after(async () => {
    await gateway.close()
    await server.close()
    await stage.close()
  })
  beforeEach(async () => {
    answers = () => 'result'
    for (const name of Object.keys(settings)) await stage.put(name, `canary-of-${name}`)
    server.reached.length = 0
  })

  const call = (to: string, as = agent) =>
    gateway.rpc(
      as,
      to,
      modern('tools/call', { params: { name: 'x', arguments: {} }, headers: { 'X-Api-Key': 'mine' } }),
    )

  const calls = (): readonly Reached[] => server.reached.filter(({ body }) => body.includes('tools/call'))

  async function outcomeOf(answer: RawAnswer): Promise<Readonly<Record<string, unknown>>> {
    const of = Number(answer.headers['doorward-decision']?.split('#')[1])
    for (;;) {
      const outcome = (await gateway.entries('outcome')).find(({ body }) => body['of'] === of)
      if (outcome !== undefined) return outcome.body
      await sleep(5)
    }
  }

  /** Refused after the decision, with nothing sent; the reason is the outcome. */
  async function unsent(answer: RawAnswer, code: DenialCode, status: number): Promise<void> {
    deepEqual([answer.headers['doorward-code'], answer.status], [code, status], answer.text)
    deepEqual(calls(), [])
    const outcome = await outcomeOf(answer)
    deepEqual([outcome['status'], outcome['code'], outcome['credentials']], ['failed', code, undefined])
  }

  test('a secret goes to its server in the header that is configured, and nothing of the caller does', async () => {
    equal((await call('notes')).status, 200)
    equal((await call('modern')).status, 200)
    const [one, two] = calls()
    deepEqual([one?.headers['authorization'], one?.headers['x-api-key']], ['Bearer canary-of-github', undefined])
    deepEqual([two?.headers['authorization'], two?.headers['x-api-key']], [undefined, 'canary-of-github'])
  })

  test('the session that a legacy client opens has it in every request', async () => {
    const session = await gateway.initialize(agent, 'notes')
    await gateway.rpc(agent, 'notes', { session, body: '{"jsonrpc":"2.0","id":5,"method":"tools/list"}' })
    await gateway.rpc(agent, 'notes', { session, method: 'DELETE' })
    ok(server.reached.length >= 4)
    deepEqual(
      new Set(server.reached.map(({ headers }) => headers['authorization'])),
      new Set(['Bearer canary-of-github']),
    )
  })

  test('each use is on record with the name and the version of the secret, and the value nowhere', async () => {
    const version = await stage.put('github', 'canary-of-github')
    const outcome = await outcomeOf(await call('notes'))
    deepEqual(outcome['credentials'], [{ secret: 'github', version }])
    ok(!JSON.stringify(gateway.record.entries).includes('canary-of'))
    ok(!JSON.stringify(gateway.dropped).includes('canary-of'))
  })

  test('the next call after a rotation has the new value, without reload', async () => {
    await call('notes')
    await stage.put('github', 'canary-of-github-2')
    await call('notes')
    deepEqual(
      calls().map(({ headers }) => headers['authorization']),
      ['Bearer canary-of-github', 'Bearer canary-of-github-2'],
    )
  })

  test('rotated under load, every call has one value or the other, and none fails', async () => {
    const over = new AbortController()
    const rotating = (async () => {
      for (let n = 0; !over.signal.aborted; n++) await stage.put('github', `canary-of-github-${n}`)
    })()
    const sent = await Promise.all(Array.from({ length: 40 }, () => call('notes')))
    over.abort()
    await rotating
    deepEqual(new Set(sent.map(({ status }) => status)), new Set([200]))
    for (const { headers } of calls()) ok(/^Bearer canary-of-github(?:-\d+)?$/.test(headers['authorization'] ?? ''))
  })

  test('without a value nothing is sent', async () => {
    equal((await call('notes')).status, 200)
    await stage.remove('github')
    server.reached.length = 0
    await unsent(await call('notes'), 'credential_unavailable', 503)
    await stage.put('github', 'canary-of-github')
    equal((await call('notes')).status, 200)
  })

  test('a secret of another server is not sent, whatever the server asks for', () =>
    call('stolen').then((answer) => unsent(answer, 'credential_withheld', 403)))

  test('a secret that is narrowed to roles is sent for callers who have one, and for no other', async () => {
    equal((await call('narrowed', reader)).status, 200)
    equal(calls()[0]?.headers['authorization'], 'Bearer canary-of-narrow')
    server.reached.length = 0
    await unsent(await call('narrowed'), 'credential_withheld', 403)
  })

  test('by roles, the first that fits is taken, and whom none fits is refused', async () => {
    const both = await gateway.trust.issue('agent/both', { roles: ['writer', 'reader'] })
    const writer = await gateway.trust.issue('agent/writer', { roles: ['writer'] })
    for (const as of [reader, writer, both]) equal((await call('chosen', as)).status, 200)
    deepEqual(
      calls().map(({ headers }) => headers['authorization']),
      ['Bearer canary-of-a', 'Bearer canary-of-b', 'Bearer canary-of-a'],
    )
    server.reached.length = 0
    await unsent(await call('chosen'), 'credential_withheld', 403)
  })

  test('what the gateway asks for itself goes without what is meant for callers with a role', () => {
    const asked = server.reached.filter(({ body }) => body.includes('doorward-discover'))
    ok(asked.every(({ headers }) => !String(headers['authorization']).includes('canary-of-a')))
  })

  test('a value that no header can carry is not sent in part', async () => {
    for (const value of ['canary\r\nX-Evil: 1', 'canary-ü', ' canary']) {
      await stage.put('github', value)
      server.reached.length = 0
      await unsent(await call('notes'), 'credential_unavailable', 503)
    }
  })

  test('a server that refuses its credential is told so, and asked no second time with the same', async () => {
    answers = () => 401
    const answer = await call('notes')
    deepEqual([answer.status, answer.headers['doorward-code']], [502, 'credential_refused'])
    equal(calls().length, 1)
    ok(!answer.text.includes('canary'))
  })

  test('a credential that was replaced meanwhile is tried once', async () => {
    let first = true
    answers = async ({ headers }) => {
      if (first) await stage.put('github', 'canary-of-github-new')
      first = false
      return headers['authorization']?.endsWith('-new') === true ? 'result' : 401
    }
    const answer = await call('notes')
    equal(answer.status, 200, answer.text)
    deepEqual(calls().length, 2)
    const { credentials, attempts } = await outcomeOf(answer)
    deepEqual([(credentials as readonly unknown[]).length, attempts], [2, 2])
  })

  const fromService = async (): Promise<RawAnswer> => {
    const token = await gateway.trust.token(agent, 'https://gateway.test.example/http/orders')
    const head = `GET /http/orders/v1 HTTP/1.1\r\nHost: ${gateway.host}\r\nAuthorization: Bearer ${token}\r\n\r\n`
    return gateway.raw(agent, head, whole)
  }

  test('a service has its own, is tried once more with a new one, and is told when it refuses that', async () => {
    deepEqual(
      [(await fromService()).status, server.reached[0]?.headers['authorization']],
      [200, 'Bearer canary-of-spare'],
    )
    let first = true
    answers = async ({ headers }) => {
      if (first) await stage.put('spare', 'canary-of-spare-new')
      first = false
      return headers['authorization']?.endsWith('-new') === true ? 'result' : 401
    }
    const renewed = await fromService()
    deepEqual([renewed.status, (await outcomeOf(renewed))['attempts']], [200, 2])
    answers = () => 401
    server.reached.length = 0
    equal((await fromService()).headers['doorward-code'], 'credential_refused')
    equal(server.reached.length, 1)
    await stage.remove('spare')
    server.reached.length = 0
    const answer = await fromService()
    deepEqual([answer.headers['doorward-code'], answer.status, server.reached], ['credential_unavailable', 503, []])
    equal((await outcomeOf(answer))['code'], 'credential_unavailable')
  })

  test('a service that says it back is without it too, in whatever pieces it says it', async () => {
    const echo = createServer((request, response) => {
      const said = String(request.headers.authorization)
      if (request.url?.includes('json') === true)
        return void response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ said }))
      response.writeHead(200, { 'Content-Type': 'text/plain', 'X-Said': said })
      let at = 0
      const timer = setInterval(() => {
        response.write(said.slice(at, at + 3))
        at += 3
        if (at < said.length) return
        clearInterval(timer)
        response.end(' and more')
      }, 5)
    })
    await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(echo.address() as AddressInfo).port}`
    const orders = {
      url,
      redact: true,
      answerHeaders: ['x-said'],
      known: stage.known,
      credential: stage.credential('orders', secret('spare', { header: 'authorization', scheme: 'token' })),
    }
    const own = await GatewayFixture.open({ backends: { orders }, roles: { all: ['*'] } })
    const caller = await own.trust.issue('agent/planner', { roles: ['all'] })
    const token = await own.trust.token(caller, 'https://gateway.test.example/http/orders')
    for (const path of ['json', 'text']) {
      const head = `GET /http/orders/${path} HTTP/1.1\r\nHost: ${own.host}\r\nAuthorization: Bearer ${token}\r\n\r\n`
      const answer = await own.raw(caller, head, whole)
      ok(answer.text.includes('[redacted]') && !answer.text.includes('canary-of'), answer.text)
    }
    await own.close()
    echo.closeAllConnections()
    echo.close()
  })

  test('an answer that says the value back is without it, where redact is on', async () => {
    await call('notes')
    answers = () => 'result'
    const echo = await modernServer(({ headers, body }, response) => {
      const { id } = JSON.parse(body) as { id: number }
      const text = `you said ${headers['authorization']}, in base64 ${Buffer.from('x').toString('base64')}`
      json(
        response,
        JSON.stringify({ jsonrpc: '2.0', id, result: { resultType: 'complete', content: [{ type: 'text', text }] } }),
      )
    })
    const own = await GatewayFixture.open({
      servers: {
        notes: {
          url: echo.url,
          credential: stage.credential('notes', secret('github', { header: 'authorization', scheme: 'token' })),
          output: { maxBytes: null, redact: true, validate: false, withoutKnown: stage.known.without },
        },
      },
      roles: { all: ['*'] },
    })
    const caller = await own.trust.issue('agent/planner', { roles: ['all'] })
    const answer = await own.rpc(caller, 'notes', modern('tools/call', { params: { name: 'x', arguments: {} } }))
    ok(answer.text.includes('[redacted]') && !answer.text.includes('canary-of'), answer.text)
    await own.close()
    await echo.close()
  })

  test('a process has it in its environment and not on its command line; sessions that begin later have the new value', async () => {
    const told: string[] = []
    for (const value of ['canary-of-env', 'canary-of-env-2']) {
      await stage.put('env', value)
      const session = await gateway.initialize(agent, 'child')
      const answer = await gateway.rpc(
        agent,
        'child',
        { session, body: '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x"}}' },
        (soFar) => answered(soFar),
      )
      const [message] = messagesOf(answer)
      told.push(JSON.stringify(message?.result))
      await gateway.rpc(agent, 'child', { session, method: 'DELETE' })
    }
    for (const [i, value] of ['canary-of-env', 'canary-of-env-2'].entries())
      ok(told[i]?.includes(`${value.split('').reverse().join('')} 1`), told[i])
    const opened = (await gateway.entries('outcome')).flatMap(({ body }) => (body['credentials'] as object[]) ?? [])
    ok(JSON.stringify(opened).includes('"variable":"TOKEN"'), JSON.stringify(opened))
  })

  test('a process without its secret is not started, and that is nobody’s crash', async () => {
    await stage.remove('env')
    for (let n = 0; n < 5; n++) {
      const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
      const body = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
      const answer = await gateway.rpc(agent, 'child', { body })
      equal(answer.headers['doorward-code'], 'credential_unavailable', answer.text)
    }
    await stage.put('env', 'canary-of-env')
    ok(await gateway.initialize(agent, 'child'))
  })
})
