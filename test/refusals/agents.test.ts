/** Agents over A2A: what is not understood, not allowed, or not the caller's does not reach the agent. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { AgentStage, agentAudience, saying } from '../fixtures/agent-stage.ts'
import type { RpcAnswer } from '../fixtures/agent-stage.ts'
import { audienceOf } from '../fixtures/gateway-fixture.ts'
import { dial, talk } from '../fixtures/raw-http.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

let stage: AgentStage
let alice: TestSvid
let bob: TestSvid
let reader: TestSvid

before(async () => {
  stage = await AgentStage.open({
    all: ['read:planner/*', 'write:planner/*'],
    reader: ['read:planner/*'],
    sender: ['message/send:planner/*'],
    nothing: [],
  })
  alice = await stage.caller('alice', 'all')
  bob = await stage.caller('bob', 'all')
  reader = await stage.caller('reader', 'reader')
})

after(() => stage.close())

/** Asserts that the answer has the code, that the refusal is on record, and that nothing reached the agent. */
async function refused(
  code: string,
  ask: () => Promise<Pick<RpcAnswer, 'headers' | 'text'> & Partial<RpcAnswer>>,
): Promise<Partial<RpcAnswer>> {
  const before = stage.messages.length
  const answer = await ask()
  equal(answer.headers['doorward-code'], code, answer.text)
  equal(stage.messages.length, before, 'something reached the agent')
  const last = (await stage.gateway.entries()).at(-1)?.body
  deepEqual([last?.['decision'], last?.['code']], ['deny', code])
  return answer
}

async function begun(svid: TestSvid): Promise<{ readonly id: string; readonly contextId: string }> {
  const before = stage.messages.length
  const { result, text } = await stage.call(svid, 'SendMessage', saying('ask'))
  equal(stage.messages.length, before + 1)
  const task = result?.['task'] as { readonly id: string; readonly contextId: string } | undefined
  ok(task !== undefined, text)
  return task
}

test('without a permission for it no message reaches the agent', async () => {
  const denied = await refused('policy_denied', () => stage.call(reader, 'SendMessage', saying('word')))
  equal(denied.error?.code, -31403)
  ok(denied.text?.includes('"permission":"message/send:planner/*"'))
  await refused('policy_denied', () => stage.call(reader, 'SendStreamingMessage', saying('word')))
  await refused('policy_denied', () => stage.call(reader, 'message/send', saying('word')))
  const sender = await stage.caller('sender', 'sender')
  const { id } = await begun(sender)
  await refused('policy_denied', () => stage.call(sender, 'GetTask', { id }))
  await refused('policy_denied', () => stage.call(sender, 'CancelTask', { id }))
  await refused('policy_denied', () => stage.call(sender, 'ListTasks', {}))
  const nobody = await stage.caller('nobody', 'nothing')
  const path = '/.well-known/agent-card.json'
  equal((await stage.ask(nobody, { method: 'GET', path })).headers['doorward-code'], 'policy_denied')
  equal((await stage.ask(reader, { method: 'GET', path })).status, 200)
})

test('without a token for this agent nothing passes, and there is nothing at other paths', async () => {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'SendMessage', params: saying('word') })
  const other = await stage.gateway.trust.token(alice, audienceOf('planner'))
  const foreign = await stage.gateway.trust.token(bob, agentAudience)
  const codes = []
  for (const ask of [
    { body, token: other },
    { body, token: foreign },
    { body, path: '/v1' },
    { body, path: '?x=1' },
    { method: 'GET' },
    { method: 'GET', path: '/.well-known/agent.json' },
    { body, path: '/.well-known/agent-card.json' },
  ]) {
    const sent = stage.messages.length
    codes.push((await stage.ask(alice, ask)).headers['doorward-code'])
    equal(stage.messages.length, sent)
  }
  deepEqual(codes, [
    'token_audience',
    'token_binding',
    'path_unknown',
    'request_invalid',
    'http_method',
    'path_unknown',
    'http_method',
  ])
})

const rpc = (method: string, params: object) => JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
const modern = { 'A2A-Version': '1.0' }
const said = saying('word').message
const json = JSON.stringify(said)

