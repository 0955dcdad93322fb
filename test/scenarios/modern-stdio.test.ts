/** The modern era over standard input and output: a process for each caller, and everything matched to its own request. */

import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayFixture, messagesOf } from '../fixtures/gateway-fixture.ts'
import { modern, modernVersion } from '../fixtures/modern-server.ts'
import type { ModernCall } from '../fixtures/modern-server.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

/** Answers by the tool's name; `heard` tells all lines that it has read. */
const program = `
import { createInterface } from 'node:readline'
const heard = []
const say = (message) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n')
const told = (id, value = {}) => say({ id, result: { resultType: 'complete', content: [], pid: process.pid, ...value } })
const discovery = { supportedVersions: ['${modernVersion}'], capabilities: { tools: {}, resources: {} }, ttlMs: 1000, cacheScope: 'public' }
const note = (method, params) => say({ method, params })
createInterface({ input: process.stdin }).on('line', (line) => {
  heard.push(line)
  const { id, method, params = {} } = JSON.parse(line)
  if (method === 'server/discover') return told(id, discovery)
  if (method === 'subscriptions/listen') {
    const _meta = { 'io.modelcontextprotocol/subscriptionId': id }
    note('notifications/subscriptions/acknowledged', { notifications: params.notifications, _meta })
    return note('notifications/tools/list_changed', { _meta })
  }
  if (method !== 'tools/call') return id === undefined ? 0 : say({ id, error: { code: -32601, message: 'method not found' } })
  switch (params.name) {
    case 'heard': return told(id, { heard })
    case 'slow': return setTimeout(() => told(id), 300)
    case 'never': return
    case 'die': return process.exit(3)
    case 'steps': note('notifications/progress', { progressToken: params._meta.progressToken, progress: 1 }); return told(id)
    case 'ask': return params.requestState === undefined
      ? say({ id, result: { resultType: 'input_required', requestState: 'mine', inputRequests: { a: { method: 'elicitation/create', params: { mode: 'form', message: 'x', requestedSchema: { type: 'object', properties: {} } } } } } })
      : told(id, { state: params.requestState })
    case 'constructor': return told(id, { structuredContent: { constructor: 1, ['__proto__']: 2, prototype: 3 } })
    case 'unreadable': return process.stdout.write('{"jsonrpc":"2.0","id":' + JSON.stringify(id) + ',"result":{"resultType":"complete","a":1,"a":2}}\\n')
    case 'malformed': return say({ id, result: 7 })
    case 'nosy': say({ id: 'q', method: 'roots/list' }); return told(id)
    case 'log': note('notifications/message', { level: 'info', data: 'whose' }); return told(id)
    default: return told(id)
  }
})
`

/** Answers only what servers did before. */
const legacy = (answer: string) => `
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method } = JSON.parse(line)
  if (method === 'initialize') console.log(JSON.stringify({ jsonrpc: '2.0', id, result: { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 's', version: '1' } } }))
  else if (id !== undefined) { ${answer} }
})`
const refusing =
  "console.log(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'method not found' } }))"

let folder: string
let gateway: GatewayFixture
let agent: TestSvid
let other: TestSvid

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-modern-'))
  const file = join(folder, 'server.mjs')
  await writeFile(file, program)
  const command = [process.execPath, file]
  gateway = await GatewayFixture.open({
    servers: {
      files: { command, effects: { read: ['*'] } },
      idle: { command, idleMilliseconds: 200 },
      capped: { command, processes: 1 },
      refuses: { command: [process.execPath, '-e', legacy(refusing)] },
      silent: { command: [process.execPath, '-e', legacy('')] },
      dead: { command: [process.execPath, '-e', 'process.exit(1)'] },
      unstartable: { command: ['/etc/hostname/program'], processes: 1 },
    },
    roles: { all: ['*'] },
    patienceMilliseconds: 5000,
    limits: { responseMilliseconds: 1500 },
  })
  agent = await gateway.trust.issue('agent/planner', { roles: ['all'] })
  other = await gateway.trust.issue('agent/other', { roles: ['all'] })
})

