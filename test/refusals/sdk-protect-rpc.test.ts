/** Plain JSON-RPC in a program that protects itself: the method of the body is what is called, and what is not declared does not exist. */

import assert from 'node:assert/strict'
import type { IncomingHttpHeaders } from 'node:http'
import { after, before, test } from 'node:test'
import { protect } from '@doorward/sdk'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import type { RawAnswer } from '../fixtures/authority/raw-client.ts'
import type { Workload } from '../fixtures/authority/workload.ts'
import { openProtectedStage } from '../fixtures/protected-stage.ts'
import type { ProtectedStage } from '../fixtures/protected-stage.ts'

const bodyBytes = 4096
const methods = { 'account.balance': 'read', 'account.transfer': 'write' } as const
const answer = '{"jsonrpc":"2.0","id":1,"result":1e400}'
const heard: { readonly headers: IncomingHttpHeaders; readonly body: string }[] = []
let stage: ProtectedStage
let reader: Workload
let narrow: Workload
const tokens = new Map<string, string>()

before(async () => {
  stage = await openProtectedStage(
    async (request, response) => {
      const parts: Buffer[] = []
      for await (const part of request) parts.push(part as Buffer)
      heard.push({ headers: request.headers, body: Buffer.concat(parts).toString() })
      response.setHeader('content-type', 'application/json')
      response.end(answer)
    },
    {
      jsonRpc: { methods },
      policy: { roles: { reader: ['read:orders/*'], narrow: ['rpc/call:orders/account.tr*'] } },
      limits: { bodyBytes },
    },
  )
  reader = await stage.workload('agent/reader', ['reader'])
  narrow = await stage.workload('agent/narrow', ['narrow'])
  for (const one of [reader, narrow]) tokens.set(one.id, await stage.token(one))
})
after(() => stage.close())

interface Ask {
  readonly what?: string
  readonly type?: string
  readonly more?: Readonly<Record<string, string>>
}

async function ask(by: Workload, body: string, { what = 'POST /rpc', type, more }: Ask = {}): Promise<RawAnswer> {
  const client = await RawClient.open(stage.server.address, by)
  const [method = '', path = ''] = what.split(' ')
  const headers = {
    authorization: `Bearer ${tokens.get(by.id)}`,
    'content-type': type ?? 'application/json',
    ...more,
  }
  try {
    return await client.request(method, path, { headers, body })
  } finally {
    client.close()
  }
}

const call = (method: string, more = '') => `{"jsonrpc":"2.0","id":1,"method":"${method}","params":[1]${more}}`

async function refused(code: string, asking: () => Promise<RawAnswer>): Promise<RawAnswer> {
  const reached = stage.reached.length
  const answered = await asking()
  assert.equal(answered.headers['doorward-code'], code, answered.text)
  assert.equal(stage.reached.length, reached)
  assert.equal((await stage.entryOf(answered)).body['code'], code)
  return answered
}

test('a declared method is allowed by its effect or its name, and delivered as it came', async () => {
  const read = await ask(reader, call('account.balance'), { more: { traceparent: 'passes', cookie: 'a=b' } })
  assert.deepEqual([read.status, read.headers['doorward-code'], read.text], [200, 'allowed', answer])
  const { headers, body } = heard.at(-1) ?? assert.fail('not reached')
  assert.equal(body, call('account.balance'))
  assert.deepEqual([headers['traceparent'], headers.cookie, headers.authorization], ['passes', undefined, undefined])
  assert.equal((await ask(narrow, call('account.transfer'))).headers['doorward-code'], 'allowed')
  const denied = await refused('policy_denied', () => ask(reader, call('account.transfer')))
  assert.equal(denied.status, 200)
  assert.ok(denied.text.includes('"permission":"rpc/call:orders/account.transfer"'), denied.text)
  await refused('policy_denied', () => ask(narrow, call('account.balance')))
})

const wrong: readonly (readonly [what: string, code: string, body: string, ask?: Ask])[] = [
  ['a method that is not declared', 'method_unknown', call('account.close')],
  ['one in other letters', 'method_unknown', call('Account.Balance')],
  ['a method of prototypes', 'method_unknown', call('__proto__')],
  ['a batch', 'message_batch', `[${call('account.balance')}]`],
  ['a notification', 'notification_unknown', '{"jsonrpc":"2.0","method":"account.balance"}'],
  ['a method twice', 'json_duplicate_key', call('account.balance', ',"method":"account.transfer"')],
  ['a method in other letters beside it', 'message_malformed', call('account.balance', ',"Method":"account.transfer"')],
  ['no JSON', 'json_syntax', 'account.balance'],
  ['another content type', 'content_type', call('account.balance'), { type: 'text/plain' }],
  ['another character set', 'content_type', call('account.balance'), { type: 'application/json; charset=utf-16' }],
  ['a body that is too large', 'body_too_large', call('account.balance', `,"x":"${'x'.repeat(bodyBytes)}"`)],
  ['another path', 'path_unknown', call('account.balance'), { what: 'POST /other' }],
  ['a query', 'request_invalid', call('account.balance'), { what: 'POST /rpc?method=account.transfer' }],
  ['another method of HTTP', 'http_method', call('account.balance'), { what: 'PUT /rpc' }],
]

for (const [what, code, body, asking] of wrong)
  test(`refused before the program: ${what}`, async () => {
    await refused(code, () => ask(reader, body, asking))
  })

test('a body is delivered as what it was read as, whatever its caller calls it', async () => {
  for (const type of ['Application/JSON ;charset=UTF-8', 'application/json; charset="utf-8"']) {
    assert.equal((await ask(reader, call('account.balance'), { type })).status, 200)
    assert.equal(heard.at(-1)?.headers['content-type'], 'application/json')
  }
})

test('methods that could not be called are refused at the start', async () => {
  const folder = `${stage.folders.root}/rpc`
  const start = (jsonRpc: object) =>
    protect(() => undefined, {
      ...stage.protecting,
      record: { folder, checkpoints: `${folder}-c` },
      jsonRpc: jsonRpc as { methods: Record<string, 'read'> },
    })
  for (const declared of [{}, { 'a b': 'read' }, { a: 'reads' }])
    await assert.rejects(start({ methods: declared }), { code: 'rpc_methods' })
  await assert.rejects(start({ methods, path: 'rpc' }), { code: 'rpc_path' })
})
