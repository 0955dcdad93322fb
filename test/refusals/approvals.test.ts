/**
 * Calls that a human has to approve: nothing reaches the server before, and the approval is good for one call, by this caller,
 * with exactly these arguments. Over real sockets, with a server that remembers what has reached it.
 */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { ApprovalStage, callOf, newPath, until } from '../fixtures/approval-stage.ts'
import { messagesOf } from '../fixtures/gateway-fixture.ts'
import { modern } from '../fixtures/modern-server.ts'
import { dial } from '../fixtures/raw-http.ts'

let stage: ApprovalStage
before(async () => {
  stage = await ApprovalStage.open()
})
after(() => stage.close())
beforeEach(() => stage.wait(0))

test('a call reaches its server once, when somebody has approved exactly it', async () => {
  const [path, id] = await stage.pending()
  const answer = await stage.call(callOf(`{"path":"${path}"}`))
  equal(await stage.refused(answer, 'approval_pending', path), id, 'the same call joins the same request')
  match(answer.body, /team-a can approve the request ap-[0-9a-f]{16} until .*call again with the same arguments/)
  const shown = JSON.parse((await stage.ask(stage.alice, 'GET', `/v1/approvals/request?id=${id}`)).body) as Record<
    string,
    unknown
  >
  deepEqual(shown['arguments'], { name: 'delete_file', arguments: { path } })
  deepEqual([shown['caller'], shown['state']], ['spiffe://test.example/agent/planner', 'pending'])
  await stage.approved(stage.alice, id)
  equal(stage.server.having(path).length, 0)
  stage.passed(await stage.call(callOf(`{"path":"${path}"}`)), path, id)
  const another = await stage.call(callOf(`{"path":"${path}"}`))
  equal(another.headers['doorward-code'], 'approval_pending')
  equal(stage.server.having(path).length, 1)
  deepEqual(await stage.events(id), ['requested', 'approved'])
})

test('a call of the modern era is answered with a result that says so, and passes once it is approved', async () => {
  const path = newPath()
  const send = () =>
    stage.gateway.rpc(
      stage.agent,
      'files',
      modern('tools/call', { params: { name: 'delete_file', arguments: { path } } }),
    )
  const answer = await send()
  const id = await stage.refused(answer, 'approval_pending', path)
  equal(messagesOf(answer)[0]?.result?.['resultType'], 'complete')
  await stage.approved(stage.alice, id)
  stage.passed(await send(), path, id)
})

describe('an approval is bound to exactly what was asked for', () => {
  const others: Readonly<Record<string, (path: string) => string>> = {
    'one more byte': (path) => callOf(`{"path":"${path}0","n":1}`),
    'a number that is written otherwise': (path) => callOf(`{"path":"${path}","n":1.0}`),
    'another type': (path) => callOf(`{"path":"${path}","n":"1"}`),
    'one more argument': (path) => callOf(`{"path":"${path}","n":1,"force":true}`),
    'another tool': (path) => callOf(`{"path":"${path}","n":1}`, 'delete_all'),
    'something that only the server understands': (path) =>
      callOf(`{"path":"${path}","n":1}`, 'delete_file', ',"_meta":{"vendor/force":true}'),
    'run as a task': (path) => callOf(`{"path":"${path}","n":1}`, 'delete_file', ',"task":{"ttl":1000}'),
  }
  for (const [what, other] of Object.entries(others)) {
    test(`${what} needs another approval`, async () => {
      const path = newPath()
      const right = () => callOf(`{"path":"${path}","n":1}`)
      const id = await stage.refused(await stage.call(right()), 'approval_pending', path)
      await stage.approved(stage.alice, id)
      const another = await stage.refused(await stage.call(other(path)), 'approval_pending', path)
      ok(another !== id)
      stage.passed(await stage.call(right()), path, id)
    })
  }

  test('numbers that no double can tell apart are two calls', async () => {
    const path = newPath()
    const id = await stage.refused(
      await stage.call(callOf(`{"path":"${path}","n":9007199254740992}`)),
      'approval_pending',
      path,
    )
    await stage.approved(stage.alice, id)
    await stage.refused(await stage.call(callOf(`{"path":"${path}","n":9007199254740993}`)), 'approval_pending', path)
  })

  test('what names the exchange, and how members are ordered and spelled, is nothing that is asked for', async () => {
    const path = newPath()
    const id = await stage.refused(await stage.call(callOf(`{"path":"${path}","n":1}`)), 'approval_pending', path)
    await stage.approved(stage.alice, id)
    const spelled = path.replace('c', String.raw`\u0063`)
    const body = callOf(`{ "n" : 1, "path":"${spelled}"}`, 'delete_file', ',"_meta":{"progressToken":7}')
    const answer = await stage.call(body)
    equal(answer.headers['doorward-code'], 'allowed', answer.text)
    equal(stage.server.having(spelled).length, 1)
  })

  test('another caller with the same call needs an approval of its own', async () => {
    const path = newPath()
    const other = await stage.caller('agent/other')
    const id = await stage.refused(await stage.call(callOf(`{"path":"${path}"}`)), 'approval_pending', path)
    await stage.approved(stage.alice, id)
    const theirs = await stage.refused(await stage.call(callOf(`{"path":"${path}"}`), other), 'approval_pending', path)
    ok(theirs !== id)
  })
})

