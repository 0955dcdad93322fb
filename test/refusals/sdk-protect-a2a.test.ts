/** An agent in a program that protects itself: the official client calls the official server, and what is not the caller's reaches nobody. */

import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { after, before, test } from 'node:test'
import { ListTasksRequest, SendMessageRequest, TaskState } from '@a2a-js/sdk'
import { ClientFactory, DefaultAgentCardResolver, JsonRpcTransportFactory } from '@a2a-js/sdk/client'
import type { Client } from '@a2a-js/sdk/client'
import { callOf, protect } from '@doorward/sdk'
import type { ConnectedIdentity, ProtectedListener } from '@doorward/sdk'
import { card, officialAgent, saying } from '../fixtures/agent-stage.ts'
import type { HeardRequest } from '../fixtures/agent-stage.ts'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import type { RawAnswer } from '../fixtures/authority/raw-client.ts'
import type { Workload } from '../fixtures/authority/workload.ts'
import { openProtectedStage } from '../fixtures/protected-stage.ts'
import type { ProtectedStage } from '../fixtures/protected-stage.ts'

interface Caller extends Workload {
  readonly token: string
}

const cardPath = '/.well-known/agent-card.json'
const bodyBytes = 64 * 1024
/** What the official server has read. */
const heard: {
  readonly caller: string | undefined
  readonly headers: HeardRequest['headers']
  readonly body: string
}[] = []
let stage: ProtectedStage
let agent: ProtectedListener
/** In the place of the agent; null for that one. */
let instead: ((response: ServerResponse) => unknown) | null = null
let lead: ConnectedIdentity
let alice: Caller
let bob: Caller
let reader: Caller

before(async () => {
  const official = await officialAgent('/a2a', (request) =>
    heard.push({
      caller: callOf(request)?.principal.presenter.uri,
      headers: request.headers,
      body: JSON.stringify(request.body),
    }),
  )
  agent = (request, response) => (instead === null ? official(request, response) : instead(response))
  stage = await openProtectedStage((...call) => agent(...call), {
    service: 'planner',
    a2a: { card },
    policy: {
      roles: {
        all: ['read:planner/*', 'write:planner/*'],
        reader: ['read:planner/*'],
        sender: ['message/send:planner/*'],
        nothing: [],
      },
    },
    limits: { bodyBytes },
  })
  const peers = { [stage.audience]: { id: stage.callee.id.uri } }
  lead = await stage.connect('agent/lead', { roles: ['all'] }, { peers })
  alice = await caller('alice')
  bob = await caller('bob')
  reader = await caller('reader', 'reader')
})
after(() => stage.close())

async function caller(name: string, role = 'all'): Promise<Caller> {
  const workload = await stage.workload(`agent/${name}`, [role])
  return { ...workload, token: await stage.token(workload) }
}

interface Ask {
  readonly what?: string
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
}

const json = { 'content-type': 'application/json' }
const modern = { 'a2a-version': '1.0' }
const rpc = (method: string, params: object) => JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })

async function ask(
  { token, ...workload }: Caller,
  { what = 'POST /a2a', body, headers = json }: Ask,
): Promise<RawAnswer> {
  const client = await RawClient.open(stage.server.address, workload)
  const [method = '', path = ''] = what.split(' ')
  const all = { authorization: `Bearer ${token}`, ...headers }
  try {
    return await client.request(method, path, { headers: all, ...(body === undefined ? {} : { body }) })
  } finally {
    client.close()
  }
}

interface Answered extends RawAnswer {
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: { readonly code: number }
}

/** One message of A2A 1.0, or of 0.3 where its method has a slash. */
async function call(by: Caller, method: string, params: object): Promise<Answered> {
  const version = method.includes('/') ? {} : modern
  const answer = await ask(by, { body: rpc(method, params), headers: { ...json, ...version } })
  return { ...answer, ...(JSON.parse(answer.text) as Pick<Answered, 'result' | 'error'>) }
}

/** Refused with the code and on record with it; nothing of it has reached the handler, which what is right beside it does. */
async function refused<T extends RawAnswer>(code: string, asked: () => Promise<T>): Promise<T> {
  const reached = stage.reached.length
  const answer = await asked()
  assert.equal(answer.headers['doorward-code'], code, answer.text)
  assert.equal(stage.reached.length, reached)
  assert.equal((await stage.entryOf(answer)).body['code'], code)
  return answer
}

interface Begun {
  readonly id: string
  readonly contextId: string
}

async function begun(by: Caller): Promise<Begun> {
  const before = stage.reached.length
  const { result, text } = await call(by, 'SendMessage', saying('ask'))
  assert.equal(stage.reached.length, before + 1)
  return (result?.['task'] as Begun | undefined) ?? assert.fail(text)
}

