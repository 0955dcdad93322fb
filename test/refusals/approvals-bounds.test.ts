/**
 * What becomes of approvals with time, with what changes meanwhile, over a restart, and where something fails: no call passes
 * that nobody has approved as it is. Over real sockets, with a server that remembers what has reached it.
 */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { ApprovalStage, callOf, newPath } from '../fixtures/approval-stage.ts'
import { complete } from '../fixtures/raw-http.ts'

let stage: ApprovalStage
before(async () => {
  stage = await ApprovalStage.open()
})
after(() => stage.close())
beforeEach(() => stage.wait(0))

describe('an approval is good for a while', () => {
  test('a request that nobody has answered in time', async () => {
    const [path, id] = await stage.pending()
    stage.approvals.ahead = 600_001
    await stage.approvals.desk.sweep()
    equal((await stage.decide(stage.alice, id, true, 'x')).headers['doorward-code'], 'resource_unknown')
    stage.approvals.ahead = 0
    deepEqual(await stage.events(id), ['requested', 'expired'])
    ok((await stage.refused(await stage.call(callOf(`{"path":"${path}"}`)), 'approval_pending', path)) !== id)
  })

  test('an approval that no call has used in time', async () => {
    const [path, id] = await stage.pending()
    await stage.approved(stage.alice, id)
    stage.approvals.ahead = 600_001
    ok((await stage.refused(await stage.call(callOf(`{"path":"${path}"}`)), 'approval_pending', path)) !== id)
    stage.approvals.ahead = 0
    deepEqual(await stage.events(id), ['requested', 'approved', 'expired'])
  })
})

describe('everything is decided anew once somebody has been waited for', () => {
  test('the policy does not allow the call any more', async () => {
    stage.wait(20_000)
    const path = newPath()
    const answer = stage.call(callOf(`{"path":"${path}"}`))
    const id = await stage.newest()
    await stage.changePolicy({ roles: [{ role: 'all', permissions: ['read'] }] })
    await stage.approved(stage.alice, id)
    const { decision, code } = stage.decision(await answer) ?? {}
    deepEqual([decision, code], ['deny', 'policy_denied'])
    equal(stage.server.having(path).length, 0)
    await stage.changePolicy({})
  })

  test('the caller has been revoked', async () => {
    stage.wait(20_000)
    const doomed = await stage.caller('agent/doomed')
    const path = newPath()
    const answer = stage.call(callOf(`{"path":"${path}"}`), doomed)
    const id = await stage.newest()
    stage.revoke(doomed.svid)
    await stage.approved(stage.alice, id)
    equal((await answer).headers['doorward-code'], 'identity_denied')
    equal(stage.server.having(path).length, 0)
  })

  test('whoever has approved has been revoked, or is in the group no longer', async () => {
    const carol = await stage.gateway.trust.issue('operator/carol')
    const [path, id] = await stage.pending()
    await stage.approved(carol, id)
    stage.revoke(carol)
    ok((await stage.refused(await stage.call(callOf(`{"path":"${path}"}`)), 'approval_pending', path)) !== id)
    deepEqual(await stage.events(id), ['requested', 'approved', 'withdrawn'])
    const { groups } = stage.approvals.settings
    const [other, second] = await stage.pending()
    await stage.approved(stage.alice, second)
    const empty = { workloads: [], users: new Set<string>(), links: false }
    stage.approvals.settings = { ...stage.approvals.settings, groups: new Map([...groups, ['team-a', empty]]) }
    ok((await stage.refused(await stage.call(callOf(`{"path":"${other}"}`)), 'approval_pending', other)) !== second)
    stage.approvals.settings = { ...stage.approvals.settings, groups }
  })
})

describe('a gateway that starts again', () => {
  test('knows what waited, and what was approved', async () => {
    const [path, id] = await stage.pending()
    const [other, second] = await stage.pending()
    await stage.approved(stage.alice, second)
    stage.approvals.open(stage.gateway.record, stage.gateway.trust.holder)
    equal(await stage.refused(await stage.call(callOf(`{"path":"${path}"}`)), 'approval_pending', path), id)
    await stage.approved(stage.alice, id)
    stage.approvals.open(stage.gateway.record, stage.gateway.trust.holder)
    stage.passed(await stage.call(callOf(`{"path":"${path}"}`)), path, id)
    stage.passed(await stage.call(callOf(`{"path":"${other}"}`)), other, second)
  })

  test('does not know an approval that a call has used', async () => {
    const [path, id] = await stage.pending()
    await stage.approved(stage.alice, id)
    stage.passed(await stage.call(callOf(`{"path":"${path}"}`)), path, id)
    stage.approvals.open(stage.gateway.record, stage.gateway.trust.holder)
    equal((await stage.call(callOf(`{"path":"${path}"}`))).headers['doorward-code'], 'approval_pending')
    equal(stage.server.having(path).length, 1)
  })
})

