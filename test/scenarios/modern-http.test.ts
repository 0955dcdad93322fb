/** The modern era through the gateway: no session, original bytes, answers judged, names bound to whom they were given. */

import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { CallPlaces } from '@doorward/enforcement'
import { parseConfiguration } from '../../packages/server/src/config/load.ts'
import { callQuotas } from '../../packages/server/src/config/quotas.ts'
import { GatewayFixture, messagesOf } from '../fixtures/gateway-fixture.ts'
import type { RpcMessage } from '../fixtures/gateway-fixture.ts'
import { discovery, modern, modernServer, modernVersion, result } from '../fixtures/modern-server.ts'
import type { ModernCall } from '../fixtures/modern-server.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { event, json, stream } from '../fixtures/scripted-server.ts'
import type { Reached, Script, ScriptedServer } from '../fixtures/scripted-server.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

const configured = parseConfiguration(
  `trust_domain: test.example
servers: { files: { url: "http://127.0.0.1:1", insecure_upstream: true } }
`,
  'doorward.yaml',
)

let server: ScriptedServer
let gateway: GatewayFixture
let agent: TestSvid
let reader: TestSvid
let answer: Script

before(async () => {
  server = await modernServer((reached, response, request) => answer(reached, response, request))
  gateway = await GatewayFixture.open({
    servers: { files: { url: server.url, effects: { read: ['read_*'] } } },
    roles: { all: ['*'], reader: ['read:files/read_*', 'read:files/file:///open*'], tools: ['read:files/read_*'] },
    circuit: { inARow: 1000, least: 1000 },
    pipeline: { quotas: callQuotas(configured), places: new CallPlaces() },
  })
  agent = await gateway.trust.issue('agent/planner', { roles: ['all'] })
  reader = await gateway.trust.issue('agent/reader', { roles: ['reader'] })
})

after(async () => {
  await gateway.close()
  await server.close()
})

const elicitation = { elicitation: { form: {} } }
const tasks = { extensions: { 'io.modelcontextprotocol/tasks': {} } }
const complete = (value: object = {}) => ({ resultType: 'complete', content: [], ...value })
const says =
  (value: object): Script =>
  (reached, response) =>
    result(reached, response, value)
const call = (method: string, parts: ModernCall = {}, svid = agent): Promise<RawAnswer> =>
  gateway.rpc(svid, 'files', modern(method, parts))
const resultOf = (got: RawAnswer) => only(got).result ?? {}
const only = (got: RawAnswer): RpcMessage => {
  const messages = messagesOf(got)
  equal(messages.length, 1, got.text)
  return messages[0]!
}
const newest = (): Reached => server.reached.at(-1)!

