/** Approvals of messages to agents: bound to all that is said, and not to the id that clients make anew each time they send it. */

import { deepEqual, equal } from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, test } from 'node:test'
import { openAgent, saying } from '../fixtures/agent-stage.ts'
import type { AgentServer } from '../fixtures/agent-stage.ts'
import { ApprovalStage } from '../fixtures/approval-stage.ts'
import { whole } from '../fixtures/backend-stage.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'

let agent: AgentServer
let stage: ApprovalStage

before(async () => {
  agent = await openAgent()
  stage = await ApprovalStage.open({
    backends: { orders: { url: agent.url, methods: ['POST', 'GET'], agent: {}, answerBytes: 200_000 } },
  })
  stage.wait(0)
})

after(async () => {
  await stage.close()
  agent.close()
})

async function send(text: string, messageId: string): Promise<RawAnswer> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'SendMessage', params: saying(text, { messageId }) })
  const token = await stage.gateway.trust.token(stage.agent, 'https://gateway.test.example/a2a/orders')
  const head = [
    'POST /a2a/orders HTTP/1.1',
    `Host: ${stage.gateway.host}`,
    `Authorization: Bearer ${token}`,
    'A2A-Version: 1.0',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ]
  return stage.gateway.raw(stage.agent, `${head.join('\r\n')}\r\n\r\n${body}`, whole)
}

const reached = (text: string) => agent.reached.filter(({ body }) => body.includes(`"text":"${text}"`)).length

/** Nothing of it is at the agent. The request that waits. */
async function waits(text: string, messageId: string): Promise<string> {
  const before = reached(text)
  const answer = await send(text, messageId)
  equal(answer.headers['doorward-code'], 'approval_pending', answer.text)
  equal(reached(text), before)
  const entry = stage.decision(answer)
  deepEqual([entry?.['decision'], entry?.['code']], ['deny', 'approval_pending'])
  return String(entry?.['approval'])
}

test('an approved message passes once under the new id that its client gives it, and any other waits', async () => {
  const id = await waits('word', randomUUID())
  equal(await waits('word', randomUUID()), id, 'the same request waits')
  await stage.approved(stage.alice, id)
  await waits('other', randomUUID())
  const answer = await send('word', randomUUID())
  equal(answer.headers['doorward-code'], 'allowed', answer.text)
  equal(stage.decision(answer)?.['approval'], id)
  equal(reached('word'), 1)
  await waits('word', randomUUID())
})

test('an id that could say something is part of what is approved, and is shown', async () => {
  const id = await waits('pay', 'as agreed')
  equal(JSON.stringify(stage.approvals.store.requests.get(id)).includes('as agreed'), true)
  await stage.approved(stage.alice, id)
  await waits('pay', 'ten times as much')
  await waits('pay', randomUUID())
  equal((await send('pay', 'as agreed')).headers['doorward-code'], 'allowed')
})