const bare = (name: string) => name.slice(name.lastIndexOf('.') + 1)

/** The official client by the identity of the SDK: it gets on by the card alone. */
async function official(identity: ConnectedIdentity): Promise<Client> {
  const fetchImpl: typeof fetch = (input, init) => identity.fetch(input, init)
  const factory = new ClientFactory({
    transports: [new JsonRpcTransportFactory({ fetchImpl })],
    cardResolver: new DefaultAgentCardResolver({ fetchImpl }),
  })
  return factory.createFromUrl(stage.audience)
}

const asked = (text: string, more: object = {}) => SendMessageRequest.fromJSON(saying(text, more))

test('the official client gets on by the card, and the agent knows its tasks under its own names and its caller', async () => {
  const client = await official(lead)
  assert.equal(stage.reached.length, 0, 'the card is no question for the agent')
  const shown = await client.getAgentCard()
  assert.deepEqual(
    shown.supportedInterfaces.map(({ url }) => url),
    [`${stage.audience}/a2a`, `${stage.audience}/a2a`],
  )
  assert.deepEqual([shown.name, shown.capabilities?.pushNotifications], ['Planner', false])
  const task = await client.sendMessage(asked('ask me'))
  assert.ok('status' in task)
  assert.match(task.id, /^dwa\.[\w-]{43}\.[\w-]+$/)
  const got = await client.getTask({ id: task.id, tenant: '', historyLength: undefined })
  assert.deepEqual([got.id, got.contextId], [task.id, task.contextId])
  const more = await client.sendMessage(asked('and more', { taskId: task.id, contextId: task.contextId }))
  assert.ok('status' in more)
  assert.deepEqual([more.id, more.status?.state], [task.id, TaskState.TASK_STATE_COMPLETED])
  const last = heard.at(-1) ?? assert.fail('not reached')
  assert.equal(last.caller, lead.id.uri)
  assert.ok(last.body.includes(`"taskId":"${bare(task.id)}"`), last.body)
  const { tasks } = await client.listTasks(ListTasksRequest.fromJSON({ pageSize: 100 }))
  assert.deepEqual(
    tasks.map(({ id }) => id),
    [task.id],
  )
})

test('streams come as events, are taken up again, and a task is cancelled by who began it', async () => {
  const client = await official(lead)
  const seen: string[] = []
  for await (const { payload } of client.sendMessageStream(asked('quick'))) seen.push(payload?.$case ?? '')
  assert.deepEqual(seen, ['task', 'statusUpdate', 'statusUpdate'])
  const slow = client.sendMessageStream(asked('slow'))
  const { payload } = (await slow.next()).value ?? {}
  assert.ok(payload?.$case === 'task')
  const { id } = payload.value
  const again = client.resubscribeTask({ id, tenant: '' })
  assert.equal((await again.next()).value?.payload?.$case, 'task')
  assert.equal((await client.cancelTask({ id, tenant: '', metadata: {} })).id, id)
  await slow.return()
  await again.return()
})

test('callers of A2A 0.3 are served beside those of 1.0, and of the head nothing goes on but what the message needs', async () => {
  const message = { kind: 'message', messageId: 'm', role: 'user', parts: [{ kind: 'text', text: 'ask' }] }
  const headers = { ...json, cookie: 'a=b', 'a2a-extensions': 'https://example.com/ext', 'x-api-key': 'k' }
  const sent = await ask(alice, { body: rpc('message/send', { message }), headers })
  const { id } = (sent.json()['result'] ?? {}) as Partial<Begun>
  assert.match(String(id), /^dwa\./, sent.text)
  assert.deepEqual(Object.keys(heard.at(-1)?.headers ?? {}).toSorted(), [
    'a2a-version',
    'accept',
    'content-length',
    'content-type',
    'host',
  ])
  assert.equal((await call(alice, 'tasks/get', { id })).result?.['id'], id)
})

test('each method is decided by itself, and whoever may do nothing sees no card', async () => {
  await begun(alice)
  const denied = await refused('policy_denied', () => call(reader, 'SendMessage', saying('word')))
  assert.deepEqual([denied.status, denied.error?.code], [200, -31403])
  assert.ok(denied.text.includes('"permission":"message/send:planner/*"'), denied.text)
  await refused('policy_denied', () => call(reader, 'SendStreamingMessage', saying('word')))
  await refused('policy_denied', () => call(reader, 'message/send', saying('word')))
  const sender = await caller('sender', 'sender')
  const { id } = await begun(sender)
  await refused('policy_denied', () => call(sender, 'GetTask', { id }))
  await refused('policy_denied', () => call(sender, 'CancelTask', { id }))
  await refused('policy_denied', () => call(sender, 'ListTasks', {}))
  const nobody = await caller('nobody', 'nothing')
  const path = `GET ${cardPath}`
  await refused('policy_denied', () => ask(nobody, { what: path, headers: {} }))
  assert.equal((await ask(reader, { what: path, headers: {} })).status, 200)
})