describe('a request of the modern era', () => {
  test('MC-12: reaches its server byte for byte, with what repeats it and nothing else of the caller', async () => {
    answer = says(complete())
    const rpc = modern('tools/call', { params: { name: 'read_file', arguments: { big: 1 } } })
    const body = rpc.body.replace('"big":1', '"big": 9007199254740993')
    const headers = { ...rpc.headers, 'Mcp-Param-Region': 'eu', 'Mcp-Session-Id': 'AAAA', 'Last-Event-ID': '7' }
    const got = await gateway.rpc(agent, 'files', { body, headers })
    equal(got.status, 200)
    equal(got.headers['doorward-code'], 'allowed')
    equal(got.headers['mcp-session-id'], undefined)
    equal(newest().body, body)
    const { headers: seen } = newest()
    const fromUs = ['accept', 'connection', 'content-length', 'content-type', 'host', 'user-agent']
    const ofProtocol = ['mcp-method', 'mcp-name', 'mcp-param-region', 'mcp-protocol-version']
    deepEqual(Object.keys(seen).toSorted(), [...fromUs, ...ofProtocol].toSorted())
    equal(gateway.sessions.size, 0)
  })

  test('MC-7: is asked about its versions once, by a request of our own that is on the record', async () => {
    equal(server.having('"doorward-discover"').length, 1)
    const acts = await gateway.entries('lifecycle')
    deepEqual(
      acts.map(({ body }) => body['event']),
      ['server.discover', 'server.versions'],
    )
    deepEqual(acts[1]?.body['versions'], [modernVersion])
  })

  test('MC-11: ends at its server when its caller goes, and the outcome says so', async () => {
    let gone: Promise<unknown> = Promise.resolve()
    const arrived = new Promise<void>((resolve) => {
      answer = (_reached, response) => {
        gone = once(response, 'close')
        resolve()
      }
    })
    const socket = await dial(gateway.connection(agent))
    socket.write(await gateway.request(agent, 'files', modern('tools/call', { params: { name: 'read_slow' } })))
    await arrived
    socket.destroy()
    const soon = new AbortController()
    const late = sleep(5000, 'late', { signal: soon.signal }).catch(() => 'late')
    notEqual(await Promise.race([gone, late]), 'late')
    soon.abort()
    await sleep(20)
    const outcomes = await gateway.entries('outcome')
    equal(outcomes.at(-1)?.body['status'], 'cancelled')
  })

  test('two requests of one id do not meet', async () => {
    answer = (reached, response) => {
      const { params } = JSON.parse(reached.body) as { params: { name: string } }
      setTimeout(() => result(reached, response, complete({ content: [{ type: 'text', text: params.name }] })), 10)
    }
    const names = ['read_a', 'read_b', 'read_c']
    const got = await Promise.all(names.map((name) => call('tools/call', { id: 1, params: { name } })))
    deepEqual(
      got.map((one) => (resultOf(one)['content'] as readonly { text: string }[])[0]?.text),
      names,
    )
  })
})

describe('what an answer of the modern era may say', () => {
  test('MC-14: a stream passes event by event, and what is no answer to this request does not', async () => {
    answer = ({ body }, response) => {
      const { id } = JSON.parse(body) as { id: number }
      const progress = { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress: 1 } }
      stream(
        response,
        event(JSON.stringify(progress)),
        event(`{"jsonrpc":"2.0","id":${id + 1},"result":{"resultType":"complete"}}`),
        event('{"jsonrpc":"2.0","id":"s1","method":"elicitation/create","params":{"message":"?"}}'),
        event(`{"jsonrpc":"2.0","id":${id},"result":{"resultType":"complete","content":[]}}`),
      )
      response.end()
    }
    const messages = messagesOf(await call('tools/call', { params: { name: 'read_file' }, capabilities: elicitation }))
    deepEqual(
      messages.map(({ method, id }) => method ?? typeof id),
      ['notifications/progress', 'number'],
    )
  })

  test('a stream that ends without an answer ends with an error', async () => {
    answer = (_reached, response) => {
      stream(response, event('{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'))
      response.end()
    }
    const messages = messagesOf(await call('tools/call', { id: 'x', params: { name: 'read_file' } }))
    deepEqual([messages.at(-1)?.id, messages.at(-1)?.error?.code], ['x', -31502])
  })

  test('MC-13: lists hold what a call of it could be allowed, and are private', async () => {
    const tools = ['read_file', 'write_file'].map((name) => ({ name, inputSchema: { type: 'object' } }))
    answer = says({ resultType: 'complete', tools, ttlMs: 5, cacheScope: 'public' })
    const all = resultOf(await call('tools/list'))
    equal((all['tools'] as readonly unknown[]).length, 2)
    equal(all['cacheScope'], 'private')
    const some = resultOf(await call('tools/list', {}, reader))
    deepEqual(
      (some['tools'] as readonly { name: string }[]).map(({ name }) => name),
      ['read_file'],
    )
    equal(some['cacheScope'], 'private')
    equal(some['ttlMs'], 5)
  })

  test('MC-7: a discovery names no version that the gateway does not know', async () => {
    answer = says(discovery(['2027-01-01', modernVersion]))
    const got = resultOf(await call('server/discover'))
    deepEqual(got['supportedVersions'], [modernVersion])
    equal(got['cacheScope'], 'private')
  })

  test('MC-8: an error of the server passes with its status and id, one without its id does not', async () => {
    answer = ({ body }, response) => {
      const { id } = JSON.parse(body) as { id: number }
      response.writeHead(404, { 'Content-Type': 'application/json' })
      response.end(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'no' } }))
    }
    const passed = await call('prompts/list', { id: 77 })
    deepEqual([passed.status, only(passed).error?.code, only(passed).id], [404, -32601, 77])
    for (const body of ['', '{}', '{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"no"}}']) {
      answer = (_reached, response) => response.writeHead(404, { 'Content-Type': 'application/json' }).end(body)
      const got = await call('prompts/list', { id: 78 })
      deepEqual([got.status, got.headers['doorward-code'], only(got).id], [502, 'upstream_invalid', 78], body)
    }
  })
})