/** One thing wrong with a message that passes otherwise. */
const wrong: readonly (readonly [
  what: string,
  code: string,
  body: string,
  headers?: Readonly<Record<string, string>>,
])[] = [
  ['refused before it is sent: a method that nobody lists', 'method_unknown', rpc('EvalTask', {}), modern],
  ['refused before it is sent: an MCP method', 'method_unknown', rpc('tools/call', { name: 'x' })],
  ['refused before it is sent: a list of tasks over JSON-RPC of 0.3', 'method_unknown', rpc('tasks/list', {})],
  ['refused before it is sent: the extended card', 'method_unknown', rpc('GetExtendedAgentCard', {}), modern],
  [
    'refused before it is sent: the extended card of 0.3',
    'method_unknown',
    rpc('agent/getAuthenticatedExtendedCard', {}),
  ],
  ['refused before it is sent: a batch', 'message_batch', `[${rpc('SendMessage', { message: said })}]`, modern],
  [
    'refused before it is sent: a notification',
    'notification_unknown',
    `{"jsonrpc":"2.0","method":"SendMessage","params":{"message":${json}}}`,
    modern,
  ],
  [
    'refused before it is sent: a second method',
    'json_duplicate_key',
    `{"jsonrpc":"2.0","id":1,"method":"GetTask","method":"SendMessage","params":{"message":${json}}}`,
    modern,
  ],
  [
    'refused before it is sent: a member that JSON-RPC has not',
    'message_malformed',
    `{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{"message":${json}},"Method":"GetTask"}`,
    modern,
  ],
  [
    'refused before it is sent: a version that is not of the method',
    'protocol_version',
    rpc('SendMessage', { message: said }),
  ],
  [
    'refused before it is sent: another version in the header',
    'protocol_version',
    rpc('SendMessage', { message: said }),
    { 'A2A-Version': '2.0' },
  ],
  [
    'refused before it is sent: a tenant',
    'request_invalid',
    rpc('SendMessage', { message: said, tenant: 'other' }),
    modern,
  ],
  [
    'refused before it is sent: a tenant in other letters',
    'request_invalid',
    rpc('SendMessage', { message: said, Tenant: 'other' }),
    modern,
  ],
  [
    'refused before it is sent: a task by the other name',
    'request_invalid',
    rpc('SendMessage', { message: { ...said, task_id: 't' } }),
    modern,
  ],
  [
    'refused before it is sent: a message by the other name',
    'request_invalid',
    rpc('SendMessage', { Message: said }),
    modern,
  ],
  ['refused before it is sent: a task that is a number', 'request_invalid', rpc('GetTask', { id: 7 }), modern],
  ['refused before it is sent: no task', 'subject_missing', rpc('GetTask', {}), modern],
  [
    'refused before it is sent: another content type',
    'content_type',
    rpc('SendMessage', { message: said }),
    { ...modern, 'Content-Type': 'text/plain' },
  ],
  [
    'refused before it is sent: another character set',
    'content_type',
    rpc('SendMessage', { message: said }),
    { ...modern, 'Content-Type': 'application/json; charset=utf-7' },
  ],
  [
    'refused before it is sent: a URL for notifications',
    'push_notification_refused',
    rpc('SendMessage', {
      message: said,
      configuration: { taskPushNotificationConfig: { url: 'http://169.254.169.254/' } },
    }),
    modern,
  ],
  [
    'refused before it is sent: the same by the other name',
    'request_invalid',
    rpc('SendMessage', {
      message: said,
      configuration: { task_push_notification_config: { url: 'http://169.254.169.254/' } },
    }),
    modern,
  ],
  [
    'refused before it is sent: a URL for notifications of 0.3',
    'push_notification_refused',
    rpc('message/send', { message: said, configuration: { pushNotificationConfig: { url: 'http://127.0.0.1/' } } }),
  ],
  [
    'refused before it is sent: notifications of a task',
    'push_notification_refused',
    rpc('CreateTaskPushNotificationConfig', { taskId: 't', url: 'http://127.0.0.1/' }),
    modern,
  ],
  [
    'refused before it is sent: notifications of a task in 0.3',
    'push_notification_refused',
    rpc('tasks/pushNotificationConfig/set', {}),
  ],
]

for (const [what, code, body, headers = {}] of wrong)
  test(what, async () => {
    await refused(code, () => stage.ask(alice, { body, headers }))
  })