describe('where nothing can be kept, nothing passes', () => {
  test('the folder cannot be written', async () => {
    const [path, id] = await stage.pending()
    await stage.approved(stage.alice, id)
    stage.approvals.store.broken = true
    const fresh = newPath()
    for (const [what, body] of [
      [path, callOf(`{"path":"${path}"}`)],
      [fresh, callOf(`{"path":"${fresh}"}`)],
    ] as const) {
      const answer = await stage.call(body)
      equal(answer.headers['doorward-code'], 'approval_unavailable', answer.text)
      equal(stage.server.having(what).length, 0)
    }
    stage.approvals.store.broken = false
    stage.passed(await stage.call(callOf(`{"path":"${path}"}`)), path, id)
  })

  test('the record takes neither requests nor answers', async () => {
    const [path, id] = await stage.pending()
    const append = stage.gateway.record.append.bind(stage.gateway.record)
    stage.gateway.record.append = (entry) =>
      entry.kind === 'approval' ? Promise.reject(new Error('full')) : append(entry)
    ok((await stage.decide(stage.alice, id)).status >= 500)
    const fresh = newPath()
    equal((await stage.call(callOf(`{"path":"${fresh}"}`))).headers['doorward-code'], 'approval_unavailable')
    stage.gateway.record.append = append
    await stage.refused(await stage.call(callOf(`{"path":"${path}"}`)), 'approval_pending', path)
    await stage.approved(stage.alice, id)
    stage.passed(await stage.call(callOf(`{"path":"${path}"}`)), path, id)
  })

  test('the decision cannot be recorded: the approval is not used up', async () => {
    const [path, id] = await stage.pending()
    await stage.approved(stage.alice, id)
    const append = stage.gateway.record.append.bind(stage.gateway.record)
    stage.gateway.record.append = (entry) =>
      'approval' in entry.body && entry.kind === 'decision' ? Promise.reject(new Error('full')) : append(entry)
    equal((await stage.call(callOf(`{"path":"${path}"}`))).headers['doorward-code'], 'record_unavailable')
    equal(stage.server.having(path).length, 0)
    stage.gateway.record.append = append
    stage.passed(await stage.call(callOf(`{"path":"${path}"}`)), path, id)
  })
})

test('what is more than anybody can look at is not asked for', async () => {
  const path = newPath()
  const many = Array.from({ length: 2000 }, (_, i) => `"${path}-${i}"`).join(',')
  const answer = await stage.call(callOf(`{"paths":[${many}]}`))
  equal(answer.headers['doorward-code'], 'approval_unavailable', answer.text)
  equal(stage.server.having(path).length, 0)
})

test('secrets are taken out of what approvers see, and a long text does not hide the others', async () => {
  const path = newPath()
  const token = `ghp_${'a1B2'.repeat(9)}`
  const id = await stage.refused(
    await stage.call(callOf(`{"a":"${'x'.repeat(9000)}","note":"use ${token}","path":"${path}"}`)),
    'approval_pending',
    path,
  )
  const { text } = await stage.ask(stage.alice, 'GET', `/v1/approvals/request?id=${id}`)
  ok(!text.includes(token) && text.includes('[redacted]') && text.includes(path))
  match(text, /x[^x]{1,5}\(9000 characters, SHA-256 [0-9a-f]{64}\)/)
  ok(!JSON.stringify([...stage.approvals.store.requests.values()]).includes(token))
})

test('sessions and lists need nobody, and show what could be approved', async () => {
  const answer = await stage.call('{"jsonrpc":"2.0","id":7,"method":"tools/list"}')
  equal(answer.headers['doorward-code'], 'allowed')
  match(answer.body, /delete_file/)
})