const said = saying('word').message

/** One thing wrong with a message that passes otherwise. */
const wrong: readonly (readonly [what: string, code: string, asked: Ask])[] = [
  ['a method that nobody lists', 'method_unknown', { body: rpc('EvalTask', {}) }],
  ['the extended card', 'method_unknown', { body: rpc('GetExtendedAgentCard', {}) }],
  ['a batch', 'message_batch', { body: `[${rpc('SendMessage', { message: said })}]` }],
  ['a notification', 'notification_unknown', { body: '{"jsonrpc":"2.0","method":"SendMessage","params":{}}' }],
  [
    'a second method',
    'json_duplicate_key',
    { body: '{"jsonrpc":"2.0","id":1,"method":"GetTask","method":"SendMessage"}' },
  ],
  ['a tenant', 'request_invalid', { body: rpc('SendMessage', { message: said, tenant: 'other' }) }],
  ['a task by the other name', 'request_invalid', { body: rpc('SendMessage', { message: { ...said, task_id: 't' } }) }],
  ['no task', 'subject_missing', { body: rpc('GetTask', {}) }],
  [
    'a URL for notifications',
    'push_notification_refused',
    {
      body: rpc('SendMessage', { message: said, configuration: { taskPushNotificationConfig: { url: 'http://x/' } } }),
    },
  ],
  [
    'notifications of a task',
    'push_notification_refused',
    { body: rpc('CreateTaskPushNotificationConfig', { taskId: 't', url: 'http://127.0.0.1/' }) },
  ],
  ['a version that is not of the method', 'protocol_version', { body: rpc('message/send', { message: said }) }],
  [
    'another content type',
    'content_type',
    { body: rpc('SendMessage', { message: said }), headers: { ...modern, 'content-type': 'text/plain' } },
  ],
  [
    'another character set',
    'content_type',
    {
      body: rpc('SendMessage', { message: said }),
      headers: { ...modern, 'content-type': 'application/json; charset=utf-7' },
    },
  ],
  ['a body that is too large', 'body_too_large', { body: rpc('SendMessage', saying('x'.repeat(bodyBytes))) }],
  ['another path', 'path_unknown', { what: 'POST /a2a/v1', body: rpc('SendMessage', { message: said }) }],
  ['a query', 'request_invalid', { what: 'POST /a2a?x=1', body: rpc('SendMessage', { message: said }) }],
  ['another method of HTTP', 'http_method', { what: 'GET /a2a' }],
  [
    'a card that is posted to',
    'http_method',
    { what: `POST ${cardPath}`, body: rpc('SendMessage', { message: said }) },
  ],
  ['a card with a query', 'request_invalid', { what: `GET ${cardPath}?x=1` }],
]

for (const [what, code, asking] of wrong)
  test(`refused before the agent: ${what}`, async () => {
    await refused(code, () => ask(alice, { headers: { ...json, ...modern }, ...asking }))
  })

test('a task of another caller does not exist, whatever it is called', async () => {
  const { id, contextId } = await begun(alice)
  for (const name of [id, bare(id), `${id}x`])
    for (const [method, params] of [
      ['GetTask', { id: name }],
      ['CancelTask', { id: name }],
      ['SubscribeToTask', { id: name }],
      ['SendMessage', saying('more', { taskId: name })],
      ['SendMessage', saying('more', { referenceTaskIds: [name] })],
      ['tasks/resubscribe', { id: name }],
    ] as const) {
      const answer = await refused('handle_unknown', () => call(bob, method, params))
      assert.deepEqual([answer.status, answer.error?.code], [200, -32_001])
    }
  await refused('handle_unknown', () => call(bob, 'SendMessage', saying('more', { contextId })))
  assert.equal((await call(alice, 'GetTask', { id })).result?.['id'], id)
  const others = await begun(bob)
  const listed = (await call(bob, 'ListTasks', { pageSize: 100 })).result ?? {}
  const tasks = (listed['tasks'] ?? []) as readonly Begun[]
  assert.deepEqual([tasks.map((one) => one.id), listed['totalSize']], [[others.id], 1])
})

const answered = (type: string, text: string) => (response: ServerResponse) => {
  response.setHeader('Content-Type', type)
  response.end(text)
}
const result = (value: object, id = 1) => JSON.stringify({ jsonrpc: '2.0', id, result: value })

