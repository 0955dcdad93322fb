/**
 * Delegated calls at a gateway: every link must be allowed, lists show what calls may do, a scope narrows, a chain that no
 * exchange has stamped is none, and whatever is held against a link ends what hangs on it, open streams included.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { chainClaim, epochSeconds, userClaim, userName } from '@doorward/core'
import type { AccessTokenClaims, ChainLink } from '@doorward/core'
import { audienceOf, GatewayFixture, messagesOf } from '../fixtures/gateway-fixture.ts'
import { dial, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { json, scriptedServer, stream } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import { now } from '../fixtures/trust-fixture.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

const issuer = 'https://login.acme.example'
const alice = { issuer, subject: 'alice', groups: ['research'] }
const once = { count: 1, periodSeconds: 3600 }
const tools = ['read_note', 'write_note', 'read_plan']

let gateway: GatewayFixture
let server: ScriptedServer
let planner: TestSvid
let worker: TestSvid
let helper: TestSvid
let bare: TestSvid
/** What a list of the server waits for. */
let held: (() => Promise<void>) | null = null

before(async () => {
  server = await scriptedServer(({ body, method: verb }, response) => {
    if (verb === 'GET') return stream(response, ': open\n\n')
    if (verb !== 'POST') return void response.writeHead(204).end()
    const { id, method } = JSON.parse(body) as { id: number; method: string }
    const listed = tools.map((name) => ({ name, inputSchema: { type: 'object' } }))
    const result = method === 'tools/list' ? { tools: listed } : { content: [] }
    const answer = () => json(response, JSON.stringify({ jsonrpc: '2.0', id, result }))
    if (method !== 'tools/list' || held === null) answer()
    else void held().then(answer)
  })
  gateway = await GatewayFixture.open({
    servers: { files: { url: server.url, effects: { read: ['read_*'], write: ['write_*'], admin: [] } } },
    roles: { reader: ['read:files/*'], writer: ['write:files/*'] },
    bindings: [{ role: 'reader', issuer, groups: ['research'] }],
    pipeline: { quotas: [{ action: 'rare', covers: (_id, _action, { name }) => name === 'read_rare', rate: once }] },
  })
})
after(async () => {
  await gateway.close()
  await server.close()
})

let count = 0
/** Tests take things away: each has workloads of its own. */
beforeEach(async () => {
  const n = ++count
  planner = await gateway.trust.issue(`agent/planner-${n}`, { roles: ['reader', 'writer'] })
  worker = await gateway.trust.issue(`agent/worker-${n}`, { roles: ['reader', 'writer'] })
  helper = await gateway.trust.issue(`agent/helper-${n}`, { roles: ['reader'] })
  bare = await gateway.trust.issue(`agent/bare-${n}`)
})

const tokenOf = ({ id }: TestSvid) => `token-of-${id.segments.join('-')}`
const linkOf = (svid: TestSvid, more: Partial<ChainLink> = {}): ChainLink => ({
  jti: tokenOf(svid),
  iat: now(),
  kid: 'token-1',
  serial: svid.certificate.serial,
  anchor: gateway.trust.anchor.keyId,
  ...more,
})

type Claims = Partial<AccessTokenClaims>

/** The token of the first, who acts for the last through all between. */
function delegated([presenter, ...behind]: readonly [TestSvid, ...TestSvid[]], more: Claims = {}): Promise<string> {
  const subject = behind.at(-1) ?? presenter
  const act = [presenter, ...behind.slice(0, -1)].reduceRight<AccessTokenClaims['act']>(
    (inner, { id }) => (inner === undefined ? { sub: id.uri } : { sub: id.uri, act: inner }),
    undefined,
  )
  return gateway.trust.token(presenter, audienceOf('files'), {
    sub: subject.id.uri,
    ...(act === undefined ? {} : { act }),
    [chainClaim]: behind.map((svid) => linkOf(svid)),
    ...more,
  })
}

let nextId = 1
const bodyOf = (method: string, params: object = {}) => JSON.stringify({ jsonrpc: '2.0', id: nextId++, method, params })
const codeOf = (answer: RawAnswer) => answer.headers['doorward-code'] ?? String(answer.status)

