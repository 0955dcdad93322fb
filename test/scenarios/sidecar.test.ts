/** Sidecars that live on: certificates are replaced, streams end when they must, clocks differ, and the authority goes away. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { realpath } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { epochMillis } from '@doorward/core'
import type { TokenRefusal, VerifiedAssertion } from '@doorward/core'
import { openAssertionVerifier, systemRuntime } from '@doorward/sdk'
import type { ConnectedIdentity, Runtime } from '@doorward/sdk'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { call, enrolled, joined, joinToken, tokenFor, tryEnrol } from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'
import { idOf } from '../fixtures/sdk-stage.ts'
import { WorkloadClient } from '../fixtures/workload-client.ts'
import type { X509SvidGiven } from '../fixtures/workload-client.ts'
import {
  outboundOf,
  askLocally,
  calleeName,
  callerName,
  openSidecarStage,
  openStream,
  streamAnswer,
  until,
} from '../fixtures/sidecar-stage.ts'
import type { Asked, SidecarStage } from '../fixtures/sidecar-stage.ts'

let stage: SidecarStage
/** The socket of a further caller, of which time passes by itself. */
let late: string

/** How far the clocks of each sidecar are from the machine's, and how much time has passed there besides. */
const clock = { callee: 0, caller: 0, late: 0 }
const passed = { callee: 0, caller: 0, late: 0 }

function runtimeOf(side: 'callee' | 'caller' | 'late'): Runtime {
  return {
    ...systemRuntime,
    wall: () => epochMillis(Date.now() + clock[side] + passed[side]),
    monotonic: () => systemRuntime.monotonic() + passed[side],
  }
}

before(async () => {
  stage = await openSidecarStage(
    (request, response) => {
      if (request.url === '/stream') streamAnswer(response)
      else response.end('an order')
    },
    { callee: runtimeOf('callee'), caller: runtimeOf('caller') },
  )
  // Nobody joins by a clock that is behind the authority's.
  late = await anotherCaller('agent/late', '', runtimeOf('late'))
})
after(() => stage.close())

const right = () => askLocally(stage.outSocket, '/orders/7')

/** A refusal on the record of that sidecar. */
async function counted(name: string, reason: string): Promise<void> {
  await until(async () => {
    const refusals = (await stage.entries(name)).filter(({ kind }) => kind === 'refusals')
    return refusals.find(({ body }) => body['reason'] === reason)
  }, `${reason} on record`)
}

/** The sidecar of another workload that may call; resolves with its socket when it does. */
async function anotherCaller(name: string, more = '', runtime?: Runtime): Promise<string> {
  const place = join(stage.folder, `${name.replaceAll('/', '+')}.sock`)
  await stage.sidecar(name, outboundOf(place, stage.audience, more), runtime)
  await stage.authority.running.registerWorkload({ id: idOf(name), roles: ['reader'] }, 'test')
  await until(async () => ((await askLocally(place, '/orders/7')).status === 200 ? true : undefined), 'the role')
  return place
}