test('a task of another caller does not exist: none of its names is good for anybody else, nor is a bare one', async () => {
  const { id, contextId } = await begun(alice)
  const bare = id.slice(id.lastIndexOf('.') + 1)
  for (const name of [id, bare, `${id}x`, id.replace('dwa.', 'dwa.A')])
    for (const [method, params] of [
      ['GetTask', { id: name }],
      ['CancelTask', { id: name }],
      ['SubscribeToTask', { id: name }],
      ['SendMessage', saying('more', { taskId: name })],
      ['SendMessage', saying('more', { referenceTaskIds: [name] })],
      ['SendStreamingMessage', saying('more', { taskId: name })],
      ['tasks/get', { id: name }],
      ['tasks/resubscribe', { id: name }],
    ] as const) {
      const answer = await refused('handle_unknown', () => stage.call(bob, method, params))
      deepEqual([answer.status, answer.error?.code], [200, -32001])
    }
  await refused('handle_unknown', () => stage.call(bob, 'SendMessage', saying('more', { contextId })))
  await refused('handle_unknown', () => stage.call(bob, 'ListTasks', { contextId }))
  // A name is what it was given for.
  await refused('handle_unknown', () => stage.call(alice, 'GetTask', { id: contextId }))
  equal((await stage.call(alice, 'GetTask', { id })).result?.['id'], id)
  const last = (await stage.gateway.entries()).at(-1)?.body
  deepEqual([last?.['action'], last?.['decision']], ['tasks/get', 'allow'])
})

test('a context that two callers have made up under one name is two contexts', async () => {
  const contexts = []
  for (const svid of [alice, bob]) {
    const { result, text } = await stage.call(svid, 'SendMessage', saying('ask', { contextId: 'shared' }))
    const task = result?.['task'] as { readonly contextId: string } | undefined
    equal(task?.contextId, 'shared', text)
    contexts.push(/"contextId":"([^"]+)"/.exec(stage.messages.at(-1)?.body ?? '')?.[1])
  }
  const [first, second] = contexts
  match(first ?? '', /^dwc\.[\w-]{43}\.shared$/)
  ok(first !== second)
  await refused('handle_unknown', () => stage.call(bob, 'SendMessage', saying('ask', { contextId: first })))
})

test('a list shows each caller its own tasks and counts no others', async () => {
  const own = await begun(alice)
  const others = await begun(bob)
  const listed = async (svid: TestSvid) => {
    const { result, text } = await stage.call(svid, 'ListTasks', { pageSize: 100 })
    ok(result !== undefined, text)
    const tasks = (result?.['tasks'] ?? []) as readonly { readonly id: string }[]
    equal(result?.['totalSize'], tasks.length)
    return tasks.map(({ id }) => id)
  }
  const ofAlice = await listed(alice)
  const ofBob = await listed(bob)
  ok(ofAlice.includes(own.id) && ofBob.includes(others.id))
  const bare = (name: string) => name.slice(name.lastIndexOf('.') + 1)
  const theirs = new Set(ofBob.map(bare))
  ok(!ofAlice.some((name) => theirs.has(bare(name))))
})

test('nothing of the caller goes on but the message: no token, no cookie, no extension', async () => {
  await stage.call(alice, 'SendMessage', saying('word'), {
    Cookie: 'a=b',
    'A2A-Extensions': 'https://example.com/ext/v1',
    'X-Api-Key': 'k',
  })
  const headers = stage.messages.at(-1)?.headers ?? {}
  deepEqual(
    Object.keys(headers).toSorted(),
    ['accept', 'accept-encoding', 'a2a-version', 'connection', 'content-length', 'content-type', 'host', 'user-agent']
      .filter((name) => name in headers)
      .toSorted(),
  )
})