test('fifty calls at the same time make one request, and one of them passes', async () => {
  stage.wait(20_000)
  const path = newPath()
  const before = stage.approvals.store.requests.size
  const answers = Promise.all(Array.from({ length: 50 }, () => stage.call(callOf(`{"path":"${path}"}`))))
  const id = await stage.newest(50)
  equal(stage.approvals.store.requests.size, before + 1)
  equal(stage.server.having(path).length, 0)
  await stage.approved(stage.alice, id)
  const codes = (await answers).map(({ headers }) => headers['doorward-code'] ?? '')
  equal(codes.filter((code) => code === 'allowed').length, 1)
  equal(codes.filter((code) => code === 'approval_pending').length, 49)
  equal(stage.server.having(path).length, 1)
})

test('a call that waits goes on with the answer, or is told that somebody has denied it', async () => {
  stage.wait(20_000)
  for (const approve of [true, false]) {
    const path = newPath()
    const answer = stage.call(callOf(`{"path":"${path}"}`))
    const id = await stage.newest()
    equal((await stage.decide(stage.alice, id, approve)).status, 200)
    if (approve) stage.passed(await answer, path, id)
    else {
      equal(await stage.refused(await answer, 'approval_denied', path), id)
      ok(!(await answer).text.includes('alice'), 'who has denied it is nobody\u0027s business')
      equal(await stage.refused(await stage.call(callOf(`{"path":"${path}"}`)), 'approval_denied', path), id)
      deepEqual(await stage.events(id), ['requested', 'denied'])
    }
  }
})

test('whoever goes away while it waits leaves a request that can still be approved', async () => {
  stage.wait(20_000)
  const path = newPath()
  const socket = await dial(stage.gateway.connection(stage.agent))
  socket.write(
    await stage.gateway.request(stage.agent, 'files', { session: stage.session, body: callOf(`{"path":"${path}"}`) }),
  )
  const id = await stage.newest()
  socket.destroy()
  await until(() => stage.approvals.desk.counts().waiting === 0)
  await stage.approved(stage.alice, id)
  equal(stage.server.having(path).length, 0)
  stage.passed(await stage.call(callOf(`{"path":"${path}"}`)), path, id)
})

describe('who may not approve', () => {
  test('the caller itself, though it is in the group', async () => {
    const both = await stage.caller('agent/both')
    const path = newPath()
    const id = await stage.refused(await stage.call(callOf(`{"path":"${path}"}`), both), 'approval_pending', path)
    const answer = await stage.decide(both.svid, id)
    deepEqual([answer.status, answer.headers['doorward-code']], [403, 'approver_refused'])
    await stage.refused(await stage.call(callOf(`{"path":"${path}"}`), both), 'approval_pending', path)
    await stage.approved(stage.alice, id)
    stage.passed(await stage.call(callOf(`{"path":"${path}"}`), both), path, id)
  })

  test('an administrator who is in no group: neither answers nor sees anything', async () => {
    const admin = await stage.gateway.trust.issue('service/admin', { roles: ['admin', 'all'] })
    const [path, id] = await stage.pending()
    for (const answer of [
      await stage.decide(admin, id),
      await stage.ask(admin, 'GET', '/v1/approvals'),
      await stage.ask(admin, 'GET', `/v1/approvals/request?id=${id}`),
      await stage.decide(stage.agent, id),
    ]) {
      deepEqual([answer.status, answer.headers['doorward-code']], [403, 'approver_refused'], answer.text)
      ok(!answer.text.includes(path))
    }
    await stage.refused(await stage.call(callOf(`{"path":"${path}"}`)), 'approval_pending', path)
  })

  test('a member of another group', async () => {
    const path = newPath()
    const id = await stage.refused(await stage.call(callOf(`{"to":"${path}"}`, 'send')), 'approval_pending', path)
    equal((await stage.decide(stage.alice, id)).headers['doorward-code'], 'resource_unknown')
    await stage.approved(stage.bob, id)
    stage.passed(await stage.call(callOf(`{"to":"${path}"}`, 'send')), path, id)
  })

  test('somebody who has looked at another call', async () => {
    const [path, id] = await stage.pending()
    const [, other] = await stage.pending()
    const answer = await stage.decide(stage.alice, id, true, stage.digestOf(other))
    deepEqual([answer.status, answer.headers['doorward-code']], [409, 'conflict'])
    await stage.refused(await stage.call(callOf(`{"path":"${path}"}`)), 'approval_pending', path)
  })

  test('a second one, once somebody has answered', async () => {
    const [path, id] = await stage.pending()
    equal((await stage.decide(stage.alice, id, false)).status, 200)
    equal((await stage.decide(stage.bob, id, true)).headers['doorward-code'], 'conflict')
    await stage.refused(await stage.call(callOf(`{"path":"${path}"}`)), 'approval_denied', path)
  })
})

test('what a permit and a rule ask for is asked of both groups, whatever else permits the call', async () => {
  await stage.changePolicy({
    approvals: {
      groups: ['team-a', 'team-b'],
      rules: [{ permission: 'tools/call:files/send', by: 'team-a' }],
    },
  })
  const path = newPath()
  const id = await stage.refused(await stage.call(callOf(`{"to":"${path}"}`, 'send')), 'approval_pending', path)
  equal((await stage.decide(stage.alice, id)).body, JSON.stringify({ results: [{ id, outcome: 'waiting' }] }))
  await stage.refused(await stage.call(callOf(`{"to":"${path}"}`, 'send')), 'approval_pending', path)
  await stage.approved(stage.bob, id)
  stage.passed(await stage.call(callOf(`{"to":"${path}"}`, 'send')), path, id)
  await stage.changePolicy({})
})
