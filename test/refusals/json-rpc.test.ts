/** Services of plain JSON-RPC: the method of the body is what is called, and what is not declared does not exist. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { BackendStage } from '../fixtures/backend-stage.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

let stage: BackendStage
let reader: TestSvid
let narrow: TestSvid

const answer = '{"jsonrpc":"2.0","id":1,"result":1e400}'

before(async () => {
  stage = await BackendStage.open(
    { reader: ['read:orders/*'], narrow: ['rpc/call:orders/account.tr*'] },
    { methods: ['POST'], rpc: { 'account.balance': 'read', 'account.transfer': 'write' } },
  )
  stage.tap.answer = (socket) =>
    void socket.write(
      `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${answer.length}\r\n\r\n${answer}`,
    )
  reader = await stage.gateway.trust.issue('agent/reader', { roles: ['reader'] })
  narrow = await stage.gateway.trust.issue('agent/narrow', { roles: ['narrow'] })
})

after(() => stage.close())

const json = { 'Content-Type': 'application/json' }
const call = (method: string, more = '') => `{"jsonrpc":"2.0","id":1,"method":"${method}","params":[1]${more}}`
const ask = (
  svid: TestSvid,
  body: string,
  target = '/http/orders/',
  headers: Readonly<Record<string, string>> = json,
) => stage.ask(svid, target, { method: 'POST', body, headers })

test('a declared method is allowed by its effect or its name, and sent to the one URL as it came', async () => {
  const read = await ask(reader, call('account.balance'))
  deepEqual([read.status, read.headers['doorward-code']], [200, 'allowed'])
  ok(read.body.includes(answer), read.body)
  const { head, body } = stage.tap.requests.at(-1) ?? { head: '', body: '' }
  ok(head.startsWith('POST /base HTTP/1.1'), head)
  equal(body, call('account.balance'))
  equal((await ask(narrow, call('account.transfer'))).headers['doorward-code'], 'allowed')
  const entry = (await stage.gateway.entries()).at(-1)?.body
  deepEqual([entry?.['action'], entry?.['decision']], ['rpc/call', 'allow'])

  const sent = stage.tap.requests.length
  const denied = await ask(reader, call('account.transfer'))
  deepEqual([denied.status, denied.headers['doorward-code']], [200, 'policy_denied'])
  ok(denied.body.includes('"permission":"rpc/call:orders/account.transfer"'), denied.body)
  equal((await ask(narrow, call('account.balance'))).headers['doorward-code'], 'policy_denied')
  equal(stage.tap.requests.length, sent)
})

const wrong: readonly (readonly [what: string, code: string, body: string, target?: string, type?: string])[] = [
  ['refused before it is sent: a method that is not declared', 'method_unknown', call('account.close')],
  ['refused before it is sent: one in other letters', 'method_unknown', call('Account.Balance')],
  ['refused before it is sent: a method of prototypes', 'method_unknown', call('__proto__')],
  ['refused before it is sent: a batch', 'message_batch', `[${call('account.balance')}]`],
  ['refused before it is sent: a notification', 'notification_unknown', '{"jsonrpc":"2.0","method":"account.balance"}'],
  [
    'refused before it is sent: a method twice',
    'json_duplicate_key',
    call('account.balance', ',"method":"account.transfer"'),
  ],
  [
    'refused before it is sent: a method in other letters beside it',
    'message_malformed',
    call('account.balance', ',"Method":"account.transfer"'),
  ],
  ['refused before it is sent: no JSON-RPC', 'message_malformed', '{"id":1,"method":"account.balance"}'],
  [
    'refused before it is sent: params that are a text',
    'message_malformed',
    '{"jsonrpc":"2.0","id":1,"method":"account.balance","params":"x"}',
  ],
  ['refused before it is sent: no JSON', 'json_syntax', 'account.balance'],
  ['refused before it is sent: another path', 'path_unknown', call('account.balance'), '/http/orders/other'],
  [
    'refused before it is sent: a query',
    'request_invalid',
    call('account.balance'),
    '/http/orders/?method=account.transfer',
  ],
  [
    'refused before it is sent: another content type',
    'content_type',
    call('account.balance'),
    '/http/orders/',
    'text/plain',
  ],
  [
    'refused before it is sent: a body that is called charset=utf-7',
    'content_type',
    call('account.balance'),
    '/http/orders/',
    'application/json; charset=utf-7',
  ],
  [
    'refused before it is sent: a body that is called something else beside UTF-8',
    'content_type',
    call('account.balance'),
    '/http/orders/',
    'application/json; charset=utf-8; charset=unicode_escape',
  ],
  [
    'refused before it is sent: a body with a parameter that nobody knows',
    'content_type',
    call('account.balance'),
    '/http/orders/',
    'application/json; profile=x',
  ],
]

for (const [what, code, body, target, type] of wrong)
  test(what, async () => {
    const sent = stage.tap.requests.length
    const answered = await ask(reader, body, target, { 'Content-Type': type ?? 'application/json' })
    equal(answered.headers['doorward-code'], code, answered.text)
    equal(stage.tap.requests.length, sent)
    // A head is judged before anybody is known: such refusals are counted.
    if (target === undefined || type !== undefined) equal((await stage.gateway.entries()).at(-1)?.body['code'], code)
  })

test('a body goes on as what it was read as, whatever its caller calls it', async () => {
  for (const type of ['application/json', 'Application/JSON ;charset=UTF-8', 'application/json; charset="utf-8"']) {
    const answered = await ask(reader, call('account.balance'), '/http/orders/', { 'Content-Type': type })
    equal(answered.headers['doorward-code'], 'allowed', answered.text)
    const types = (stage.tap.requests.at(-1)?.head ?? '').split('\r\n').filter((line) => /^content-type:/i.test(line))
    deepEqual(types, ['content-type: application/json'])
  }
})

test('nothing but POST is answered', async () => {
  for (const method of ['GET', 'PUT', 'DELETE']) {
    const answered = await stage.ask(reader, '/http/orders/', { method })
    deepEqual([answered.status, answered.headers['doorward-code']], [405, 'http_method'])
  }
})