test('an answer that is none to the request, or names a task of somebody else, is told to nobody', async () => {
  const others = bare((await begun(bob)).id)
  for (const [type, text] of [
    ['application/json', result({ message: {} }, 2)],
    ['application/json', '{"jsonrpc":"2.0","id":1'],
    ['application/json', result({ task: { id: others } })],
    ['application/json', result({ message: { referenceTaskIds: [others] } })],
    ['text/html', '<p>fine</p>'],
    ['text/event-stream', `data: ${result({ message: {} })}\n\n`],
  ] as const) {
    instead = answered(type, text)
    const answer = await call(alice, 'SendMessage', saying('word'))
    instead = null
    assert.deepEqual([answer.status, answer.headers['doorward-code']], [502, 'upstream_invalid'], answer.text)
    assert.ok(!answer.text.includes(others))
    const index = Number(answer.headers['doorward-decision']?.split('#')[1])
    const isOutcome = async () =>
      (await stage.entries()).some(
        ({ kind, body }) => kind === 'outcome' && body['of'] === index && body['code'] === 'upstream_invalid',
      )
    while (!(await isOutcome())) await new Promise((resolve) => setTimeout(resolve, 25))
  }
  await begun(alice)
})

/** Sends a message that is answered by a stream, and reads its head and its first event. */
async function streaming({ token, ...workload }: Caller): Promise<RawClient> {
  const client = await RawClient.open(stage.server.address, workload)
  const headers = { authorization: `Bearer ${token}`, ...json, ...modern }
  client.send('POST', '/a2a', { headers, body: rpc('SendStreamingMessage', saying('slow')) })
  assert.equal((await client.head()).status, 200)
  assert.match((await client.chunk()) ?? '', /"id":"dwa\./)
  return client
}

test('a stream breaks off at an event with a task of somebody else', async () => {
  const others = bare((await begun(bob)).id)
  const { promise: first, resolve: go } = Promise.withResolvers<void>()
  const event = (id: string) => `data: ${result({ task: { id, contextId: 'c' } })}\n\n`
  instead = async (response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.write(event('new'))
    await first
    response.write(event(others))
    response.end(event('never'))
  }
  const client = await streaming(alice)
  instead = null
  const closed = new Promise<void>((resolve) => client.socket.once('close', () => resolve()))
  let rest = ''
  client.socket.on('data', (part: Buffer) => (rest += part.toString()))
  go()
  await closed
  assert.equal(rest, '')
})

test('a stream under way ends when its caller loses the role', async () => {
  const demoted = await caller('demoted')
  const client = await streaming(demoted)
  const closed = new Promise<void>((resolve) => client.socket.once('close', () => resolve()))
  await stage.authority.running.registerWorkload({ id: demoted.id, roles: [] }, 'test')
  await closed
  await refused('policy_denied', () => call(demoted, 'SendMessage', saying('word')))
})

test('options of an agent that cannot be enforced are refused at the start', async () => {
  const folder = `${stage.folders.root}/agents`
  const start = (more: object) => {
    const { a2a: _a2a, ...rest } = stage.protecting
    return protect(() => undefined, { ...rest, record: { folder, checkpoints: `${folder}-c` }, ...more })
  }
  await assert.rejects(start({ routes: ['POST /a2a'], a2a: { card } }), { code: 'route_invalid' })
  await assert.rejects(start({ mcp: {}, a2a: { card } }), { code: 'route_invalid' })
  for (const path of ['a2a', '/a2a/', '/{id}', '/..', '/.', '/a/../b', '/a/.', cardPath])
    await assert.rejects(start({ a2a: { card, path } }), { code: 'a2a_path' })
  const extension = { uri: 'https://example.com/ext', required: true }
  for (const other of [{}, { name: 'x' }, { ...card, capabilities: { extensions: [extension] } }])
    await assert.rejects(start({ a2a: { card: other } }), { code: 'a2a_card' })
})

test('after a restart a task is still its caller’s alone, and of no list before that caller names it', async () => {
  const { id } = await begun(alice)
  await stage.server.close(100)
  await using _again = await protect((...asking) => agent(...asking), stage.protecting)
  await refusedAt('handle_unknown', () => call(bob, 'GetTask', { id }))
  assert.deepEqual((await call(alice, 'ListTasks', {})).result?.['tasks'], [])
  assert.equal((await call(alice, 'GetTask', { id })).result?.['id'], id)
  const { tasks = [] } = ((await call(alice, 'ListTasks', {})).result ?? {}) as { tasks?: readonly Begun[] }
  assert.deepEqual(
    tasks.map((one) => one.id),
    [id],
  )
})

async function refusedAt(code: string, asking: () => Promise<RawAnswer>): Promise<void> {
  assert.equal((await asking()).headers['doorward-code'], code)
}