function namesIn(answer: RawAnswer): readonly string[] {
  const [message] = messagesOf(answer)
  return ((message?.result?.['tools'] ?? []) as readonly { readonly name: string }[]).map(({ name }) => name)
}

class Caller {
  readonly svid: TestSvid
  readonly token: string
  session = ''
  /** What the opening was answered with. */
  opening = ''

  constructor(svid: TestSvid, token: string) {
    this.svid = svid
    this.token = token
  }

  static async open(svid: TestSvid, token: string): Promise<Caller> {
    const caller = new Caller(svid, token)
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
    const answer = await gateway.rpc(svid, 'files', { token, body: bodyOf('initialize', params) })
    caller.opening = codeOf(answer)
    caller.session = answer.headers['mcp-session-id'] ?? ''
    await caller.rpc('{"jsonrpc":"2.0","method":"notifications/initialized"}')
    return caller
  }

  rpc(body: string): Promise<RawAnswer> {
    const { token, session } = this
    return gateway.rpc(this.svid, 'files', { token, body, ...(session === '' ? {} : { session }) })
  }

  async call(name: string): Promise<string> {
    return codeOf(await this.rpc(bodyOf('tools/call', { name, arguments: {} })))
  }

  async listed(): Promise<readonly string[]> {
    return namesIn(await this.rpc(bodyOf('tools/list')))
  }

  /** A stream of the session that is open. */
  async stream(): Promise<TLSSocket> {
    const socket = await dial(gateway.connection(this.svid))
    const request = await gateway.request(this.svid, 'files', {
      token: this.token,
      session: this.session,
      method: 'GET',
    })
    await talk(socket, request, (soFar) => soFar.includes('\r\n\r\n'))
    return socket
  }
}

function endOf(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('not ended in time')), 5000)
    const settle = () => {
      clearTimeout(timer)
      resolve()
    }
    let text = ''
    socket.once('close', settle).on('data', (part: Buffer) => {
      text += part.toString()
      if (text.endsWith('0\r\n\r\n')) settle()
    })
  })
}

test('a call of a chain is allowed when every link is, a list shows what calls may do, and the record has the whole chain', async () => {
  const reached = server.reached.length
  const whole = await Caller.open(worker, await delegated([worker, planner]))
  deepEqual([await whole.call('read_note'), await whole.call('write_note')], ['allowed', 'allowed'])
  deepEqual(await whole.listed(), tools)
  ok(server.reached.length > reached)
  const narrow = await Caller.open(worker, await delegated([worker, helper, planner]))
  equal(await narrow.call('read_note'), 'allowed')
  const before = server.reached.length
  equal(await narrow.call('write_note'), 'policy_denied')
  equal(server.reached.length, before)
  deepEqual(await narrow.listed(), ['read_note', 'read_plan'])
  const entries = (await gateway.entries()).map(({ body }) => body as Record<string, unknown>)
  const entry = entries.find(
    ({ decision, resource, act }) => decision === 'deny' && resource !== undefined && act !== undefined,
  )
  const [w, h, p] = [worker.id.uri, helper.id.uri, planner.id.uri]
  deepEqual(
    [entry?.['caller'], entry?.['subject'], entry?.['presenter'], entry?.['act'], entry?.['code']],
    [`${w} through ${h} for ${p}`, p, w, [h], 'policy_denied'],
  )
  deepEqual(entry?.['chain'], [
    { id: h, token: tokenOf(helper), serial: helper.certificate.serial },
    { id: p, token: tokenOf(planner), serial: planner.certificate.serial },
  ])
})

test('one link without a role is enough: as presenter, between, and as subject; policy names which', async () => {
  const reached = server.reached.length
  for (const chain of [
    [bare, planner],
    [worker, bare, planner],
    [worker, helper, bare],
  ] as const) {
    const caller = await Caller.open(chain[0], await delegated(chain))
    equal(caller.opening, 'policy_denied')
  }
  equal(server.reached.length, reached)
  const told = (await gateway.entries()).map(({ body }) => String((body as Record<string, unknown>)['explanation']))
  ok(told.filter((one) => one.includes(bare.id.uri)).length >= 3)
})