describe('requests for input', () => {
  const asks = (method: string, params: object = { message: '?' }) => ({
    resultType: 'input_required',
    inputRequests: { one: { method, params } },
    requestState: 'state "e\n"',
  })

  test('pass where the client has declared their kind with this very request', async () => {
    answer = says(asks('elicitation/create'))
    for (const [method, params] of [
      ['tools/call', { name: 'read_file' }],
      ['resources/read', { uri: 'file:///open' }],
      ['prompts/get', { name: 'greet' }],
    ] as const) {
      const got = resultOf(await call(method, { params, capabilities: elicitation }))
      equal(got['resultType'], 'input_required', method)
      match(String(got['requestState']), /^dw1\..*state "e\n"$/s)
    }
  })

  test('MC-15: do not pass otherwise', async () => {
    const refused: readonly (readonly [string, string, object, object])[] = [
      ['tools/call', 'elicitation/create', { message: '?' }, {}],
      ['tools/call', 'elicitation/create', { mode: 'url', url: 'https://x' }, elicitation],
      ['tools/call', 'elicitation/create', { mode: 'telepathy' }, elicitation],
      ['tools/call', 'sampling/createMessage', {}, elicitation],
      ['tools/call', 'roots/list', {}, elicitation],
      ['tools/call', 'tools/call', {}, elicitation],
      ['completion/complete', 'elicitation/create', { message: '?' }, elicitation],
    ]
    for (const [method, kind, params, capabilities] of refused) {
      answer = says(asks(kind, params))
      const asked = method === 'tools/call' ? { name: 'read_file' } : { ref: { type: 'ref/prompt', name: 'p' } }
      const got = only(await call(method, { params: asked, capabilities }))
      equal(got.error?.data?.['code'], 'upstream_invalid', `${method} ${kind}`)
      const outcomes = await gateway.entries('outcome')
      equal(outcomes.at(-1)?.body['code'], 'upstream_invalid')
    }
  })

  test('MC-16: a state comes back as the server wrote it, from its caller and with its request alone', async () => {
    answer = says(asks('elicitation/create'))
    const first = { params: { name: 'read_file' }, capabilities: elicitation }
    const state = String(resultOf(await call('tools/call', first))['requestState'])
    answer = says(complete())
    const again = { name: 'read_file', inputResponses: {}, requestState: state }
    equal((await call('tools/call', { ...first, params: again })).headers['doorward-code'], 'allowed')
    const { params } = JSON.parse(newest().body) as { params: { requestState: string } }
    equal(params.requestState, 'state "e\n"')
    const altered = `${state.slice(0, -1)}x`
    const unproven = 'state "e\n"'
    const wrong: readonly (readonly [string, object, TestSvid])[] = [
      ['tools/call', again, reader],
      ['tools/call', { ...again, name: 'read_other' }, agent],
      ['prompts/get', again, agent],
      ['tools/call', { ...again, requestState: altered }, agent],
      ['tools/call', { ...again, requestState: unproven }, agent],
      ['tools/call', { ...again, requestState: 7 }, agent],
      ['tools/call', { ...again, requestState: '' }, agent],
    ]
    for (const [method, tried, who] of wrong) {
      const reached = server.reached.length
      const got = await call(method, { params: { ...tried }, capabilities: elicitation }, who)
      deepEqual([got.status, got.headers['doorward-code']], [200, 'handle_unknown'], JSON.stringify(tried))
      equal(only(got).error?.code, -32602)
      equal(server.reached.length, reached)
      const decisions = await gateway.entries()
      equal(decisions.at(-1)?.body['code'], 'handle_unknown')
    }
  })
})

