/** Plain JSON-RPC in a program that protects itself: the method of the body is what is called, and what is not declared does not exist. */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import type { IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { protect } from '@doorward/sdk'
import type { ProtectOptions } from '@doorward/sdk'
import { testAuthority } from '@doorward/sdk/testing'
import type { TestIdentity } from '@doorward/sdk/testing'
import { readEntries } from '../../packages/server/src/audit/read.ts'
import { freePorts } from '../fixtures/deployment.ts'

const bodyBytes = 4096
const methods = { 'account.balance': 'read', 'account.transfer': 'write' } as const
const answer = '{"jsonrpc":"2.0","id":1,"result":1e400}'
const heard: { readonly headers: IncomingHttpHeaders; readonly body: string }[] = []
const folder = await mkdtemp(join(tmpdir(), 'doorward-rpc-'))
const kept = new AsyncDisposableStack()
let protecting: ProtectOptions
let audience: string
let reader: TestIdentity
let narrow: TestIdentity

before(async () => {
  const [port = 0] = await freePorts(1)
  const authority = await testAuthority()
  audience = `https://127.0.0.1:${port}`
  const peers = { [audience]: { id: 'spiffe://acme.test/service/orders' } }
  const identity = kept.use(await authority.identity('service/orders'))
  reader = kept.use(await authority.identity('agent/reader', { roles: ['reader'], peers }))
  narrow = kept.use(await authority.identity('agent/narrow', { roles: ['narrow'], peers }))
  protecting = {
    identity,
    audience,
    listen: { host: '127.0.0.1', port },
    service: 'orders',
    jsonRpc: { methods },
    policy: { roles: { reader: ['read:orders/*'], narrow: ['rpc/call:orders/account.tr*'] } },
    record: { folder: join(folder, 'record'), checkpoints: join(folder, 'checkpoints') },
    limits: { bodyBytes },
  }
  const server = await protect(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    heard.push({ headers: request.headers, body: Buffer.concat(parts).toString() })
    response.setHeader('content-type', 'application/json')
    response.end(answer)
  }, protecting)
  kept.use(server)
})
after(async () => {
  await kept.disposeAsync()
  await rm(folder, { recursive: true })
})

interface Ask {
  readonly what?: string
  readonly type?: string
  readonly more?: Readonly<Record<string, string>>
}

interface Answered {
  readonly status: number
  readonly code: string | null
  readonly decision: string | null
  readonly text: string
}

async function ask(by: TestIdentity, body: string, asking: Ask = {}): Promise<Answered> {
  const { what = 'POST /rpc', type = 'application/json', more } = asking
  const [method = '', path = ''] = what.split(' ')
  const answered = await by.fetch(`${audience}${path}`, { method, headers: { 'content-type': type, ...more }, body })
  const { status, headers } = answered
  const [code, decision] = [headers.get('doorward-code'), headers.get('doorward-decision')]
  return { status, code, decision, text: await answered.text() }
}

/** What the record says of it, once a checkpoint covers it. */
async function codeOnRecord({ decision }: Answered): Promise<unknown> {
  const index = Number(decision?.split('#')[1])
  for (;;) {
    let at = 0
    for await (const { entry } of readEntries(join(folder, 'record', 'log')))
      if (at++ === index) return entry.body['code']
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

const call = (method: string, more = '') => `{"jsonrpc":"2.0","id":1,"method":"${method}","params":[1]${more}}`

async function refused(code: string, asking: () => Promise<Answered>): Promise<Answered> {
  const before = heard.length
  const answered = await asking()
  assert.equal(answered.code, code, answered.text)
  assert.equal(heard.length, before)
  assert.equal(await codeOnRecord(answered), code)
  return answered
}

test('a declared method is allowed by its effect or its name, and delivered as it came', async () => {
  const read = await ask(reader, call('account.balance'), { more: { 'x-request-id': 'passes', cookie: 'a=b' } })
  assert.deepEqual([read.status, read.code, read.text], [200, 'allowed', answer])
  const { headers, body } = heard.at(-1) ?? assert.fail('not reached')
  assert.equal(body, call('account.balance'))
  assert.deepEqual([headers['x-request-id'], headers.cookie, headers.authorization], ['passes', undefined, undefined])
  assert.equal((await ask(narrow, call('account.transfer'))).code, 'allowed')
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
  const other = { folder: join(folder, 'other'), checkpoints: join(folder, 'other-checkpoints') }
  const start = (jsonRpc: object) =>
    protect(() => undefined, { ...protecting, record: other, jsonRpc: jsonRpc as { methods: Record<string, 'read'> } })
  for (const declared of [{}, { 'a b': 'read' }, { a: 'reads' }])
    await assert.rejects(start({ methods: declared }), { code: 'rpc_methods' })
  for (const path of ['rpc', '/..', '/.', '/a/../b', '/./a'])
    await assert.rejects(start({ methods, path }), { code: 'rpc_path' })
})