test('a list shows what may be called by whom it was asked, whoever else asks in the session before it comes', async () => {
  const audience = audienceOf('files')
  const [wide, narrow, narrowest] = await Promise.all([
    gateway.trust.token(planner, audience),
    gateway.trust.token(planner, audience, { scope: 'read:files/*_note' }),
    gateway.trust.token(planner, audience, { scope: 'write' }),
  ])
  const renewed = await gateway.trust.issue(planner.id.segments.join('/'), { roles: ['reader', 'writer'] })
  const caller = await Caller.open(planner, wide)
  /** The first asks for the list, and the second has made his call when that comes. */
  const listedBetween = async (first: string, second: () => Promise<RawAnswer>) => {
    const [listed, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    held = () => (listed.resolve(), go.promise)
    const answer = gateway.rpc(planner, 'files', { token: first, session: caller.session, body: bodyOf('tools/list') })
    await listed.promise
    held = null
    equal(codeOf(await second()), 'allowed')
    go.resolve()
    return namesIn(await answer)
  }
  const call = (svid: TestSvid, token: string, name: string) => () =>
    gateway.rpc(svid, 'files', { token, session: caller.session, body: bodyOf('tools/call', { name, arguments: {} }) })
  deepEqual(await listedBetween(narrow, call(planner, wide, 'write_note')), ['read_note'])
  deepEqual(await listedBetween(wide, call(planner, narrowest, 'write_note')), tools)
  const after = await gateway.trust.token(renewed, audience, { scope: 'write' })
  deepEqual(await listedBetween(wide, call(renewed, after, 'write_note')), tools)
})

test('DX-4: a token that is narrowed does no more than that, whatever policy allows, and lists agree', async () => {
  const scope = 'read:files/*_note'
  const caller = await Caller.open(worker, await delegated([worker, planner], { scope }))
  equal(await caller.call('read_note'), 'allowed')
  const before = server.reached.length
  deepEqual([await caller.call('write_note'), await caller.call('read_plan')], Array(2).fill('scope_insufficient'))
  equal(server.reached.length, before)
  deepEqual(await caller.listed(), ['read_note'])
  const own = await Caller.open(planner, await gateway.trust.token(planner, audienceOf('files'), { scope: 'write' }))
  deepEqual([await own.call('write_note'), await own.call('read_note')], ['allowed', 'scope_insufficient'])
  const elsewhere = await Caller.open(
    planner,
    await gateway.trust.token(planner, audienceOf('files'), { scope: 'read:other/*' }),
  )
  equal(elsewhere.opening, 'scope_insufficient')
  const wide = await Caller.open(bare, await gateway.trust.token(bare, audienceOf('files'), { scope: '*' }))
  equal(wide.opening, 'policy_denied')
})

test('DX-6: a chain that no exchange has stamped, that loops, or is presented by another is refused', async () => {
  const reached = server.reached.length
  const [w, p] = [worker.id.uri, planner.id.uri]
  const token = (claims: Claims, svid = worker) => gateway.trust.token(svid, audienceOf('files'), claims)
  const wrong: readonly [string, Promise<string>, TestSvid?][] = [
    ['token_subject', token({ sub: p, act: { sub: w } })],
    ['token_subject', token({ sub: p })],
    ['token_subject', token({ sub: p, act: { sub: w, act: { sub: helper.id.uri } }, [chainClaim]: [linkOf(planner)] })],
    ['token_subject', token({ sub: w, act: { sub: w }, [chainClaim]: [linkOf(worker)] })],
    [
      'token_subject',
      token({ sub: p, act: { sub: w, act: { sub: w } }, [chainClaim]: [linkOf(worker), linkOf(planner)] }),
    ],
    ['token_subject', token({ sub: 'spiffe://evil.example/a', act: { sub: w }, [chainClaim]: [linkOf(planner)] })],
    [
      'token_subject',
      token({ sub: p, act: { sub: helper.id.uri }, client_id: helper.id.uri, [chainClaim]: [linkOf(planner)] }),
    ],
    ['token_binding', delegated([worker, planner]), helper],
    ['token_audience', token({ sub: p, act: { sub: w }, [chainClaim]: [linkOf(planner)], aud: audienceOf('other') })],
  ]
  for (const [code, made, svid = worker] of wrong) {
    const caller = new Caller(svid, await made)
    equal(await caller.call('read_note'), code)
  }
  equal(server.reached.length, reached)
})

test('a quota is that of every workload of the chain', async () => {
  const rare = async (svid: TestSvid, token: string) => (await Caller.open(svid, token)).call('read_rare')
  const own = (svid: TestSvid) => gateway.trust.token(svid, audienceOf('files'))
  equal(await rare(worker, await delegated([worker, planner])), 'allowed')
  equal(await rare(planner, await own(planner)), 'limit_user')
  equal(await rare(worker, await own(worker)), 'limit_user')
  equal(await rare(helper, await own(helper)), 'allowed')
})

test('roles that a link loses are gone from the chain, on an open stream too', async () => {
  const caller = await Caller.open(worker, await delegated([worker, helper, planner]))
  const socket = await caller.stream()
  const ended = endOf(socket)
  gateway.trust.register(helper.id.segments.join('/'), [])
  gateway.trust.apply()
  await gateway.pipeline.review()
  await ended
  socket.destroy()
  equal(await caller.call('read_note'), 'policy_denied')
})

function deny(id: string): void {
  gateway.trust.denied.identities.push({ id, issuedBefore: epochSeconds(now() + 1) })
}

/** What is open for the chain ends by this, what is asked next is refused, and calls of others go on. */
async function endsTheChain(take: () => unknown): Promise<void> {
  const caller = await Caller.open(worker, await delegated([worker, helper, planner]))
  const own = await Caller.open(worker, await gateway.trust.token(worker, audienceOf('files')))
  deepEqual([await caller.call('read_note'), await own.call('read_note')], ['allowed', 'allowed'])
  const [socket, other] = [await caller.stream(), await own.stream()]
  const ended = endOf(socket)
  take()
  gateway.trust.apply()
  await gateway.pipeline.review()
  await ended
  ok(!other.destroyed)
  for (const one of [socket, other]) one.destroy()
  const reached = server.reached.length
  equal(await caller.call('read_note'), 'chain_denied')
  equal(server.reached.length, reached)
  equal(await own.call('read_note'), 'allowed')
  const denials = (await gateway.entries()).map(({ body }) => (body as Record<string, unknown>)['code'])
  ok(denials.includes('chain_denied'))
}

test('RV-5: a denial of the token of whoever began ends the open stream and the next call, and no call of others', () =>
  endsTheChain(() => gateway.trust.denied.tokens.push(tokenOf(planner))))

test('RV-5: a denial of the token between ends the open stream and the next call, and no call of others', () =>
  endsTheChain(() => gateway.trust.denied.tokens.push(tokenOf(helper))))

test('RV-5: a denial of the certificate of the subject ends the open stream and the next call, and no call of others', () =>
  endsTheChain(() => gateway.trust.denied.serials.push(planner.certificate.serial)))

test('RV-5: a denial of the certificate between ends the open stream and the next call, and no call of others', () =>
  endsTheChain(() => gateway.trust.denied.serials.push(helper.certificate.serial)))

test('RV-5: a denial of the subject ends the open stream and the next call, and no call of others', () =>
  endsTheChain(() => deny(planner.id.uri)))

test('RV-5: a denial of who stands between ends the open stream and the next call, and no call of others', () =>
  endsTheChain(() => deny(helper.id.uri)))

test('a denial of the person ends what somebody does for them far down the chain', async () => {
  const user = { [userClaim]: alice, sub: userName(alice) }
  const act = { sub: worker.id.uri, act: { sub: planner.id.uri } }
  const chain = [linkOf(planner)]
  const token = await gateway.trust.token(worker, audienceOf('files'), { ...user, act, [chainClaim]: chain })
  const caller = await Caller.open(worker, token)
  deepEqual([await caller.call('read_note'), await caller.call('write_note')], ['allowed', 'policy_denied'])
  const ended = endOf(await caller.stream())
  deny(userName(alice))
  gateway.trust.apply()
  await gateway.pipeline.review()
  await ended
  equal(await caller.call('read_note'), 'identity_denied')
  // The sign-in is older than the denial, however young the exchange is.
  const later = { ...user, act, iat: epochSeconds(now() + 3), [chainClaim]: chain }
  const again = new Caller(worker, await gateway.trust.token(worker, audienceOf('files'), later))
  equal(await again.call('read_note'), 'identity_denied')
})