describe('tasks', () => {
  async function begun(): Promise<string> {
    answer = says({
      resultType: 'task',
      taskId: 't-1',
      status: 'working',
      createdAt: '',
      lastUpdatedAt: '',
      ttlMs: null,
    })
    const got = resultOf(await call('tools/call', { params: { name: 'read_slow' }, capabilities: tasks }))
    return String(got['taskId'])
  }

  test('MC-17: are known to the server by its own name, and to the caller by one that is good for it alone', async () => {
    const taskId = await begun()
    notEqual(taskId, 't-1')
    answer = says({ resultType: 'complete', taskId: 't-1', status: 'completed', result: {} })
    const got = resultOf(await call('tasks/get', { params: { taskId }, capabilities: tasks }))
    equal(got['taskId'], taskId)
    const { params } = JSON.parse(newest().body) as { params: { taskId: string } }
    deepEqual([params.taskId, newest().headers['mcp-name']], ['t-1', 't-1'])
    const decisions = await gateway.entries()
    deepEqual(decisions.at(-1)?.body['resource'], { server: 'files', kind: 'task', name: 't-1' })
  })

  test('MC-17: of others, or of nobody, do not exist', async () => {
    const taskId = await begun()
    const all = await gateway.trust.issue('agent/another', { roles: ['all'] })
    for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
      for (const [tried, who] of [
        [taskId, all],
        ['t-1', agent],
        [`${taskId}0`, agent],
      ] as const) {
        const reached = server.reached.length
        const got = await call(method, { params: { taskId: tried }, capabilities: tasks }, who)
        deepEqual([got.status, got.headers['doorward-code']], [200, 'handle_unknown'], method)
        equal(server.reached.length, reached)
      }
    }
  })

  test('are begun only for clients that have declared them, and by calls of tools', async () => {
    answer = says({ resultType: 'task', taskId: 't-2', status: 'working' })
    for (const [method, params, capabilities] of [
      ['tools/call', { name: 'read_slow' }, {}],
      ['prompts/get', { name: 'greet' }, tasks],
    ] as const)
      equal(only(await call(method, { params, capabilities })).error?.data?.['code'], 'upstream_invalid', method)
  })
})

