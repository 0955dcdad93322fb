/** Servers behind standard input and output: the official client against the official server, and processes that misbehave. */

import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { audienceOf, GatewayFixture, messagesOf } from '../fixtures/gateway-fixture.ts'
import { officialClient } from '../fixtures/official-client.ts'
import type { OfficialClient } from '../fixtures/official-client.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

const everything = [
  process.execPath,
  join(process.cwd(), 'node_modules/@modelcontextprotocol/server-everything/dist/index.js'),
]

let folder: string
let gateway: GatewayFixture
let agent: TestSvid
let reader: TestSvid

/** A server that says what the script says to each line. */
async function scripted(name: string, onLine: string): Promise<readonly string[]> {
  const file = join(folder, `${name}.mjs`)
  const source = `
import { createInterface } from 'node:readline'
const say = (text) => process.stdout.write(text + '\\n')
createInterface({ input: process.stdin }).on('line', (line) => {
  const message = JSON.parse(line)
  if (message.method === 'initialize') return say(JSON.stringify({ jsonrpc: '2.0', id: message.id, result: { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 's', version: '1' } } }))
  if (message.method?.startsWith('notifications/')) return
  ;(${onLine})(message, say, line)
})
`
  await writeFile(file, source)
  return [process.execPath, file]
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-stdio-'))
  const echoing = await scripted(
    'echoes',
    "({ id }, say, line) => say(JSON.stringify({ jsonrpc: '2.0', id, result: { line } }))",
  )
  gateway = await GatewayFixture.open({
    servers: {
      everything: { command: everything, effects: { read: ['echo', 'get-*'] }, env: { CONFIGURED: 'yes' } },
      missing: { command: ['/no/such/program'] },
      unstartable: { command: ['/etc/hostname/program'], processes: 1 },
      dies: { command: await scripted('dies', '() => process.exit(3)') },
      crashes: { command: await scripted('crashes', '() => process.exit(3)') },
      dead: { command: [process.execPath, '-e', 'process.exit(1)'] },
      stillborn: { command: [process.execPath, '-e', 'process.exit(1)'] },
      floods: { command: await scripted('floods', "(_message, say) => say('x'.repeat(5_000_000))") },
      capped: { command: echoing, processes: 2 },
      idle: { command: echoing, idleMilliseconds: 200 },
      chatters: {
        command: await scripted(
          'chatters',
          `({ id }, say) => {
            for (let i = 0; i < 5000; i++) say('{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}')
            say(JSON.stringify({ jsonrpc: '2.0', id, result: {} }))
          }`,
        ),
      },
      lines: {
        command: await scripted(
          'lines',
          `({ id }, say) => {
            say('{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":[' + '1,\\r'.repeat(200_000) + '1]}}')
            say(JSON.stringify({ jsonrpc: '2.0', id, result: {} }))
          }`,
        ),
      },
      slow: {
        command: await scripted(
          'slow',
          "({ id }, say) => setTimeout(() => say(JSON.stringify({ jsonrpc: '2.0', id, result: {} })), 800)",
        ),
      },
      echoes: { command: echoing },
      exact: {
        command: await scripted(
          'exact',
          `({ id }, say) => say('{"jsonrpc":"2.0","id":' + id + ',"result":{"n":9007199254740993,"m":1e400 , "u":"\\\\u00e9"}}')`,
        ),
      },
      garbage: {
        command: await scripted(
          'garbage',
          '({ id }, say) => { say(\'not json\'); say(\'{}\'); say(\'{"jsonrpc":"2.0","id":99,"result":{}}\'); say(JSON.stringify({ jsonrpc: \'2.0\', id, result: { ok: true } })) }',
        ),
      },
      nosy: {
        command: await scripted(
          'nosy',
          "(message, say) => message.result !== undefined || message.error !== undefined ? 0 : (say(JSON.stringify({ jsonrpc: '2.0', id: 'q', method: 'roots/list' })), say(JSON.stringify({ jsonrpc: '2.0', id: message.id, result: {} })))",
        ),
      },
    },
    roles: { all: ['*'], reader: ['read:everything/*'] },
    patienceMilliseconds: 400,
  })
  agent = await gateway.trust.issue('agent/planner', { roles: ['all'] })
  reader = await gateway.trust.issue('agent/reader', { roles: ['reader'] })
})

