/** Registrations that must be refused, and what a registration that changed refuses from then on; each next to what passes. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { fromBase64url, hex } from '@doorward/core'
import type { EntryEnvelope } from '@doorward/core'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import type { RawAnswer } from '../fixtures/authority/raw-client.ts'
import { recordOf, removeFolders, startTestAuthority } from '../fixtures/authority/running.ts'
import type { TestAuthority } from '../fixtures/authority/running.ts'
import { call, enrolled, joined, joinToken, ownToken, requestToken, tryEnrol } from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'

let authority: TestAuthority
let operator: Workload
let caller: Workload
let token: string

before(async () => {
  authority = await startTestAuthority()
  operator = await joined(authority, 'spiffe://test.example/operator/eve', ['admin'])
  caller = await joined(authority, 'spiffe://test.example/agent/caller', ['reader'])
  token = await ownToken(authority, operator)
})
after(async () => {
  await authority.stop()
  await removeFolders(authority.folders)
})

const idOf = (path: string) => `spiffe://test.example/${path}`

async function withAdmin<T>(run: (client: RawClient) => Promise<T>, who = operator): Promise<T> {
  const client = await RawClient.open(authority.running.addresses.admin, who)
  try {
    return await run(client)
  } finally {
    client.close()
  }
}

const ask = (what: string, body?: object): Promise<RawAnswer> => withAdmin((client) => call(client, token, what, body))

const codeOf = ({ headers }: RawAnswer) => headers['doorward-code']

interface Told {
  readonly code: string
  readonly details?: {
    readonly reason?: string
    readonly problems?: readonly { readonly keys: readonly unknown[] }[]
    readonly present?: { readonly revision: number; readonly roles: readonly string[] }
  }
}

const errorOf = (answer: RawAnswer) => answer.json()['error'] as Told

/** The entry that the answer names, once a checkpoint covers it, and its outcome. */
async function entriesOf(answer: RawAnswer): Promise<readonly (EntryEnvelope | undefined)[]> {
  const index = Number(answer.headers['doorward-decision']?.split('#')[1])
  assert.ok(Number.isInteger(index), 'the answer names its decision')
  for (let tries = 0; tries < 200; tries++) {
    const entries = await recordOf(authority.folders)
    const outcome = entries.find(({ kind, body }) => kind === 'outcome' && body['of'] === index)
    if (entries[index] !== undefined && (outcome !== undefined || entries[index].body['decision'] === 'deny'))
      return [entries[index], outcome]
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error('the entry did not come')
}

async function registered(
  path: string,
  more: object = {},
): Promise<{ readonly id: string; readonly revision: number }> {
  const answer = await ask('POST /v1/workloads', { ...more, id: idOf(path) })
  assert.equal(answer.status, 201, answer.text)
  return { id: idOf(path), revision: Number(answer.json()['revision']) }
}

test('only operators register, change, remove, look up and lock', async () => {
  const weak = await ownToken(authority, caller)
  const { id } = await registered('agent/coveted')
  const query = new URLSearchParams({ id, instance: '01' })
  const requests: readonly (readonly [string, object?])[] = [
    ['GET /v1/workloads'],
    [`GET /v1/workload?id=${encodeURIComponent(id)}`],
    ['POST /v1/workloads', { id: idOf('agent/x') }],
    ['PUT /v1/workloads', { id, roles: ['admin'], revision: 1 }],
    [`DELETE /v1/workloads?id=${encodeURIComponent(id)}`],
    ['POST /v1/gateways', { name: 'x' }],
    ['POST /v1/join-strings', { id }],
    ['POST /v1/instances/lock', { id, instance: '01' }],
    [`DELETE /v1/instances?${query.toString()}`],
  ]
  for (const [what, body] of requests) {
    const answer = await withAdmin((client) => call(client, weak, what, body), caller)
    assert.deepEqual([answer.status, codeOf(answer)], [403, 'policy_denied'], what)
    const [entry] = await entriesOf(answer)
    assert.deepEqual([entry?.body['caller'], entry?.body['code']], [caller.id, 'policy_denied'])
    assert.ok((await ask(what, body)).status !== 403, what)
  }
})

test('a registration with mistakes is refused with all of them, and nothing is registered', async () => {
  const answer = await ask('POST /v1/workloads', { id: idOf('agent/wrong'), rolez: [], ttl_seconds: 1, roles: ['a b'] })
  const { code, details } = errorOf(answer)
  assert.deepEqual([answer.status, code], [400, 'request_invalid'])
  assert.deepEqual(details?.problems?.map(({ keys }) => keys.join('.')).toSorted(), ['roles.0', 'rolez', 'ttl_seconds'])
  assert.equal(codeOf(await ask(`GET /v1/workload?id=${encodeURIComponent(idOf('agent/wrong'))}`)), 'resource_unknown')
  const [, outcome] = await entriesOf(answer)
  assert.equal(outcome?.body['code'], 'request_invalid')
  assert.match(String(outcome?.body['explanation']), /rolez/)
})

test('SID-7, SID-8: ids of other trust domains and of parts of Doorward are not registered, nor changed', async () => {
  const ids = [
    'spiffe://other.example/agent/a',
    'spiffe://test.example',
    idOf('doorward/x'),
    idOf('doorward/gateway/x'),
  ]
  for (const id of ids) assert.equal(codeOf(await ask('POST /v1/workloads', { id })), 'request_invalid', id)
  const own = idOf('doorward/authority')
  assert.equal(codeOf(await ask('PUT /v1/workloads', { id: own, roles: ['admin'], revision: 1 })), 'request_invalid')
  assert.equal(codeOf(await ask(`DELETE /v1/workloads?id=${encodeURIComponent(own)}`)), 'conflict')
  await registered('agent/next-to-doorward')
})

test('the role of gateways is for gateways, which the authority registers', async () => {
  const taken = await ask('POST /v1/workloads', { id: idOf('agent/spy'), roles: ['gateway'] })
  assert.equal(codeOf(taken), 'request_invalid')
  const made = await ask('POST /v1/gateways', { name: 'eu', dns_names: ['mcp.example'] })
  assert.deepEqual([made.json()['id'], made.json()['roles']], [idOf('doorward/gateway/eu'), ['gateway']])
  for (const body of [{ name: '../x' }, { name: 'EU' }, { name: '' }, { name: 'us', roles: ['admin'] }, {}])
    assert.equal(codeOf(await ask('POST /v1/gateways', body)), 'request_invalid', JSON.stringify(body))
})

test('a body that is too large is refused before it is read to its end', async () => {
  const roles = Array.from({ length: 3000 }, (_, i) => `role-${i}-${'x'.repeat(20)}`)
  assert.equal(codeOf(await ask('POST /v1/workloads', { id: idOf('agent/large'), roles })), 'body_too_large')
})

test('queries that make no sense are refused', async () => {
  for (const query of ['limit=0', 'limit=501', 'limit=1e2', 'attestation=password', 'unknown=1', 'role=a&role=b'])
    assert.equal(codeOf(await ask(`GET /v1/workloads?${query}`)), 'request_invalid', query)
  assert.equal((await ask('GET /v1/workloads?limit=1')).status, 200)
})

test('OP-7: of two concurrent changes one wins, and the other learns what is there', async () => {
  const { id, revision } = await registered('agent/contested')
  const answers = await Promise.all(
    ['one', 'two'].map((role) => ask('PUT /v1/workloads', { id, roles: [role], revision })),
  )
  const lost = answers.find(({ status }) => status !== 200)
  const won = answers.find(({ status }) => status === 200)
  assert.ok(lost !== undefined && won !== undefined)
  const { code, details } = errorOf(lost)
  assert.deepEqual([lost.status, code, details?.reason], [409, 'conflict', 'changed'])
  assert.deepEqual([details?.present?.revision, details?.present?.roles], [2, won.json()['roles']])
  const again = await ask('PUT /v1/workloads', { id, roles: ['three'], revision: 2 })
  assert.equal(again.status, 200)
  const stale = await ask(`DELETE /v1/workloads?id=${encodeURIComponent(id)}&revision=2`)
  assert.deepEqual([codeOf(stale), errorOf(stale).details?.reason], ['conflict', 'changed'])
})

test('SID-8: a removed id is not given again unless the operator says that the same workload returns', async () => {
  const { id } = await registered('agent/gone')
  assert.equal((await ask(`DELETE /v1/workloads?id=${encodeURIComponent(id)}`)).status, 200)
  const refused = await ask('POST /v1/workloads', { id })
  assert.deepEqual([codeOf(refused), errorOf(refused).details?.reason], ['conflict', 'removed'])
  assert.equal((await ask('POST /v1/workloads', { id, again: true })).status, 201)
})

/** The connection is gone, or refuses until it is. */
async function ended(client: RawClient, code: string): Promise<void> {
  const answer = await requestToken(client).catch(() => null)
  if (answer !== null) assert.equal(codeOf(answer), code)
}

test('OP-10: a lock hits one instance: what it holds, and its return, while the other goes on', async () => {
  const { id } = await registered('agent/two')
  const [first, second] = [
    enrolled(id, await tryEnrol(authority, { token: await joinToken(authority, id) })),
    enrolled(id, await tryEnrol(authority, { token: await joinToken(authority, id) })),
  ]
  const clients = await Promise.all([first, second].map((one) => RawClient.open(authority.running.addresses.main, one)))
  for (const client of clients) assert.equal((await requestToken(client)).status, 200)
  const { instances, certificates } = (await ask(`GET /v1/workload?id=${encodeURIComponent(id)}`)).json() as {
    instances: readonly { instance: string }[]
    certificates: readonly { instance: string; serial: string }[]
  }
  assert.equal(instances.length, 2)
  const instance = certificates.find(({ serial }) => serial === first.read.serial)?.instance
  const locked = await ask('POST /v1/instances/lock', { id, instance, reason: 'stolen' })
  assert.equal(locked.status, 200, locked.text)
  await ended(clients[0]!, 'certificate_denied')
  assert.equal((await requestToken(clients[1]!)).status, 200)
  const fresh = await RawClient.open(authority.running.addresses.main, first)
  assert.equal(codeOf(await requestToken(fresh)), 'certificate_denied')
  const back = await tryEnrol(authority, { id, machineKey: first.machineKey })
  assert.equal(back.answer.status, 403)
  assert.ok(['join_refused', 'instance_locked'].includes(codeOf(back.answer) ?? ''))
  assert.equal(codeOf(await ask('POST /v1/instances/lock', { id, instance })), 'conflict')
  for (const client of [...clients, fresh]) client.close()
})

test('RV-5: removing ends what an identity holds, its instances and its unused tokens', async () => {
  const { id } = await registered('agent/ended')
  const member = enrolled(id, await tryEnrol(authority, { token: await joinToken(authority, id) }))
  const unused = await joinToken(authority, id)
  const client = await RawClient.open(authority.running.addresses.main, member)
  assert.equal((await requestToken(client)).status, 200)
  const removed = await ask(`DELETE /v1/workloads?id=${encodeURIComponent(id)}`)
  assert.deepEqual(removed.json()['ended'], { instances: 1, certificates: 1, join_tokens: 1 })
  await ended(client, 'identity_denied')
  assert.equal(codeOf((await tryEnrol(authority, { token: unused })).answer), 'join_refused')
  assert.equal(codeOf((await tryEnrol(authority, { id, machineKey: member.machineKey })).answer), 'join_refused')
  client.close()
})

/** Refusals beyond a few in a second are counted; then it is tried again. */
async function refusedJoin(used: string): Promise<RawAnswer> {
  for (let tries = 0; tries < 100; tries++) {
    const { answer } = await tryEnrol(authority, { token: used })
    assert.equal(codeOf(answer), 'join_refused')
    if (answer.headers['doorward-decision'] !== undefined) return answer
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('no refusal was recorded singly')
}

test('OP-5: a refused join names its decision, and the record says which rule failed, without the token', async () => {
  const { id } = await registered('agent/puzzled')
  const secret = await joinToken(authority, id)
  assert.equal((await tryEnrol(authority, { token: secret })).answer.status, 200)
  const answer = await refusedJoin(secret)
  const [entry] = await entriesOf(answer)
  assert.deepEqual([entry?.kind, entry?.body['code'], entry?.body['caller']], ['decision', 'join_refused', undefined])
  const explanation = String(entry?.body['explanation'])
  assert.match(explanation, /token.* used/)
  assert.ok(explanation.includes(id))
  const text = JSON.stringify(await recordOf(authority.folders))
  assert.ok(!text.includes(secret) && !text.includes(hex(fromBase64url(secret)!)))
  assert.ok(!answer.text.includes(id) && !answer.text.includes(explanation), 'a stranger does not learn why')
})

test('what a registration says is what the next certificate says', async () => {
  const { id, revision } = await registered('agent/renamed', { dns_names: ['old.example'] })
  const before = enrolled(id, await tryEnrol(authority, { token: await joinToken(authority, id) }))
  assert.deepEqual(before.read.dnsNames, ['old.example'])
  const changed = await ask('PUT /v1/workloads', { id, dns_names: ['new.example'], ttl_seconds: 600, revision })
  assert.equal(changed.status, 200, changed.text)
  const later = enrolled(id, await tryEnrol(authority, { token: await joinToken(authority, id) }))
  assert.deepEqual(later.read.dnsNames, ['new.example'])
  assert.ok(later.read.notAfter - later.read.notBefore < before.read.notAfter - before.read.notBefore)
})
