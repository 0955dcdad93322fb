/**
 * A call that waits for a human tells whoever has asked for progress what it waits for, and nobody else; a caller that goes or
 * cancels ends the wait, and its call goes nowhere, whatever is approved then.
 */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ApprovalStage, callOf, newPath, until } from '../fixtures/approval-stage.ts'
import { audienceOf, messagesOf } from '../fixtures/gateway-fixture.ts'
import type { RpcMessage } from '../fixtures/gateway-fixture.ts'
import { modern } from '../fixtures/modern-server.ts'
import { complete, dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'

const MINUTE = 60_000
let stage: ApprovalStage
before(async () => {
  stage = await ApprovalStage.open({ keepAliveMilliseconds: 50 })
})
after(() => stage.close())
beforeEach(() => stage.wait(MINUTE))

const tokenOf = (token: string | number) => `,"_meta":{"progressToken":${JSON.stringify(token)}}`
const legacy = (path: string, meta = '') => ({
  session: stage.session,
  body: callOf(`{"path":"${path}"}`, 'delete_file', meta),
})
const later = (path: string, meta: object = {}) => {
  const { body, headers = {} } = modern('tools/call', { params: { name: 'delete_file', arguments: { path } } })
  const message = JSON.parse(body) as { params: { _meta: object } }
  const params = { ...message.params, _meta: { ...message.params._meta, ...meta } }
  return { body: JSON.stringify({ ...message, params }), headers }
}

/** Every request that is waited for has a socket of its own; resolves with all of the answer. */
async function begun(rpc: { readonly body: string }) {
  const socket = await dial(stage.gateway.connection(stage.agent))
  const heard = { text: '' }
  const answer = talk(socket, await stage.gateway.request(stage.agent, 'files', rpc), (soFar) => {
    heard.text = soFar
    return soFar.endsWith('0\r\n\r\n') || /content-length: \d+[^]*\r\n\r\n[^]*\}$/i.test(soFar)
  }).then(parseAnswer)
  answer.catch(() => undefined)
  const id = await stage.newest()
  return { socket, heard, answer, id }
}

const notices = (answer: RawAnswer): readonly RpcMessage[] =>
  messagesOf(answer).filter(({ method }) => method === 'notifications/progress')

function judge(answer: RawAnswer, { token, id, secret }: { token: string | number; id: string; secret: string }): void {
  const told = notices(answer)
  ok(told.length >= 3, answer.text)
  const values = told.map(({ params }) => Number(params?.['progress']))
  ok(
    values.every((value, i) => value < 0 && (i === 0 || value > (values[i - 1] ?? 0))),
    String(values),
  )
  for (const { params } of told) {
    equal(params?.['progressToken'], token)
    match(
      String(params?.['message']),
      new RegExp(`^waits until team-a has answered the request ${id}, .*\\d{4}-\\d\\d-`),
    )
  }
  ok(!JSON.stringify(told).includes(secret))
}