after(async () => {
  await gateway.close()
  await rm(folder, { recursive: true, force: true })
})

/** The official client with our certificate and a token on each request. */
async function connected(svid: TestSvid, server: string, capabilities = {}): Promise<OfficialClient> {
  return officialClient({
    url: `https://${gateway.host}/mcp/${server}`,
    ...svid.pem,
    anchors: gateway.trust.anchorsPem,
    token: await gateway.trust.token(svid, audienceOf(server)),
    capabilities,
  })
}

interface Named {
  readonly name: string
}

interface Called {
  readonly isError?: boolean
  readonly content: readonly { readonly type: string; readonly text: string }[]
}

test('the official client initializes, lists, calls, reads and prompts', async () => {
  const client = await connected(agent, 'everything')
  const { tools } = await client.call<{ tools: Named[] }>('listTools')
  ok(tools.some(({ name }) => name === 'trigger-long-running-operation'))
  const called = await client.call<Called>('callTool', { name: 'echo', arguments: { message: 'hello' } })
  deepEqual(called.content, [{ type: 'text', text: 'Echo: hello' }])
  const { resources } = await client.call<{ resources: { uri: string }[] }>('listResources')
  const read = await client.call<{ contents: unknown[] }>('readResource', { uri: resources[0]?.uri })
  ok(read.contents.length > 0)
  const templates = await client.call<{ resourceTemplates: unknown[] }>('listResourceTemplates')
  ok(templates.resourceTemplates.length > 0)
  ok((await client.call<{ prompts: Named[] }>('listPrompts')).prompts.length > 0)
  ok((await client.call<{ messages: unknown[] }>('getPrompt', { name: 'simple-prompt' })).messages.length > 0)
  await client.call('ping')
  await client.close()
})

test('a reader sees and calls what it may and nothing else', async () => {
  const client = await connected(reader, 'everything')
  const { tools } = await client.call<{ tools: Named[] }>('listTools')
  ok(tools.length > 3)
  deepEqual(
    tools.filter(({ name }) => name !== 'echo' && !name.startsWith('get-')),
    [],
  )
  const echoed = await client.call<Called>('callTool', { name: 'echo', arguments: { message: 'x' } })
  equal(echoed.isError, undefined)
  const denied = await client.call<Called>('callTool', { name: 'trigger-long-running-operation', arguments: {} })
  equal(denied.isError, true)
  match(denied.content[0]?.text ?? '', /tools\/call:everything\/trigger-long-running-operation/)
  await client.close()
})

test('progress reaches the caller while the call runs', async () => {
  const client = await connected(agent, 'everything')
  await client.call('callTool', { name: 'trigger-long-running-operation', arguments: { duration: 0.4, steps: 4 } })
  ok(client.progress.length >= 3, `saw ${client.progress.join(' ')}`)
  await client.close()
})

test('a cancelled call ends for its caller, and the session goes on', async () => {
  const client = await connected(agent, 'everything')
  const long = { name: 'trigger-long-running-operation', arguments: { duration: 30, steps: 2 } }
  await rejects(client.call('callTool', long, 100))
  const after = await client.call<Called>('callTool', { name: 'echo', arguments: { message: 'after' } })
  equal(after.isError, undefined)
  ok((await gateway.entries()).some(({ body }) => body['action'] === 'notifications/cancelled'))
  await client.close()
})

test('requests of the server reach the client that declared them, and its answers come back', async () => {
  const client = await connected(agent, 'everything', { sampling: {}, roots: { listChanged: true } })
  const sample = { name: 'trigger-sampling-request', arguments: { prompt: 'x', maxTokens: 5 } }
  match(JSON.stringify(await client.call('callTool', sample)), /sampled here/)
  ok((await gateway.entries()).some(({ body }) => body['action'] === 'response'))
  await client.close()
})

test('the process gets the environment of the configuration and nothing of ours', async () => {
  process.env['DOORWARD_TEST_SECRET'] = 'must not leak'
  const client = await connected(agent, 'everything')
  const { content } = await client.call<Called>('callTool', { name: 'get-env', arguments: {} })
  const environment = JSON.parse(content[0]?.text ?? '{}') as Record<string, string>
  deepEqual(Object.keys(environment).toSorted(), ['CONFIGURED', 'PATH'])
  equal(environment['CONFIGURED'], 'yes')
  await client.close()
})