after(async () => {
  await gateway.close()
  await rm(folder, { recursive: true, force: true })
})

const send = (method: string, parts: ModernCall = {}, svid = agent, server = 'files'): Promise<RawAnswer> =>
  gateway.rpc(svid, server, modern(method, parts))
const tool = (name: string, parts: ModernCall = {}, svid = agent, server = 'files'): Promise<RawAnswer> =>
  send('tools/call', { ...parts, params: { name, arguments: {}, ...parts.params } }, svid, server)
const resultOf = (answer: RawAnswer) => messagesOf(answer).at(-1)?.result ?? {}
const heard = async (svid = agent): Promise<readonly string[]> =>
  (resultOf(await tool('heard', {}, svid))['heard'] as readonly string[] | undefined) ?? []

test('a request reaches the process byte for byte; the versions were asked for once, on record', async () => {
  const rpc = modern('tools/call', { params: { name: 'x', arguments: { n: 1 } } })
  const body = rpc.body.replace('"n":1', '"n": 9007199254740993')
  const answer = await gateway.rpc(agent, 'files', { ...rpc, body })
  equal(answer.status, 200)
  equal(answer.headers['mcp-session-id'], undefined)
  ok((await heard()).includes(body))
  const acts = gateway.record.entries.filter(({ kind, body: act }) => kind === 'lifecycle' && act['server'] === 'files')
  deepEqual(
    acts.map(({ body: act }) => act['event']),
    ['server.discover', 'server.versions'],
  )
  equal(gateway.sessions.size, 0)
})

test('each caller has a process of its own', async () => {
  const [mine, again, theirs] = [await tool('x'), await tool('x'), await tool('x', {}, other)].map(resultOf)
  equal(mine?.['pid'], again?.['pid'])
  notEqual(mine?.['pid'], theirs?.['pid'])
  ok((await heard(other)).every((line) => !line.includes('9007199254740993')))
})

test('two requests of one caller under one id, or one token, are two answers', { timeout: 20_000 }, async () => {
  const twice = await Promise.all([tool('slow', { id: 7 }), tool('slow', { id: 7 })])
  deepEqual(
    twice.map(({ status }) => status),
    [200, 200],
  )
  notEqual(resultOf(twice[0])['pid'], resultOf(twice[1])['pid'])
  const _meta = { progressToken: 't' }
  const meta = (rpc: ReturnType<typeof modern>) => ({
    ...rpc,
    body: rpc.body.replace('"_meta":{', '"_meta":{"progressToken":"t",'),
  })
  const stepping = await gateway.rpc(agent, 'files', meta(modern('tools/call', { params: { name: 'steps' } })))
  deepEqual(
    messagesOf(stepping).map(({ method, params }) => [method, params?.['progressToken']]),
    [
      ['notifications/progress', _meta.progressToken],
      [undefined, undefined],
    ],
  )
})

test('an error has the status of its code, and what a server may not ask is not asked', async () => {
  equal((await send('resources/templates/list')).status, 404)
  const nosy = await tool('nosy')
  equal(messagesOf(nosy).length, 1)
  ok((await heard()).some((line) => line.includes('"id":"q"') && line.includes('-32601')))
})

test('a state is bound to its caller and comes back to the process as its own', async () => {
  const capabilities = { elicitation: { form: {} } }
  const asked = resultOf(await tool('ask', { capabilities }))
  equal(asked['resultType'], 'input_required')
  const requestState = String(asked['requestState'])
  notEqual(requestState, 'mine')
  const params = { requestState, inputResponses: { a: { action: 'accept', content: {} } } }
  equal(resultOf(await tool('ask', { capabilities, params }))['state'], 'mine')
  const foreign = await tool('ask', { capabilities, params }, other)
  equal(resultOf(foreign)['state'], undefined)
})