describe('with a progress token', () => {
  for (const [era, request] of [
    ['of a session', (path: string) => legacy(path, tokenOf('tok-1'))],
    ['of the modern era', (path: string) => later(path, { progressToken: 'tok-1' })],
  ] as const)
    test(`a call ${era} is told what it waits for, and then has its answer`, async () => {
      const path = newPath()
      const { heard, answer, id } = await begun(request(path))
      await until(() => heard.text.split('notifications/progress').length > 3)
      equal(stage.server.having(path).length, 0)
      await stage.approved(stage.alice, id)
      const whole = await answer
      equal(whole.status, 200)
      judge(whole, { token: 'tok-1', id, secret: path })
      const last = messagesOf(whole).at(-1)
      deepEqual([last?.result?.['content'], last?.result?.['isError']], [[], undefined])
      equal(stage.server.having(path).length, 1)
      match(whole.body, /^: doorward-decision test\.example\/gateway\/main#\d+$/m)
    })

  for (const [era, request] of [
    ['of a session', (path: string) => legacy(path, tokenOf(7))],
    ['of the modern era', (path: string) => later(path, { progressToken: 7 })],
  ] as const)
    test(`a call ${era} that is denied hears that on the same stream`, async () => {
      const path = newPath()
      const { heard, answer, id } = await begun(request(path))
      await until(() => heard.text.split('notifications/progress').length > 3)
      await stage.decide(stage.alice, id, false)
      const whole = await answer
      judge(whole, { token: 7, id, secret: path })
      const last = messagesOf(whole).at(-1)
      equal(last?.result?.['isError'], true, whole.text)
      deepEqual((last.result['_meta'] as Record<string, string>)['doorward/code'], 'approval_denied')
      equal(stage.server.having(path).length, 0)
    })
})

test('a call over HTTP+SSE of 2024-11-05 hears it on its stream, and then its answer', async () => {
  const asked = async (method: string, target: string, body = '') => {
    const token = await stage.gateway.trust.token(stage.agent, audienceOf('files'))
    const content = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`
    const head = `${method} ${target} HTTP/1.1\r\nHost: ${stage.gateway.host}\r\nAuthorization: Bearer ${token}\r\n`
    return `${head}Accept: text/event-stream\r\n${method === 'POST' ? content : ''}\r\n${body}`
  }
  const socket = await dial(stage.gateway.connection(stage.agent))
  let text = await talk(socket, await asked('GET', '/sse/files'), (soFar) => soFar.includes('\ndata: '))
  socket.on('data', (part: Buffer) => (text += part.toString('latin1')))
  const endpoint = /event: endpoint\ndata: (\S+)/.exec(text)?.[1] ?? ''
  const post = async (body: string) => {
    const answer = await stage.gateway.raw(stage.agent, await asked('POST', endpoint, body), complete)
    equal(answer.status, 202, answer.text)
  }
  const params = { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
  await post(JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params }))
  const path = newPath()
  await post(callOf(`{"path":"${path}"}`, 'delete_file', tokenOf('tok-5')))
  const id = await stage.newest()
  await until(() => text.split('notifications/progress').length > 3)
  ok(text.includes(`the request ${id}`))
  equal(stage.server.having(path).length, 0)
  const before = text.length
  await stage.approved(stage.alice, id)
  await until(() => text.slice(before).includes('"content":[]'))
  equal(stage.server.having(path).length, 1)
  socket.destroy()
})

test('without a progress token nothing is told before the answer', async () => {
  for (const rpc of [legacy(newPath()), later(newPath())]) {
    const { heard, answer, id } = await begun(rpc)
    await sleep(200)
    equal(heard.text, '')
    await stage.approved(stage.alice, id)
    const whole = await answer
    equal(whole.headers['doorward-code'], 'allowed', whole.text)
    deepEqual(notices(whole), [])
  }
})

test('a call that does not wait is answered without a stream, whatever it asks for', async () => {
  stage.wait(0)
  const path = newPath()
  const answer = await stage.call(callOf(`{"path":"${path}"}`, 'delete_file', tokenOf('tok-2')))
  equal(answer.headers['content-type'], 'application/json')
  await stage.refused(answer, 'approval_pending', path)
})

/** What the record says of the wait that has ended, and that an approval after it sets nothing going. */
async function ended(path: string, id: string): Promise<void> {
  await until(() => stage.approvals.desk.counts().waiting === 0)
  const decisions = await stage.gateway.entries()
  const { body } = decisions.findLast((entry) => entry.body['approval'] === id) ?? {}
  deepEqual([body?.['decision'], body?.['code']], ['deny', 'approval_pending'])
  match(JSON.stringify(body), /waits no longer, or has cancelled/)
  await stage.approved(stage.alice, id)
  await sleep(100)
  equal(stage.server.having(path).length, 0)
}

test('a call of a session that is cancelled waits no longer, and its server hears of neither', async () => {
  const path = newPath()
  const rpc = legacy(path, tokenOf('tok-3'))
  const { heard, answer, id } = await begun(rpc)
  await until(() => heard.text.includes('notifications/progress'))
  const { id: requestId } = JSON.parse(rpc.body) as { id: number }
  const reached = stage.server.reached.length
  const cancel = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } })
  const told = await stage.call(cancel)
  equal(told.status, 202, told.text)
  await answer
  await ended(path, id)
  equal(stage.server.reached.length, reached)
  // What was approved is there for the next call.
  stage.passed(await stage.call(callOf(`{"path":"${path}"}`)), path, id)
})

test('a call of the modern era ends its wait by closing the stream', async () => {
  const path = newPath()
  const { socket, heard, id } = await begun(later(path, { progressToken: 'tok-4' }))
  await until(() => heard.text.includes('notifications/progress'))
  socket.destroy()
  await ended(path, id)
})

test('nobody else cancels it: neither another session nor another caller', async () => {
  const path = newPath()
  const rpc = legacy(path)
  const { answer, id } = await begun(rpc)
  const { id: requestId } = JSON.parse(rpc.body) as { id: number }
  const cancel = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } })
  const other = await stage.caller('agent/other')
  await stage.call(cancel, other)
  await stage.call(cancel, { svid: stage.agent, session: await stage.gateway.initialize(stage.agent, 'files') })
  equal(stage.approvals.desk.counts().waiting, 1)
  await stage.approved(stage.alice, id)
  stage.passed(await answer, path, id)
})