test('the socket of a sidecar says that it lives and serves, and nothing else', async () => {
  const status = async (path: string, method = 'GET') => (await askLocally(stage.ownSocket, path, { method })).status
  assert.deepEqual([await status('/livez'), await status('/readyz'), await status('/jwks.json')], [200, 200, 200])
  assert.deepEqual([await status('/'), await status('/jwks.json', 'POST')], [404, 405])
  const { keys } = JSON.parse((await askLocally(stage.ownSocket, '/jwks.json')).text) as { keys: object[] }
  assert.deepEqual(Object.keys(keys[0] ?? {}).toSorted(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
})

test('more requests at once than a side takes are refused there, and what is under way goes on', async () => {
  const narrow = await anotherCaller('agent/narrow', ', limits: { concurrent: 4 }')
  const told = ({ status, headers }: Asked) => [status, headers['doorward-code']]
  const streams = []
  for (let i = 0; i < 4; i++) streams.push(await openStream(stage.outSocket))
  // One caller does not take every place.
  const before = stage.tap.reached.length
  const inside = await right()
  assert.deepEqual(told(inside), [429, 'limit_concurrency'])
  assert.equal(stage.tap.reached.length, before)
  assert.equal((await askLocally(narrow, '/orders/7')).status, 200)
  for (let i = 0; i < 4; i++) streams.push(await openStream(narrow))
  assert.deepEqual(told(await askLocally(narrow, '/orders/7')), [503, 'upstream_busy'])
  assert.deepEqual(told(await right()), [503, 'overloaded'])
  assert.equal(stage.tap.reached.length, before + 5)
  await counted(calleeName, 'limit_concurrency')
  await counted(calleeName, 'overloaded')
  for (const { answer, ended } of streams) {
    answer.destroy()
    await ended
  }
  await until(async () => ((await right()).status === 200 ? true : undefined), 'a free place')
})

test('certificates are replaced on both sides, and no request fails', async () => {
  const { answer, ended } = await openStream(stage.outSocket)
  let over = false
  void ended.then(() => (over = true))
  const serials = () =>
    [stage.callee, stage.caller].map(({ identity }) => identity.identity.credentials.current().certificate.serial)
  const before = serials()
  const asking = new AbortController()
  const statuses: number[] = []
  const loop = (async () => {
    while (!asking.signal.aborted) statuses.push((await right()).status)
  })()
  await Promise.all([stage.callee.identity.identity.renew(), stage.caller.identity.identity.renew()])
  const count = statuses.length
  await until(() => (statuses.length > count + 10 ? true : undefined), 'more requests')
  asking.abort()
  await loop
  assert.ok(serials().every((serial, i) => serial !== before[i]))
  assert.deepEqual([...new Set(statuses)], [200])
  assert.equal(over, false)
  answer.destroy()
  await ended
})

test('a caller that is revoked in the middle of a stream gets no more of it, nor does its sidecar get in again', async () => {
  const { ended } = await openStream(stage.outSocket)
  await stage.authority.running.registerWorkload({ id: idOf(callerName), roles: [] }, 'test')
  await ended
  await until(() => (stage.tap.connections() === 0 ? true : undefined), 'the end at the program')
  const answer = await right()
  assert.deepEqual([answer.status, answer.headers['doorward-code']], [403, 'policy_denied'])
  await stage.authority.running.registerWorkload({ id: idOf(callerName), roles: ['reader'] }, 'test')
  await until(async () => ((await right()).status === 200 ? true : undefined), 'the role again')
})

interface Chain {
  readonly first: ConnectedIdentity
  readonly between: ConnectedIdentity
  /** The token that the first has shown. */
  readonly began: string
  ask(path: string): Promise<Response>
}

/** Of two new workloads, and of the third that calls for both. */
async function chainOf(presenter: ConnectedIdentity, name: string): Promise<Chain> {
  const audience = `https://between-${name}.test.example`
  const first = await stage.connect(`agent/first-${name}`, { roles: ['reader'] })
  const between = await stage.connect(`agent/between-${name}`, { roles: ['reader'], audiences: [audience] })
  const began = await first.token(audience)
  const onBehalfOf = await between.token(presenterAudience, { onBehalfOf: began })
  const ask = (path: string) =>
    presenter.fetch(`${stage.audience}${path}`, { expect: idOf(calleeName), token: { onBehalfOf } })
  return { first, between, began: began.reveal(), ask }
}

const presenterAudience = 'https://presenter.test.example'
const serialOf = ({ identity }: ConnectedIdentity) => identity.credentials.current().certificate.serial
const tokenIdOf = (token: string) =>
  (JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { readonly jti: string }).jti

async function tokenAt(workload: Workload, audience: string): Promise<string> {
  const main = await RawClient.open(stage.authority.running.addresses.main, workload)
  return tokenFor(main, audience).finally(() => main.close())
}

test('RV-4, RV-5: a stream at the sidecar ends with each link of its chain, and no other does', async () => {
  const presenter = await stage.connect('agent/presenter', { roles: ['reader'], audiences: [presenterAudience] })
  const operator = await joined(stage.authority, idOf('operator/eve'), ['admin'])
  const token = await tokenAt(operator, stage.callee.identity.identity.authorityUrl)
  const admin = await RawClient.open(stage.authority.running.addresses.admin, operator)
  const other = await openStream(stage.outSocket)
  let over = false
  void other.ended.then(() => (over = true))
  const cases: readonly (readonly [string, string, (chain: Chain) => object])[] = [
    ['token', 'chain_denied', ({ began }) => ({ subject: 'token', token: tokenIdOf(began) })],
    ['serial', 'chain_denied', ({ between }) => ({ subject: 'serial', serial: serialOf(between) })],
    ['subject', 'chain_denied', ({ first }) => ({ subject: 'workload', id: first.id.uri })],
    ['actor', 'chain_denied', ({ between }) => ({ subject: 'workload', id: between.id.uri })],
    ['presenter', 'certificate_denied', () => ({ subject: 'serial', serial: serialOf(presenter) })],
  ]
  for (const [name, code, subject] of cases) {
    const chain = await chainOf(presenter, name)
    const answer = await chain.ask('/stream')
    const reader = answer.body!.getReader()
    assert.equal((await reader.read()).done, false)
    const open = stage.tap.connections()
    assert.equal((await call(admin, token, 'POST /v1/revocations', { ...subject(chain), reason: 'drill' })).status, 201)
    await assert.rejects(async () => {
      while (!(await reader.read()).done);
    }, name)
    await until(() => (stage.tap.connections() < open ? true : undefined), 'the end at the program')
    const index = Number(answer.headers.get('doorward-decision')?.split('#')[1])
    const entry =
      (of: number) =>
      ({ kind, body }: { kind: string; body: object }) =>
        kind === 'outcome' && Reflect.get(body, 'of') === of
    const outcome = await until(async () => (await stage.entries(calleeName)).find(entry(index)), 'the outcome')
    assert.deepEqual([outcome.body['status'], outcome.body['code']], ['failed', code], name)
    const reached = stage.tap.reached.length
    const again = await chain.ask('/orders/7').then(({ headers }) => headers.get('doorward-code'), String)
    assert.deepEqual([again, stage.tap.reached.length], [code, reached])
  }
  admin.close()
  assert.equal(over, false)
  other.answer.destroy()
  await other.ended
})

test('a local program that goes ends its call at the program behind the callee', async () => {
  const { answer } = await openStream(stage.outSocket)
  assert.ok(stage.tap.connections() > 0)
  answer.destroy()
  await until(() => (stage.tap.connections() === 0 ? true : undefined), 'the end of the connection')
})

/** Nothing of it reaches the program. */
async function unreached(status: number, code: string): Promise<void> {
  const before = stage.tap.reached.length
  const answer = await right()
  assert.deepEqual([answer.status, answer.headers['doorward-code']], [status, code], answer.text)
  assert.equal(stage.tap.reached.length, before)
}

test('a sidecar takes nobody by a clock that is ahead, nor less by one that is behind, and goes on when it is right', async () => {
  const afresh = async (ahead: number) => {
    clock.caller = 0
    // The next call needs a connection of its own: whoever answers is judged anew.
    await stage.caller.identity.identity.renew()
    clock.caller = ahead
  }
  const hours = 2 * 3_600_000
  await afresh(hours)
  await unreached(502, 'upstream_identity')
  const [refused] = stage.caller.events.filter((event) => event.type === 'refused' && event.code === 'server_expired')
  assert.ok(refused !== undefined)
  for (const ahead of [-hours, 0]) {
    await afresh(ahead)
    assert.equal((await right()).status, 200)
  }
})

test('a program that the kernel knows is given the identity of its sidecar; any other one is not, and that is on record', async () => {
  const program = await realpath(process.execPath)
  const clients: WorkloadClient[] = []
  const givenTo = async (name: string, path: string) => {
    const [socket, out] = ['given', 'out'].map((kind) =>
      join(stage.folder, `${name.replaceAll('/', '+')}-${kind}.sock`),
    )
    const given = `workload_api: { socket: ${socket}, entries: [{ uid: ${process.getuid?.()}, path: "${path}", hint: own }] }\n`
    const { events } = await stage.sidecar(name, given + outboundOf(out ?? '', stage.audience))
    const client = new WorkloadClient(socket ?? '')
    clients.push(client)
    return { events, client }
  }
  try {
    const right = await givenTo('agent/given', program)
    const [svid] = (await right.client.watch('FetchX509SVID').message())['svids'] as readonly X509SvidGiven[]
    assert.deepEqual([svid?.spiffe_id, svid?.hint], [idOf('agent/given'), 'own'])
    assert.ok(right.events.some(({ type }) => type === 'identity_given'))
    const wrong = await givenTo('agent/not-given', `${program}-other`)
    assert.equal(await wrong.client.watch('FetchX509SVID').end(), 'PERMISSION_DENIED')
    assert.ok(wrong.events.some(({ type }) => type === 'identity_refused'))
    assert.ok(wrong.events.every(({ type }) => type !== 'identity_given'))
    await counted('agent/not-given', 'identity_refused')
  } finally {
    for (const client of clients) client.close()
  }
})

test('what a sidecar says of callers holds though the clock of its machine is put back, and for a program that starts then', async () => {
  const issuer = idOf(calleeName)
  const keys = async () => (await askLocally(stage.ownSocket, '/jwks.json')).text
  const { wall: time, monotonic } = runtimeOf('callee')
  const program = () => openAssertionVerifier({ issuer, audience: 'orders', keys, clock: time, monotonic })
  const first = program()
  const told = async () => {
    assert.equal((await right()).status, 200)
    const { headers, method, url: target } = stage.tap.reached.at(-1)!
    return { text: String(headers['doorward-principal']), request: { method, target } }
  }
  const before = await told()
  assert.equal((await first.verify(before.text, before.request)).ok, true)
  clock.callee = -600_000
  try {
    const second = program()
    for (const one of [first, second]) {
      const { text, request } = await told()
      assert.deepEqual(await one.verify(text, request).then(codeOf), 'ok')
      assert.deepEqual(await one.verify(text, request).then(codeOf), 'token_claims')
    }
    assert.equal(await first.verify(before.text, before.request).then(codeOf), 'token_claims')
    const warned = stage.callee.events.filter((event) => event.type === 'warning')
    assert.deepEqual(
      warned.map(({ code }) => code),
      ['assertion_time_ahead'],
    )
  } finally {
    clock.callee = 0
  }
})

const codeOf = (verdict: VerifiedAssertion | TokenRefusal) => (verdict.ok ? 'ok' : verdict.code)

test('a sidecar that ends takes nothing new, lets what is under way go on, and says so until the end', async () => {
  const [place, own] = [join(stage.folder, 'ending.sock'), join(stage.folder, 'ending-own.sock')]
  const text = `socket: ${own}\n${outboundOf(place, stage.audience)}`
  const sidecar = await stage.sidecar('agent/ending', text)
  await stage.authority.running.registerWorkload({ id: idOf('agent/ending'), roles: ['reader'] }, 'test')
  await until(async () => ((await askLocally(place, '/orders/7')).status === 200 ? true : undefined), 'the role')
  const { answer } = await openStream(place)
  const stopped = sidecar.stop()
  assert.equal((await askLocally(own, '/readyz')).status, 503)
  await assert.rejects(connected(place))
  await once(answer, 'data')
  assert.equal((await askLocally(own, '/livez')).status, 200)
  answer.destroy()
  await stopped
  await assert.rejects(connected(own))
})

async function connected(path: string): Promise<void> {
  const socket = connect({ path })
  await once(socket, 'connect').finally(() => socket.destroy())
}

/** For everybody here. */
function timePasses(milliseconds: number): void {
  stage.authority.advance(milliseconds)
  for (const side of ['callee', 'caller', 'late'] as const) passed[side] += milliseconds
}

async function news(): Promise<void> {
  const sides = [stage.callee, stage.caller].map(({ identity }) => identity.identity.trust)
  await until(() => (sides.every((trust) => trust.ageSeconds() < 30) ? true : undefined), 'news')
}

/** The callee's sidecar, asked by hand. */
async function byHand(workload: Workload, token: string, path: string): Promise<RawClient> {
  const client = await RawClient.open({ host: '127.0.0.1', port: Number(new URL(stage.audience).port) }, workload)
  client.send('GET', path, { headers: { authorization: `Bearer ${token}` } })
  return client
}

test('a stream ends with the certificate of its caller, and not with the token with which it has begun', async () => {
  const id = idOf('agent/brief')
  await stage.authority.running.registerWorkload({ id, roles: ['reader'], ttlSeconds: 300 }, 'test')
  const brief = enrolled(id, await tryEnrol(stage.authority, { token: await joinToken(stage.authority, id) }))
  const kept = await joined(stage.authority, idOf('agent/kept'), ['reader'])
  const [briefly, token] = [await tokenAt(brief, stage.audience), await tokenAt(kept, stage.audience)]
  for (const [workload, own] of [
    [brief, briefly],
    [kept, token],
  ] as const) {
    const client = await byHand(workload, own, '/orders/7')
    assert.equal((await client.head()).status, 200)
    client.close()
  }
  const goesOn = await byHand(kept, token, '/stream')
  assert.equal((await goesOn.head()).status, 200)
  timePasses(brief.read.notAfter * 1000 - runtimeOf('callee').wall() - 5000)
  const ends = await byHand(brief, briefly, '/stream')
  const closed = once(ends.socket, 'close')
  assert.equal((await ends.head()).status, 200)
  const open = stage.tap.connections()
  await closed
  await until(() => (stage.tap.connections() < open ? true : undefined), 'the end at the program')
  const reached = stage.tap.reached.length
  const again = await byHand(brief, briefly, '/orders/7')
  assert.equal((await again.head()).headers['doorward-code'], 'certificate_expired')
  again.close()
  await counted(calleeName, 'certificate_expired')
  await news()
  timePasses(60_000)
  const tooLate = await byHand(kept, token, '/orders/7')
  assert.equal((await tooLate.head()).headers['doorward-code'], 'token_expired')
  tooLate.close()
  assert.equal(stage.tap.reached.length, reached)
  await news()
  for (let parts = 0; parts < 100; parts++) assert.notEqual(await goesOn.chunk(), null)
  goesOn.close()
  assert.equal((await right()).status, 200)
})

test('without news for five minutes nobody is called, and an answer that goes on is broken off', async () => {
  const { ended } = await openStream(late)
  let over = false
  void ended.then(() => (over = true))
  await stage.authority.stop()
  passed.late += 301_000
  const before = stage.tap.reached.length
  const answer = await askLocally(late, '/orders/7')
  assert.deepEqual([answer.status, answer.headers['doorward-code']], [503, 'trust_stale'])
  assert.equal(stage.tap.reached.length, before)
  await until(() => (over ? true : undefined), 'the end of the answer')
  await counted('agent/late', 'trust_stale')
  // It is the sidecar of the caller alone that has no news.
  assert.equal((await right()).status, 200)
})

test('without the authority known callers are served for a minute and a reduced one until five, then nobody', async () => {
  const { ended } = await openStream(stage.outSocket)
  await stage.authority.stop()
  passed.callee += 61_000
  assert.equal((await right()).status, 200)
  passed.callee += 300_000
  await ended
  await until(() => (stage.tap.connections() === 0 ? true : undefined), 'the end at the program')
  await unreached(503, 'trust_stale')
  // By the callee: the caller's sidecar has waited for six minutes less.
  await counted(calleeName, 'trust_stale')
  assert.equal((await askLocally(stage.ownSocket, '/readyz')).status, 503)
  assert.equal((await askLocally(stage.ownSocket, '/livez')).status, 200)
})
