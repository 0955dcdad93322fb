/** Names of tasks and contexts: whose they are is learned from what was permitted and passed on, and from nothing else. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, beforeEach, mock, test } from 'node:test'
import { TaskOwners } from '@doorward/enforcement'
import { AgentStage, saying } from '../fixtures/agent-stage.ts'
import type { RpcAnswer } from '../fixtures/agent-stage.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

let stage: AgentStage
let alice: TestSvid
let bob: TestSvid
const owners = new TaskOwners()
const note = mock.method(owners, 'note')

before(async () => {
  const all = ['read:planner/*', 'write:planner/*']
  stage = await AgentStage.open({ all, reader: ['read:planner/*'] }, { agent: { owners } })
  alice = await stage.caller('alice', 'all')
  bob = await stage.caller('bob', 'all')
})

after(() => stage.close())
beforeEach(() => {
  stage.agent.answer = null
})

/** What the agent answers from now on, to whatever it is asked. */
function answering(result: (body: string) => object): void {
  stage.agent.answer = ({ body }, response) =>
    void response
      .setHeader('Content-Type', 'application/json')
      .end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: result(body) }))
}

const code = ({ headers }: RpcAnswer) => headers['doorward-code']
const bare = (name: string) => name.slice(name.lastIndexOf('.') + 1)

async function begun(svid: TestSvid): Promise<{ readonly id: string; readonly contextId: string }> {
  const { result, text } = await stage.call(svid, 'SendMessage', saying('ask'))
  const task = result?.['task'] as { readonly id: string; readonly contextId: string } | undefined
  ok(task !== undefined, text)
  return task
}

test('what a caller names without a permission is remembered for nobody', async () => {
  const reader = await stage.caller('reader', 'reader')
  const send = (svid: TestSvid) => stage.call(svid, 'SendMessage', saying('word', { contextId: 'plans' }))
  note.mock.resetCalls()
  equal(code(await send(reader)), 'policy_denied')
  equal(note.mock.callCount(), 0)
  equal(code(await send(alice)), 'allowed')
  ok(note.mock.callCount() > 0)
})

test('an answer that is not passed on makes nothing anybody’s', async () => {
  const { contextId } = await begun(bob)
  answering(() => ({ task: { id: 'fresh', contextId: bare(contextId) } }))
  const broken = await stage.call(alice, 'SendMessage', saying('word'))
  deepEqual([broken.status, code(broken), broken.result], [502, 'upstream_invalid', undefined])
  ok(!broken.text.includes('fresh'))
  const passed = await stage.call(bob, 'SendMessage', saying('word'))
  equal(code(passed), 'allowed', passed.text)
  // From here on it is.
  answering(() => ({ task: { id: 'fresh' } }))
  equal(code(await stage.call(alice, 'SendMessage', saying('word'))), 'upstream_invalid')
})

test('whatever name passes one way passes back, and a longer one does not pass at all', async () => {
  const [long, longer] = ['t'.repeat(976), 't'.repeat(977)]
  const task = async (id: string) => {
    answering(() => ({ task: { id } }))
    return stage.call(alice, 'SendMessage', saying('word'))
  }
  equal(code(await task(longer)), 'upstream_invalid')
  const given = (await task(long)).result?.['task'] as { readonly id: string } | undefined
  ok(given !== undefined)
  const { id } = given
  equal(id.length, 1024)
  answering(() => ({ id: long }))
  equal((await stage.call(alice, 'GetTask', { id })).result?.['id'], id)

  const sent = stage.messages.length
  const named = (contextId: string) => stage.call(alice, 'SendMessage', saying('word', { contextId }))
  equal(code(await named(longer)), 'request_invalid')
  equal(stage.messages.length, sent)
  answering((body) => ({ message: { contextId: /"contextId":"([^"]+)"/.exec(body)?.[1] } }))
  const told = (await named(long)).result?.['message'] as { readonly contextId: string } | undefined
  equal(told?.contextId, long)
})
