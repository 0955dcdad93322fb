/** The official A2A client through a gateway to the official A2A server. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { SendMessageRequest, TaskState } from '@a2a-js/sdk'
import { AgentStage, agentAudience, saying } from '../fixtures/agent-stage.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

let stage: AgentStage
let caller: TestSvid

before(async () => {
  stage = await AgentStage.open({ all: ['read:planner/*', 'write:planner/*'] })
  caller = await stage.caller('caller', 'all')
})

after(() => stage.close())

const asked = (text: string, more: object = {}) => SendMessageRequest.fromJSON(saying(text, more))

test('the card leads to the gateway, and tasks go on under the names that it gives', async () => {
  const client = await stage.client(caller)
  const shown = await client.getAgentCard()
  equal(shown.name, 'Planner')
  deepEqual(
    shown.supportedInterfaces.map(({ url, protocolVersion }) => [url, protocolVersion]),
    [
      [agentAudience, '1.0'],
      [agentAudience, '0.3'],
    ],
  )
  deepEqual([shown.capabilities?.streaming, shown.capabilities?.pushNotifications], [true, false])

  const word = await client.sendMessage(asked('word'))
  ok('messageId' in word)
  const begun = await client.sendMessage(asked('ask me'))
  ok('status' in begun)
  equal(begun.status?.state, TaskState.TASK_STATE_INPUT_REQUIRED)
  match(begun.id, /^dwa\.[\w-]{43}\.[\w-]+$/)
  const got = await client.getTask({ id: begun.id, tenant: '', historyLength: undefined })
  deepEqual([got.id, got.contextId, got.history[0]?.contextId], [begun.id, begun.contextId, begun.contextId])

  const more = await client.sendMessage(asked('and more', { taskId: begun.id, contextId: begun.contextId }))
  ok('status' in more)
  deepEqual([more.id, more.status?.state], [begun.id, TaskState.TASK_STATE_COMPLETED])
  const last = stage.messages.at(-1)
  const own = begun.id.split('.').at(-1) ?? ''
  ok(last?.body.includes(`"taskId":"${own}"`), last?.body)
  equal(last?.headers.authorization, undefined)
  equal(last?.headers['a2a-version'], '1.0')
})

test('streams come as events, and are taken up again', async () => {
  const client = await stage.client(caller)
  const seen: string[] = []
  const names = new Set<string>()
  for await (const event of client.sendMessageStream(asked('quick'))) {
    seen.push(event.payload?.$case ?? '')
    const { payload } = event
    if (payload?.$case === 'task') names.add(payload.value.id)
    if (payload?.$case === 'statusUpdate') names.add(payload.value.taskId)
  }
  deepEqual(seen, ['task', 'statusUpdate', 'statusUpdate'])
  equal(names.size, 1)

  const slow = client.sendMessageStream(asked('slow'))
  const first = await slow.next()
  const { payload } = first.value ?? {}
  ok(payload?.$case === 'task')
  const again = client.resubscribeTask({ id: payload.value.id, tenant: '' })
  const resumed = await again.next()
  equal(resumed.value?.payload?.$case, 'task')
  const canceled = await client.cancelTask({ id: payload.value.id, tenant: '', metadata: {} })
  equal(canceled.id, payload.value.id)
  await slow.return()
  await again.return()
})

test('callers of A2A 0.3 are served beside those of 1.0', async () => {
  const message = { kind: 'message', messageId: 'm', role: 'user', parts: [{ kind: 'text', text: 'ask' }] }
  const sent = await stage.call(caller, 'message/send', { message })
  const { id, contextId, kind } = sent.result ?? {}
  equal(kind, 'task', sent.text)
  match(String(id), /^dwa\./)
  match(String(contextId), /^dwa\./)
  const got = await stage.call(caller, 'tasks/get', { id })
  equal(got.result?.['id'], id)
  equal(stage.messages.at(-1)?.headers['a2a-version'], '0.3')
})