const init =
  '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}'
const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}'

test('a program that does not exist, or ends at once, is an unavailable server', async () => {
  for (const [name, reason] of [
    ['missing', /"\/no\/such\/program" does not exist/],
    ['unstartable', /could not be started: ENOTDIR/],
    // It has not kept its place.
    ['unstartable', /could not be started: ENOTDIR/],
    ['stillborn', /exit code 1/],
  ] as const) {
    const answer = await gateway.rpc(agent, name, { body: init })
    equal(answer.status, 502)
    equal(answer.headers['doorward-code'], 'upstream_unavailable')
    equal(messagesOf(answer)[0]?.id, 0)
    ok(
      gateway.dropped.some((text) => reason.test(text)),
      gateway.dropped.join('\n'),
    )
    equal(answer.text.includes('exit code'), false)
    equal(answer.headers['mcp-session-id'], undefined)
  }
})

test('a process that dies answers whoever waits, and ends the session', async () => {
  const session = await gateway.initialize(agent, 'dies')
  const answer = await gateway.rpc(agent, 'dies', { session, body: ping })
  equal(answer.headers['doorward-code'], 'upstream_unavailable')
  equal((await gateway.rpc(agent, 'dies', { session, body: ping })).headers['doorward-code'], 'session_unknown')
  equal((await gateway.rpc(agent, 'dies', { body: init })).status, 200)
})

test('a message of any number of lines reaches its caller, and ends nothing', async () => {
  const session = await gateway.initialize(agent, 'lines')
  const answer = await gateway.rpc(agent, 'lines', { session, body: ping })
  equal(answer.status, 200)
  ok(answer.body.includes('"result":{}'))
  ok(answer.body.length > 200_000 * 8)
})

test('a line without end is the end of the process', async () => {
  const session = await gateway.initialize(agent, 'floods')
  equal((await gateway.rpc(agent, 'floods', { session, body: ping })).headers['doorward-code'], 'upstream_unavailable')
})

test('an answer that takes long becomes a stream, and still comes', async () => {
  const session = await gateway.initialize(agent, 'slow')
  const answer = await gateway.rpc(agent, 'slow', { session, body: ping })
  equal(answer.headers['content-type'], 'text/event-stream')
  equal(messagesOf(answer)[0]?.id, 1)
})

test('line ends inside a message become spaces; nothing else changes', async () => {
  const session = await gateway.initialize(agent, 'echoes')
  const body =
    '{"jsonrpc":"2.0",\r\n"id":1,\n"method":"tools/call","params":{"name":"t","arguments":{"n":9007199254740993,"m":1e400}}}'
  const answer = await gateway.rpc(agent, 'echoes', { session, body })
  equal(messagesOf(answer)[0]?.result?.['line'], body.replaceAll(/[\r\n]/g, ' '))
})

test('the bytes of an answer pass as they are', async () => {
  const session = await gateway.initialize(agent, 'exact')
  const { body } = await gateway.rpc(agent, 'exact', { session, body: ping })
  equal(body, '{"jsonrpc":"2.0","id":1,"result":{"n":9007199254740993,"m":1e400 , "u":"\\u00e9"}}')
})

test('what is not a message, and answers that nobody asked for, are dropped', async () => {
  const session = await gateway.initialize(agent, 'garbage')
  const answer = await gateway.rpc(agent, 'garbage', { session, body: ping })
  deepEqual(messagesOf(answer), [{ jsonrpc: '2.0', id: 1, result: { ok: true } }])
})

test('a request that the client has not declared is answered by the gateway', async () => {
  const session = await gateway.initialize(agent, 'nosy')
  const answer = await gateway.rpc(agent, 'nosy', { session, body: ping })
  deepEqual(messagesOf(answer), [{ jsonrpc: '2.0', id: 1, result: {} }])
  ok(gateway.dropped.some((text) => text.includes('roots/list')))
})