test('a request to a plain service is bound to method, path, query, headers and body', async () => {
  const path = newPath()
  const send = async (query: string, body: string) => {
    const token = await stage.gateway.trust.token(stage.agent, 'https://gateway.test.example/http/orders')
    const head = `POST /http/orders${path}${query} HTTP/1.1\r\nHost: ${stage.gateway.host}\r\nAuthorization: Bearer ${token}\r\n`
    const content = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
    return stage.gateway.raw(stage.agent, head + content, (text) => complete(text) || text.endsWith('0\r\n\r\n'))
  }
  const body = `{"id":1,"order":"${path}"}`
  const answer = await send('', body)
  deepEqual([answer.status, answer.headers['doorward-code']], [403, 'approval_pending'], answer.text)
  const { error } = JSON.parse(answer.body) as { error: { details: { approval: { id: string; by: string[] } } } }
  deepEqual(error.details.approval.by, ['team-a'])
  await stage.approved(stage.alice, error.details.approval.id)
  for (const other of [await send('?force=1', body), await send('', body.replace('1', '2'))])
    equal(other.headers['doorward-code'], 'approval_pending')
  equal(stage.server.having(path).length, 0)
  const done = await send('', body)
  equal(done.headers['doorward-code'], 'allowed', done.text)
  equal(stage.server.having(path).length, 1)
})

test('a call of plain JSON-RPC is bound to all of its params, and all of them are shown', async () => {
  const path = newPath()
  const token = await stage.gateway.trust.token(stage.agent, 'https://gateway.test.example/http/ledger')
  const send = (params: object, id = 1) => {
    const body = JSON.stringify({ jsonrpc: '2.0', id, method: 'account.transfer', params })
    const head = `POST /http/ledger/ HTTP/1.1\r\nHost: ${stage.gateway.host}\r\nAuthorization: Bearer ${token}\r\n`
    const content = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
    return stage.gateway.raw(stage.agent, head + content, (text) => complete(text) || text.endsWith('0\r\n\r\n'))
  }
  const params = { to: path, _meta: { progressToken: 'ours', 'io.modelcontextprotocol/to': 'us' } }
  const answer = await send(params)
  equal(answer.headers['doorward-code'], 'approval_pending', answer.text)
  const id = String(stage.decision(answer)?.['approval'])
  const request = await stage.ask(stage.alice, 'GET', `/v1/approvals/request?id=${id}`)
  deepEqual((JSON.parse(request.body) as { readonly arguments: unknown }).arguments, params)
  await stage.approved(stage.alice, id)
  for (const _meta of [undefined, { ...params._meta, progressToken: 'theirs' }, { ...params._meta, traceparent: 'x' }])
    equal((await send({ ...params, _meta })).headers['doorward-code'], 'approval_pending')
  equal(stage.server.having(path).length, 0)
  stage.passed(await send(params, 2), path, id)
})

test('one caller has so many requests, and others have theirs', async () => {
  const busy = await stage.caller('agent/busy')
  for (let i = 0; i < 16; i++) {
    const path = newPath()
    await stage.refused(await stage.call(callOf(`{"path":"${path}"}`), busy), 'approval_pending', path)
  }
  const path = newPath()
  await stage.refused(await stage.call(callOf(`{"path":"${path}"}`), busy), 'approval_limit', path)
  await stage.pending()
})

test('after three denials of one caller and tool nobody is asked for a while', async () => {
  const pushy = await stage.caller('agent/pushy')
  for (let i = 0; i < 3; i++) {
    const path = newPath()
    const id = await stage.refused(await stage.call(callOf(`{"path":"${path}"}`), pushy), 'approval_pending', path)
    equal((await stage.decide(stage.alice, id, false)).status, 200)
  }
  const path = newPath()
  const before = stage.approvals.store.requests.size
  const answer = await stage.call(callOf(`{"path":"${path}"}`), pushy)
  await stage.refused(answer, 'approval_cooling', path)
  ok(Number(answer.headers['retry-after']) > 500)
  equal(stage.approvals.store.requests.size, before)
  const other = newPath()
  await stage.refused(await stage.call(callOf(`{"path":"${other}"}`, 'delete_all'), pushy), 'approval_pending', other)
  stage.approvals.ahead = 600_001
  await stage.refused(await stage.call(callOf(`{"path":"${path}"}`), pushy), 'approval_pending', path)
  stage.approvals.ahead = 0
  equal((await stage.gateway.entries('approval')).filter(({ body }) => body['event'] === 'cooling').length, 1)
})
