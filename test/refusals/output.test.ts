/**
 * What an answer may not have does not reach its caller, on any transport and in either era: known secrets, more bytes
 * than its bound, another structure than was approved. The canaries stand in no entry and no log either.
 */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { writeFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { listedDefinitions, serverDefinitions } from '@doorward/core'
import type { OutputObligations } from '@doorward/enforcement'
import { DefinitionGate, KnownDefinitions } from '@doorward/enforcement'
import { sha256 } from '@doorward/sdk'
import { GatewayFixture, messagesOf } from '../fixtures/gateway-fixture.ts'
import { modern, modernServer } from '../fixtures/modern-server.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { event, json, scriptedServer, stream } from '../fixtures/scripted-server.ts'
import type { Script, ScriptedServer } from '../fixtures/scripted-server.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

const canary = 'ghp_canarycanarycanarycanary012345'
const none: OutputObligations = { maxBytes: null, redact: false, validate: false }
const outputSchema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] }
const tool = { name: 'count', description: 'counts', inputSchema: { type: 'object' }, outputSchema }

let folder: string
let server: ScriptedServer
let modernly: ScriptedServer
let gateway: GatewayFixture
let agent: TestSvid
let script: Script = () => undefined

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-output-'))
  const program = join(folder, 'server.mjs')
  await writeFile(program, stdioServer)
  const legacy: Script = ({ method }, response) => void (method === 'DELETE' && response.writeHead(200).end())
  server = await scriptedServer((reached, response, request) => {
    if (reached.method === 'DELETE') legacy(reached, response, request)
    else script(reached, response, request)
  })
  modernly = await modernServer((reached, response, request) => script(reached, response, request))
  const approved = [
    ...serverDefinitions({ serverInfo: { name: 'scripted' } }),
    ...(listedDefinitions('tools/list', { tools: [tool] }) ?? []),
  ]
  const known = new KnownDefinitions({ mode: 'on-first-use', approved, sha256 })
  const command = [process.execPath, program]
  gateway = await GatewayFixture.open({
    servers: {
      plain: { url: server.url },
      redacts: { url: server.url, output: { ...none, redact: true } },
      small: { url: server.url, output: { ...none, maxBytes: 2048 } },
      checks: { url: server.url, output: { ...none, validate: true } },
      modern: { url: modernly.url, output: { maxBytes: 2048, redact: true, validate: true } },
      stdio: { command, output: { maxBytes: 2048, redact: true, validate: false } },
    },
    roles: { all: ['*'] },
    definitions: Object.fromEntries(
      ['checks', 'modern'].map((name) => [name, new DefinitionGate({ server: name, known, look: async () => null })]),
    ),
  })
  agent = await gateway.trust.issue('agent/planner', { roles: ['all'] })
})
after(async () => {
  const said = JSON.stringify(gateway.record.entries) + gateway.dropped.join('\n')
  await gateway.close()
  await Promise.all([server.close(), modernly.close(), rm(folder, { recursive: true })])
  equal(said.includes(canary), false, 'the canary is in the record or in the log')
})

/** Answers as its argument says. */
const stdioServer = `
import { createInterface } from 'node:readline'
const say = (message) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n')
for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line)
  if (method === 'initialize') say({ id, result: { protocolVersion: params.protocolVersion, capabilities: {}, serverInfo: { name: 'x', version: '1' } } })
  else if (id !== undefined) {
    say({ method: 'notifications/message', params: { level: 'info', data: params.arguments.text } })
    say({ id, result: { content: [{ type: 'text', text: params.arguments.text.repeat(params.arguments.times ?? 1) }] } })
  }
}
`

let nextId = 100
const call = (name = 'count', args: object = {}) =>
  JSON.stringify({ jsonrpc: '2.0', id: nextId++, method: 'tools/call', params: { name, arguments: args } })

const idOf = (body: string) => (JSON.parse(body) as { readonly id: number }).id

/** The server answers with this result, as JSON or in a stream. */
function answering(result: object, streamed = false): void {
  script = ({ body }, response) => {
    const answer = JSON.stringify({ jsonrpc: '2.0', id: idOf(body), result })
    if (!streamed) return json(response, answer)
    const log = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: `log ${canary}` } }
    stream(response, `: ${canary}\n\n: ${canary}\n${event(JSON.stringify(log), 'e1')}`, event(answer, 'e2'))
    response.end()
  }
}