const faulty: readonly (readonly [what: string, type: string, body: (id: string, other: string) => object | string])[] =
  [
    [
      'an agent that answers with another id is not passed on',
      'application/json',
      () => ({ jsonrpc: '2.0', id: 2, result: { message: {} } }),
    ],
    [
      'an agent that answers with two results is not passed on',
      'application/json',
      () => ({ jsonrpc: '2.0', id: 1, result: { message: {}, task: { id: 't' } } }),
    ],
    [
      'an agent that answers with no result is not passed on',
      'application/json',
      () => ({ jsonrpc: '2.0', id: 1, result: {} }),
    ],
    ['an agent that answers with a text is not passed on', 'text/plain', () => 'fine'],
    [
      'an agent that answers in another character set than is read is not passed on',
      'application/json; charset=utf-7',
      (id) => ({ jsonrpc: '2.0', id: 1, result: { task: { id } } }),
    ],
    ['an agent that answers with a page is not passed on', 'text/html', () => '<p>fine</p>'],
    [
      'an agent that answers with a stream that nobody asked for is not passed on',
      'text/event-stream',
      () => 'data: {}\n\n',
    ],
    [
      'an agent that answers with half of a message is not passed on',
      'application/json',
      () => '{"jsonrpc":"2.0","id":1',
    ],
    [
      'an agent that answers with a task of somebody else is not passed on',
      'application/json',
      (_id, other) => ({ jsonrpc: '2.0', id: 1, result: { task: { id: other } } }),
    ],
    [
      'an agent that answers with a reference to one is not passed on',
      'application/json',
      (_id, other) => ({ jsonrpc: '2.0', id: 1, result: { message: { referenceTaskIds: [other] } } }),
    ],
  ]

for (const [what, type, body] of faulty)
  test(what, async () => {
    const own = (name: string) => name.slice(name.lastIndexOf('.') + 1)
    const [mine, others] = [await begun(alice), await begun(bob)]
    stage.agent.answer = (_reached, response) => {
      const text = body(own(mine.id), own(others.id))
      response.setHeader('Content-Type', type)
      response.end(typeof text === 'string' ? text : JSON.stringify(text))
    }
    try {
      const answer = await stage.call(alice, 'SendMessage', saying('word'))
      deepEqual([answer.status, answer.headers['doorward-code']], [502, 'upstream_invalid'], answer.text)
      equal(answer.result, undefined)
      ok(!answer.text.includes(own(others.id)))
    } finally {
      stage.agent.answer = null
    }
  })

test('an agent that answers with another task than was asked about is not passed on', async () => {
  const [one, two] = [await begun(alice), await begun(alice)]
  const own = two.id.slice(two.id.lastIndexOf('.') + 1)
  stage.agent.answer = (_reached, response) =>
    void response
      .setHeader('Content-Type', 'application/json')
      .end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: { id: own } }))
  const answer = await stage.call(alice, 'GetTask', { id: one.id })
  stage.agent.answer = null
  equal(answer.headers['doorward-code'], 'upstream_invalid')
})

const streaming = (text: string) => text.includes('data: ')

test('a stream breaks off at an event with a task of somebody else', async () => {
  const others = await begun(bob)
  const own = others.id.slice(others.id.lastIndexOf('.') + 1)
  const event = (taskId: string) =>
    `data: ${JSON.stringify({ jsonrpc: '2.0', id: 1, result: { statusUpdate: { taskId, contextId: 'c' } } })}\n\n`
  const { promise: seen, resolve: see } = Promise.withResolvers<void>()
  stage.agent.answer = (_reached, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.write(event('new'))
    void seen.then(() => response.write(event(own)))
  }
  const socket = await dial(stage.gateway.connection(alice))
  const body = rpc('SendStreamingMessage', { message: said })
  const text = await talk(socket, await stage.text(alice, { body, headers: modern }), (soFar) => {
    if (streaming(soFar)) see()
    return false
  })
  stage.agent.answer = null
  ok(!text.endsWith('0\r\n\r\n'), text)
  ok(!text.includes(own))
  match(text, /"taskId":"dwa\.[\w-]{43}\.new"/)
})

test('a stream under way ends when its caller loses the role', async () => {
  const demoted = await stage.caller('demoted', 'all')
  const socket = await dial(stage.gateway.connection(demoted))
  const body = rpc('SendStreamingMessage', saying('slow'))
  const text = await talk(socket, await stage.text(demoted, { body, headers: modern }), streaming)
  ok(streaming(text), text)
  const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  stage.gateway.trust.register('agent/demoted', [])
  stage.gateway.trust.apply()
  await stage.gateway.pipeline.review()
  await gone
  const outcome = (await stage.gateway.entries('outcome')).at(-1)?.body
  equal(outcome?.['code'], 'policy_denied')
})