test('each session has a process of its own, and it ends with the session', async () => {
  const client = await connected(agent, 'everything')
  const other = await connected(agent, 'everything')
  const before = gateway.sessions.size
  await other.close()
  equal(gateway.sessions.size, before - 1)
  const after = await client.call<Called>('callTool', { name: 'echo', arguments: { message: 'x' } })
  equal(after.isError, undefined)
  await client.close()
})

/** The code by which the call failed, as an answer or at the end of a stream. */
const failureOf = (answer: RawAnswer) => messagesOf(answer).at(-1)?.error?.data?.['code']

test('a server has so many processes at once; one that ends makes room', async () => {
  const owner = await gateway.trust.issue('agent/capped', { roles: ['all'] })
  const sessions = [await gateway.initialize(owner, 'capped'), await gateway.initialize(owner, 'capped')]
  const open = gateway.sessions.size
  const over = await gateway.rpc(reader, 'capped', { body: init })
  equal(over.headers['doorward-code'], 'policy_denied')
  const refused = await gateway.rpc(agent, 'capped', { body: init })
  equal(refused.status, 503)
  equal(refused.headers['doorward-code'], 'upstream_busy')
  equal(refused.headers['retry-after'], '5')
  equal(refused.headers['mcp-session-id'], undefined)
  equal(gateway.sessions.size, open)
  equal((await gateway.rpc(owner, 'capped', { session: sessions[1] ?? '', body: ping })).status, 200)
  await gateway.rpc(owner, 'capped', { session: sessions[0] ?? '', method: 'DELETE' })
  for (;;) {
    const answer = await gateway.rpc(agent, 'capped', { body: init })
    if (answer.status === 200) break
    equal(answer.headers['doorward-code'], 'upstream_busy')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
})

test('a process that nobody uses ends, and its session with it', async () => {
  const session = await gateway.initialize(agent, 'idle')
  equal((await gateway.rpc(agent, 'idle', { session, body: ping })).status, 200)
  await new Promise((resolve) => setTimeout(resolve, 500))
  equal((await gateway.rpc(agent, 'idle', { session, body: ping })).headers['doorward-code'], 'session_unknown')
  equal((await gateway.rpc(agent, 'idle', { body: init })).status, 200)
})

test('whose processes crash waits longer and longer, and nobody else does', async () => {
  const other = await gateway.trust.issue('agent/other', { roles: ['all'] })
  for (let i = 0; i < 3; i++) {
    const session = await gateway.initialize(agent, 'crashes')
    equal(failureOf(await gateway.rpc(agent, 'crashes', { session, body: ping })), 'upstream_unavailable')
  }
  const refused = await gateway.rpc(agent, 'crashes', { body: init })
  equal(refused.status, 503)
  equal(refused.headers['doorward-code'], 'upstream_circuit_open')
  equal(refused.headers['retry-after'], '1')
  ok((await gateway.entries('outcome')).some(({ body }) => body['code'] === 'upstream_circuit_open'))
  equal((await gateway.rpc(other, 'crashes', { body: init })).status, 200)
  await new Promise((resolve) => setTimeout(resolve, 1000))
  const session = await gateway.initialize(agent, 'crashes')
  equal(failureOf(await gateway.rpc(agent, 'crashes', { session, body: ping })), 'upstream_unavailable')
  equal((await gateway.rpc(agent, 'crashes', { body: init })).headers['retry-after'], '2')
})

test('a server that dies at every start is not started again and again', async () => {
  const reasons = gateway.dropped.length
  const codes = []
  for (let i = 0; i < 8; i++) {
    const svid = await gateway.trust.issue(`agent/start-${i}`, { roles: ['all'] })
    codes.push(failureOf(await gateway.rpc(svid, 'dead', { body: init })))
  }
  deepEqual(codes, [
    ...Array.from({ length: 5 }, () => 'upstream_unavailable'),
    ...Array.from({ length: 3 }, () => 'upstream_circuit_open'),
  ])
  equal(gateway.dropped.slice(reasons).filter((text) => text.includes('exit code 1')).length, 5)
})

test('a process that says far more than it is asked ends', async () => {
  const session = await gateway.initialize(agent, 'chatters')
  equal(failureOf(await gateway.rpc(agent, 'chatters', { session, body: ping })), 'upstream_invalid')
  ok(gateway.dropped.some((text) => text.includes('more messages than anybody')))
})