test('who listens hears what is said to it; going away is the cancellation', { timeout: 20_000 }, async () => {
  const socket = await dial(gateway.connection(agent))
  const rpc = modern('subscriptions/listen', { id: 'sub', params: { notifications: { toolsListChanged: true } } })
  const got = parseAnswer(
    await talk(socket, await gateway.request(agent, 'files', rpc), (soFar) => soFar.includes('list_changed')),
  )
  match(got.body, /subscriptions\/acknowledged/)
  socket.destroy()
  const isCancelled = (line: string) => line.includes('notifications/cancelled') && line.includes('"requestId":"sub"')
  while (!(await heard()).some(isCancelled)) await sleep(10)
})

test('a log message that names no request reaches nobody while several wait', { timeout: 20_000 }, async () => {
  const waiting = tool('slow')
  await sleep(50)
  const logged = await tool('log')
  equal(messagesOf(logged).length, 1)
  await waiting
  equal(messagesOf(await tool('log')).length, 2)
})

test('an id that was given up is not used again before it is answered', { timeout: 20_000 }, async () => {
  const { pid } = resultOf(await tool('x'))
  const socket = await dial(gateway.connection(agent))
  const rpc = modern('tools/call', { id: 'gone', params: { name: 'never', arguments: {} } })
  void talk(socket, await gateway.request(agent, 'files', rpc), () => false)
  while (!(await heard()).some((line) => line.includes('"id":"gone"'))) await sleep(10)
  socket.destroy()
  while (!(await heard()).some((line) => line.includes('"requestId":"gone"'))) await sleep(10)
  notEqual(resultOf(await tool('x', { id: 'gone' }))['pid'], pid)
})

test('a process that dies answers whoever waits; the next call has another one', async () => {
  const victim = await gateway.trust.issue('agent/victim', { roles: ['all'] })
  const failed = await tool('die', {}, victim)
  equal(failed.status, 502)
  equal(failed.headers['doorward-code'], 'upstream_unavailable')
  equal((await tool('x', {}, victim)).status, 200)
})

test('names that JavaScript has are members like others', async () => {
  const answer = await tool('constructor')
  equal(answer.status, 200)
  for (const name of ['constructor', '__proto__', 'prototype']) match(answer.text, new RegExp(`"${name}":[123]`))
})

test('an answer that cannot be read without doubt keeps nobody waiting', async () => {
  for (const name of ['unreadable', 'malformed']) {
    const answer = await tool(name)
    deepEqual([answer.status, answer.headers['doorward-code']], [502, 'upstream_invalid'], name)
  }
})

test('processes are capped, and end when nobody uses them', async () => {
  equal((await tool('x', {}, agent, 'capped')).status, 200)
  const over = await tool('x', {}, other, 'capped')
  equal(over.status, 503)
  equal(over.headers['doorward-code'], 'upstream_busy')
  const first = resultOf(await tool('x', {}, agent, 'idle'))['pid']
  await sleep(600)
  notEqual(resultOf(await tool('x', {}, agent, 'idle'))['pid'], first)
})

test('a server that refuses the question, or is silent, is of the legacy era', async () => {
  for (const server of ['refuses', 'silent']) {
    const answer = await tool('x', {}, agent, server)
    equal(answer.status, 400, server)
    equal(messagesOf(answer)[0]?.error?.code, -32022)
    const supported = messagesOf(answer)[0]?.error?.data?.['supported'] as readonly string[] | undefined
    equal(supported?.includes(modernVersion), false)
    ok((await gateway.initialize(agent, server)) !== '')
  }
})

test('a server that does not start is unavailable, and is not asked again at once', async () => {
  for (const server of ['dead', 'unstartable']) {
    for (let i = 0; i < 2; i++)
      equal((await tool('x', {}, agent, server)).headers['doorward-code'], 'upstream_unavailable')
    const asked = gateway.record.entries.filter(
      ({ body }) => body['event'] === 'server.discover' && body['server'] === server,
    )
    equal(asked.length, 1)
  }
  // As long as silence is waited for: nobody waits for what never began.
  await sleep(2000)
  equal((await tool('x', {}, agent)).status, 200)
})