async function outcome(answer: RawAnswer): Promise<Readonly<Record<string, unknown>>> {
  const index = Number(answer.headers['doorward-decision']?.split('#')[1])
  for (let i = 0; i < 100; i++) {
    const found = (await gateway.entries('outcome')).find(({ body }) => body['of'] === index)
    if (found !== undefined) return found.body
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('no outcome')
}

const resultOf = (answer: RawAnswer) => messagesOf(answer).find(({ id }) => id !== undefined)?.result ?? {}
const asks = async (name: string, body = call()): Promise<RawAnswer> =>
  name === 'modern'
    ? gateway.rpc(agent, name, modern('tools/call', { params: { name: 'count', arguments: {} } }))
    : gateway.rpc(agent, name, { session: await gateway.initialize(agent, name), body })

const leaking = {
  content: [{ type: 'text', text: `the key is ${canary}` }],
  structuredContent: { n: 1, token: canary },
}

describe('known secrets', () => {
  test('reach the caller where nothing is demanded: the test would see them', async () => {
    answering(leaking)
    ok((await asks('plain')).body.includes(canary))
  })

  const leaks = [
    ['are taken out of a JSON answer of redacts, and counted', 'redacts', false],
    ['are taken out of an event stream of redacts, and counted', 'redacts', true],
    ['are taken out of a JSON answer of modern, and counted', 'modern', false],
    ['are taken out of an event stream of modern, and counted', 'modern', true],
  ] as const
  for (const [what, name, streamed] of leaks) {
    test(what, async () => {
      answering({ ...(name === 'modern' ? { resultType: 'complete' } : {}), ...leaking }, streamed)
      const answer = await asks(name)
      equal(answer.text.includes(canary), false)
      deepEqual(resultOf(answer)['content'], [{ type: 'text', text: 'the key is [redacted]' }])
      const { status, redacted } = await outcome(answer)
      deepEqual([status, redacted], ['completed', streamed ? 3 : 2])
      if (streamed) match(answer.body, /^id: e1$/m)
    })
  }

  test('are taken out of errors, with a status of their own or without', async () => {
    for (const status of [200, 400]) {
      script = ({ body }, response) => {
        const error = { code: -32000, message: `no ${canary}`, data: { url: `https://u:${canary}@h/` } }
        response.writeHead(status, { 'Content-Type': 'application/json' })
        response.end(JSON.stringify({ jsonrpc: '2.0', id: idOf(body), error }))
      }
      const answer = await asks('redacts')
      deepEqual([answer.status, answer.text.includes(canary)], [status, false])
      equal((await outcome(answer))['redacted'], 2)
    }
  })

  test('are taken out of what a process writes, its notifications as well', async () => {
    const answer = await asks('stdio', call('x', { text: `a ${canary}` }))
    equal(answer.text.includes(canary), false)
    deepEqual(resultOf(answer)['content'], [{ type: 'text', text: 'a [redacted]' }])
  })

  test('what has none passes byte for byte', async () => {
    const exact = '{"content":[ ],"n":9007199254740993,"m":1e400,"u":"\\u00e9"}'
    script = ({ body }, response) => json(response, `{"jsonrpc":"2.0","id":${idOf(body)} ,"result":${exact}}`)
    const body = call()
    const answer = await asks('redacts', body)
    equal(answer.body, `{"jsonrpc":"2.0","id":${idOf(body)} ,"result":${exact}}`)
    equal((await outcome(answer))['redacted'], undefined)
  })
})

/** A failed outcome, an error that the model reads, and nothing of the answer. */
async function refused(answer: RawAnswer, code: string): Promise<void> {
  const { status, code: told } = await outcome(answer)
  deepEqual([status, told], ['failed', code])
  deepEqual([resultOf(answer)['isError'], resultOf(answer)['structuredContent']], [true, undefined])
  equal(answer.text.includes('oversized'), false)
}

describe('known secrets beside the data of events', () => {
  const own = (answer: RawAnswer) => answer.body.split('\n').filter((line) => /^(?:id|event|retry|own)/.test(line))

  test('reach the caller where nothing is demanded: the test would see them', async () => {
    script = ({ body }, response) => {
      stream(
        response,
        `id: ${canary}\nown: ${canary}\n${event(JSON.stringify({ jsonrpc: '2.0', id: idOf(body), result: {} }))}`,
      )
      response.end()
    }
    ok((await asks('plain')).body.includes(canary))
  })

  const fields = [
    ['redacts: are in no id, name or other field', 'redacts'],
    ['modern: are in no id, name or other field', 'modern'],
  ] as const
  for (const [what, name] of fields)
    test(what, async () => {
      script = ({ body }, response) => {
        const answer = JSON.stringify({
          jsonrpc: '2.0',
          id: idOf(body),
          result: { resultType: 'complete', content: [] },
        })
        const lines = [`id: ${canary}`, `event: ${canary}`, `retry: ${canary}`, `own: ${canary}`, 'retry: 7', canary]
        stream(response, `${lines.join('\n')}\n\n`, `${lines.join('\n')}\ndata: ${answer}\n\n`)
        response.end()
      }
      const answer = await asks(name, call('other'))
      equal(answer.text.includes(canary), false)
      const id = name === 'modern' ? [] : ['id: dw-event-1', 'id: dw-event-2']
      deepEqual(
        own(answer).toSorted(),
        [...id, 'event: [redacted]', 'event: [redacted]', 'retry: 7', 'retry: 7'].toSorted(),
      )
      equal((await outcome(answer))['redacted'], 4)
    })

  test('a stream is taken up again after an id that the client knows by a name of ours alone', async () => {
    const told = `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}`
    script = ({ method }, response) => {
      if (method === 'DELETE') return void response.writeHead(200).end()
      stream(response, event(told, canary), event(told, 'plain-1'))
      response.end()
    }
    const session = await gateway.initialize(agent, 'redacts')
    const resume = (id: string | null) =>
      gateway.rpc(agent, 'redacts', { session, method: 'GET', headers: id === null ? {} : { 'Last-Event-ID': id } })
    const ids = own(await resume(null)).flatMap((line) => (line.startsWith('id: ') ? [line.slice(4)] : []))
    deepEqual(ids, ['dw-event-1', 'plain-1'])
    for (const [known, expected] of [
      ['dw-event-1', canary],
      ['plain-1', 'plain-1'],
    ] as const) {
      await resume(known)
      equal(server.reached.at(-1)?.headers['last-event-id'], expected)
    }
    const reached = server.reached.length
    const forgotten = await resume('dw-event-99')
    deepEqual([forgotten.status, forgotten.headers['doorward-code']], [400, 'request_invalid'])
    equal(server.reached.length, reached)
  })
})

describe('the size', () => {
  const large = { resultType: 'complete', content: [{ type: 'text', text: 'oversized'.repeat(300) }] }
  const oversized = [
    ['a JSON answer of small beyond its bound is replaced by an error', 'small', false],
    ['an event of small beyond its bound is replaced by an error', 'small', true],
    ['a JSON answer of modern beyond its bound is replaced by an error', 'modern', false],
    ['an event of modern beyond its bound is replaced by an error', 'modern', true],
  ] as const
  for (const [what, name, streamed] of oversized)
    test(what, async () => {
      answering(large, streamed)
      await refused(await asks(name), 'output_too_large')
    })

  test('what a process answers beyond its bound is replaced, too, and the process goes on', async () => {
    const session = await gateway.initialize(agent, 'stdio')
    const ask = (times: number) =>
      gateway.rpc(agent, 'stdio', { session, body: call('x', { text: 'many words ', times }) })
    await refused(await ask(300), 'output_too_large')
    equal(resultOf(await ask(2))['isError'], undefined)
  })

  test('other methods are answered with a JSON-RPC error', async () => {
    script = ({ body }, response) =>
      json(
        response,
        JSON.stringify({ jsonrpc: '2.0', id: idOf(body), result: { contents: [{ text: 'oversized'.repeat(300) }] } }),
      )
    const body = JSON.stringify({ jsonrpc: '2.0', id: nextId++, method: 'resources/read', params: { uri: 'a:b' } })
    const answer = await asks('small', body)
    deepEqual(messagesOf(answer)[0]?.error?.data, { code: 'output_too_large' })
  })
})

describe('the structure', () => {
  const ofModern = { resultType: 'complete' }
  for (const name of ['checks', 'modern']) {
    const base = name === 'modern' ? ofModern : {}
    test(`${name}: what fulfils the approved schema passes, and so does an error`, async () => {
      answering({ ...base, content: [], structuredContent: { n: 1, more: 'x' } })
      deepEqual(resultOf(await asks(name))['structuredContent'], { n: 1, more: 'x' })
      answering({ ...base, content: [{ type: 'text', text: 'broken' }], isError: true })
      deepEqual(resultOf(await asks(name))['content'], [{ type: 'text', text: 'broken' }])
    })
    for (const structuredContent of [{ n: 1.5 }, {}, [], undefined]) {
      test(`${name}: ${JSON.stringify(structuredContent)} does not`, async () => {
        answering({ ...base, content: [{ type: 'text', text: 'oversized' }], structuredContent })
        await refused(await asks(name), 'output_invalid')
      })
    }
  }

  const misfits = [
    ['checks: {"n":"one"} does not', 'checks', {}],
    ['modern: {"n":"one"} does not', 'modern', ofModern],
  ] as const
  for (const [what, name, base] of misfits)
    test(what, async () => {
      answering({ ...base, content: [{ type: 'text', text: 'oversized' }], structuredContent: { n: 'one' } })
      await refused(await asks(name), 'output_invalid')
    })

  test('a tool without an approved schema answers as it likes', async () => {
    answering({ content: [], structuredContent: { n: 'one' } })
    deepEqual(resultOf(await asks('checks', call('other')))['structuredContent'], { n: 'one' })
  })
})

describe('the structure of what a task brings', () => {
  const misfit = { content: [{ type: 'text', text: 'oversized' }], structuredContent: { n: 'one' } }
  const fits = { content: [], structuredContent: { n: 1 } }

  async function legacyTask(taskId: string, name = 'count'): Promise<string> {
    const session = await gateway.initialize(agent, 'checks')
    answering({ task: { taskId, status: 'working', ttl: 1000, createdAt: '', lastUpdatedAt: '' } })
    const params = { name, arguments: {}, task: { ttl: 1000 } }
    const body = JSON.stringify({ jsonrpc: '2.0', id: nextId++, method: 'tools/call', params })
    equal((await gateway.rpc(agent, 'checks', { session, body })).status, 200)
    return session
  }
  const resultOfTask = (session: string, taskId: string) =>
    gateway.rpc(agent, 'checks', {
      session,
      body: JSON.stringify({ jsonrpc: '2.0', id: nextId++, method: 'tasks/result', params: { taskId } }),
    })

  test('checks: the result of a task is judged as that of its tool', async () => {
    const session = await legacyTask('t-1')
    answering(fits)
    deepEqual(resultOf(await resultOfTask(session, 't-1'))['structuredContent'], { n: 1 })
    answering(misfit)
    await refused(await resultOfTask(session, 't-1'), 'output_invalid')
    answering({ ...misfit, isError: true })
    equal(resultOf(await resultOfTask(session, 't-1'))['isError'], true)
    const other = await legacyTask('t-2', 'other')
    answering(misfit)
    deepEqual(resultOf(await resultOfTask(other, 't-2'))['structuredContent'], { n: 'one' })
  })

  test('checks: of a task that nobody has seen begin, no structure is known', async () => {
    const session = await legacyTask('t-3')
    answering(fits)
    await refused(await resultOfTask(session, 'another'), 'output_invalid')
  })

  test('checks: what says that it is a task and has a structure all the same is judged by it', async () => {
    answering({ task: { taskId: 't-4' }, ...misfit })
    await refused(await asks('checks'), 'output_invalid')
  })

  const tasks = { extensions: { 'io.modelcontextprotocol/tasks': {} } }
  const asksModern = (method: string, params: Readonly<Record<string, unknown>>) =>
    gateway.rpc(agent, 'modern', modern(method, { params, capabilities: tasks }))
  async function modernTask(): Promise<string> {
    answering({ resultType: 'task', taskId: 't-5', status: 'working', createdAt: '', lastUpdatedAt: '', ttlMs: null })
    return String(resultOf(await asksModern('tools/call', { name: 'count', arguments: {} }))['taskId'])
  }
  const ended = (result: object) => ({ resultType: 'complete', taskId: 't-5', status: 'completed', result })

  test('modern: a task that has ended holds a result of its tool, or is replaced by an error', async () => {
    const taskId = await modernTask()
    answering(ended(fits))
    deepEqual(resultOf(await asksModern('tasks/get', { taskId }))['result'], fits)
    for (const result of [misfit, { content: [] }]) {
      answering(ended(result))
      const answer = await asksModern('tasks/get', { taskId })
      deepEqual(messagesOf(answer)[0]?.error?.data, { code: 'output_invalid' })
      equal(answer.text.includes('oversized'), false)
    }
  })

  test('modern: a notification of a task that has ended passes with a result that fits alone', async () => {
    const taskId = await modernTask()
    const tell = (result: object) =>
      event(
        JSON.stringify({
          jsonrpc: '2.0',
          method: 'notifications/tasks',
          params: { taskId: 't-5', status: 'completed', result },
        }),
      )
    script = ({ body }, response) => {
      const end = JSON.stringify({ jsonrpc: '2.0', id: idOf(body), result: { resultType: 'complete' } })
      stream(response, tell(misfit), tell(fits), event(end))
      response.end()
    }
    const answer = await asksModern('subscriptions/listen', { notifications: { taskIds: [taskId] } })
    const told = messagesOf(answer).filter(({ method }) => method === 'notifications/tasks')
    deepEqual(
      told.map(({ params }) => params?.['result']),
      [fits],
    )
    equal(answer.text.includes('oversized'), false)
  })
})