describe('subscriptions/listen', () => {
  const listen = (notifications: object): ModernCall => ({ id: 'sub', params: { notifications } })
  const until = (text: string) => (soFar: string) => soFar.includes(text)

  test('MC-18: passes what concerns the caller, with ids untouched', async () => {
    const updated = (uri: string) =>
      event(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri } }))
    answer = ({ body }, response) => {
      const { params } = JSON.parse(body) as { params: { notifications: object } }
      const ack = {
        jsonrpc: '2.0',
        method: 'notifications/subscriptions/acknowledged',
        params: { notifications: params.notifications, _meta: { 'io.modelcontextprotocol/subscriptionId': 'sub' } },
      }
      stream(response, event(JSON.stringify(ack)), updated('file:///secret'), updated('file:///open/a'))
    }
    const rpc = modern(
      'subscriptions/listen',
      listen({ toolsListChanged: true, resourceSubscriptions: ['file:///open/a'] }),
    )
    const socket = await dial(gateway.connection(reader))
    const got = parseAnswer(await talk(socket, await gateway.request(reader, 'files', rpc), until('open/a"}}')))
    socket.destroy()
    const messages = Array.from(got.body.matchAll(/^data: (.+)$/gm), ([, data]) => JSON.parse(data ?? '') as RpcMessage)
    deepEqual(
      messages.map(({ method, params }) => [method, params?.['uri'] ?? params?.['_meta']]),
      [
        ['notifications/subscriptions/acknowledged', { 'io.modelcontextprotocol/subscriptionId': 'sub' }],
        ['notifications/resources/updated', 'file:///open/a'],
      ],
    )
  })

  test('MC-18: is refused whole where one of its parts is not allowed', async () => {
    for (const notifications of [
      { resourceSubscriptions: ['file:///open/a', 'file:///secret'] },
      { resourceSubscriptions: ['file:///open/a'], taskIds: ['t-1'] },
    ]) {
      const reached = server.reached.length
      const got = await call('subscriptions/listen', listen(notifications), reader)
      const code = 'taskIds' in notifications ? 'handle_unknown' : 'policy_denied'
      deepEqual([got.status, got.headers['doorward-code'], only(got).id], [200, code, 'sub'])
      equal(server.reached.length, reached)
    }
    const decisions = await gateway.entries()
    deepEqual(decisions.at(-2)?.body['resource'], { server: 'files', kind: 'resource', name: 'file:///secret' })
  })

  test('MC-19: ends when its caller may listen no longer to one of its parts, and its server hears of it', async () => {
    let gone: Promise<unknown> = Promise.resolve()
    answer = (_reached, response) => {
      gone = once(response, 'close')
      stream(response, event('{"jsonrpc":"2.0","method":"notifications/message"}'))
    }
    const passing = await gateway.trust.issue('agent/passing', { roles: ['reader'] })
    const socket = await dial(gateway.connection(passing))
    const rpc = modern('subscriptions/listen', listen({ resourceSubscriptions: ['file:///open/a'] }))
    await talk(socket, await gateway.request(passing, 'files', rpc), until('data: '))
    const rest = talk(socket, '', until('"error"'))
    gateway.trust.register('agent/passing', ['tools'])
    gateway.trust.apply()
    await gateway.pipeline.review()
    await gone
    ok((await rest).includes('policy_denied'))
    socket.destroy()
    const outcomes = await gateway.entries('outcome')
    deepEqual([outcomes.at(-1)?.body['status'], outcomes.at(-1)?.body['code']], ['failed', 'policy_denied'])
  })

  test('MC-19: has so many streams open for one caller, and no more', async () => {
    answer = (_reached, response) => stream(response, event('{"jsonrpc":"2.0","method":"notifications/message"}'))
    const open = await Promise.all(
      Array.from({ length: 8 }, async (_, at) => {
        const socket = await dial(gateway.connection(agent))
        const rpc = modern('subscriptions/listen', { id: at, params: { notifications: { toolsListChanged: true } } })
        await talk(socket, await gateway.request(agent, 'files', rpc), until('data: '))
        return socket
      }),
    )
    const text = (soFar: string) => /data: |Content-Length: /.test(soFar)
    const refused = await gateway.rpc(agent, 'files', modern('subscriptions/listen', listen({})), text)
    deepEqual([refused.status, refused.headers['doorward-code']], [429, 'stream_limit'])
    for (const socket of open) socket.destroy()
    await sleep(50)
    answer = says({ resultType: 'complete' })
    ok(only(await call('subscriptions/listen', listen({}))).result)
  })
})

test('MC-20: a server of both eras serves both at one path', async () => {
  const session = await gateway.initialize(agent, 'files')
  answer = (reached, response) => {
    const { id } = JSON.parse(reached.body) as { id: number }
    json(response, JSON.stringify({ jsonrpc: '2.0', id, result: complete() }))
  }
  const legacy = '{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"read_file"}}'
  equal((await gateway.rpc(agent, 'files', { session, body: legacy })).status, 200)
  equal(newest().headers['mcp-session-id'], 'upstream-session')
  equal((await call('tools/call', { params: { name: 'read_file' } })).status, 200)
  equal(newest().headers['mcp-session-id'], undefined)
})
