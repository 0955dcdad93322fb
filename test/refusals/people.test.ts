/** Calls for people at a gateway: both parties are asked about, counted and on record, and a denial of either ends what is open. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { epochSeconds, userClaim, userName } from '@doorward/core'
import type { AccessTokenClaims } from '@doorward/core'
import { audienceOf, GatewayFixture, messagesOf } from '../fixtures/gateway-fixture.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { dial, talk } from '../fixtures/raw-http.ts'
import { json, scriptedServer, stream } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import { now } from '../fixtures/trust-fixture.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

const issuer = 'https://login.acme.example'
const alice = { issuer, subject: 'alice', groups: ['research'] }
const bob = { issuer, subject: 'bob', groups: [] }
const eve = { issuer: 'https://login.other.example', subject: 'alice', groups: ['research'] }

const carol = { issuer, subject: 'carol', groups: ['research'] }
const once = { count: 1, periodSeconds: 3600 }

let gateway: GatewayFixture
let server: ScriptedServer
let bridge: TestSvid
let stranger: TestSvid

before(async () => {
  server = await scriptedServer(({ body, method: verb }, response) => {
    if (verb === 'GET') return stream(response, ': open\n\n')
    if (verb !== 'POST') return void response.writeHead(204).end()
    const { id, method } = JSON.parse(body) as { id: number; method: string }
    const tools = ['read_note', 'write_note'].map((name) => ({ name, inputSchema: { type: 'object' } }))
    const result = method === 'tools/list' ? { tools } : { content: [] }
    json(response, JSON.stringify({ jsonrpc: '2.0', id, result }))
  })
  gateway = await GatewayFixture.open({
    servers: {
      files: { url: server.url, effects: { read: ['read_*'], write: ['write_*'], admin: [] } },
    },
    roles: { reader: ['read:files/*'], writer: ['write:files/*'] },
    pipeline: { quotas: [{ action: 'rare', covers: (_id, _action, { name }) => name === 'read_rare', rate: once }] },
    bindings: [
      { role: 'reader', workloads: ['spiffe://test.example/bridge/*'] },
      { role: 'writer', workloads: ['spiffe://test.example/bridge/*'] },
      { role: 'reader', issuer, groups: ['research'] },
      { role: 'writer', issuer, users: ['dora'] },
    ],
  })
  bridge = await gateway.trust.issue('bridge/laptop')
  stranger = await gateway.trust.issue('agent/other')
})
after(async () => {
  await gateway.close()
  await server.close()
})

type Person = typeof alice | typeof bob
const claimsFor = (svid: TestSvid, person: Person): Partial<AccessTokenClaims> => ({
  sub: userName(person),
  act: { sub: svid.id.uri },
  [userClaim]: person,
})
const tokenFor = (person: Person, svid = bridge, more: Partial<AccessTokenClaims> = {}) =>
  gateway.trust.token(svid, audienceOf('files'), { ...claimsFor(svid, person), ...more })

let nextId = 1
const bodyOf = (method: string, params: object = {}) => JSON.stringify({ jsonrpc: '2.0', id: nextId++, method, params })
const callOf = (name: string) => bodyOf('tools/call', { name, arguments: {} })

async function sessionOf(token: string, svid = bridge): Promise<string> {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
  const answer = await gateway.rpc(svid, 'files', { token, body: bodyOf('initialize', params) })
  const session = answer.headers['mcp-session-id'] ?? ''
  if (session !== '') {
    const body = '{"jsonrpc":"2.0","method":"notifications/initialized"}'
    await gateway.rpc(svid, 'files', { token, session, body })
  }
  return session
}

/** Resolves when a chunked answer has ended or its connection has closed. */
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

const codeOf = (answer: RawAnswer) => answer.headers['doorward-code'] ?? String(answer.status)

test('both the workload and the person must be allowed, and a list shows what calls may do', async () => {
  const token = await tokenFor(alice)
  const session = await sessionOf(token)
  const call = (name: string) => gateway.rpc(bridge, 'files', { token, session, body: callOf(name) })
  equal(codeOf(await call('read_note')), 'allowed')
  const reached = server.reached.length
  equal(codeOf(await call('write_note')), 'policy_denied')
  equal(server.reached.length, reached)
  const [listed] = messagesOf(await gateway.rpc(bridge, 'files', { token, session, body: bodyOf('tools/list') }))
  const tools = (listed?.result?.['tools'] ?? []) as readonly { readonly name: string }[]
  deepEqual(
    tools.map(({ name }) => name),
    ['read_note'],
  )
  const entries = await gateway.entries()
  const body = entries
    .map((entry) => entry.body as Record<string, unknown>)
    .find(({ resource }) => resource !== undefined)
  deepEqual(
    [body?.['caller'], body?.['subject'], body?.['presenter'], body?.['groups']],
    [`${bridge.id.uri} for ${issuer}#alice`, `${issuer}#alice`, bridge.id.uri, ['research']],
  )
})

test('nobody is let in whom no binding names: another person, another issuer, another workload', async () => {
  const reached = server.reached.length
  for (const [person, svid] of [
    [bob, bridge],
    [eve, bridge],
    [alice, stranger],
  ] as const)
    equal(await sessionOf(await tokenFor(person, svid), svid), '', `${person.subject} ${svid.id.uri}`)
  equal(server.reached.length, reached)
})

test('a session belongs to the workload and the person together', async () => {
  const session = await sessionOf(await tokenFor(alice))
  const own = await gateway.trust.token(bridge, audienceOf('files'))
  const answer = await gateway.rpc(bridge, 'files', { token: own, session, body: callOf('read_note') })
  equal(codeOf(answer), 'session_unknown')
})

test('a token for a person is refused in another hand, with another subject, and as a chain', async () => {
  const reached = server.reached.length
  const wrong: readonly [string, string][] = [
    ['token_binding', await tokenFor(alice, stranger)],
    ['token_subject', await tokenFor(alice, bridge, { sub: `${issuer}#bob` })],
    ['token_subject', await tokenFor(alice, bridge, { act: { sub: bridge.id.uri, act: { sub: stranger.id.uri } } })],
    ['token_subject', await tokenFor(alice, bridge, { act: { sub: stranger.id.uri } })],
  ]
  for (const [code, token] of wrong)
    equal(codeOf(await gateway.rpc(bridge, 'files', { token, body: callOf('read_note') })), code)
  equal(server.reached.length, reached)
})

test('a quota is that of the workload and of the person, whichever of them comes in another company', async () => {
  const second = await gateway.trust.issue('bridge/second')
  const rare = async (person: Person, svid: TestSvid) => {
    const token = await tokenFor(person, svid)
    const session = await sessionOf(token, svid)
    return codeOf(await gateway.rpc(svid, 'files', { token, session, body: callOf('read_rare') }))
  }
  equal(await rare(alice, bridge), 'allowed')
  equal(await rare(carol, bridge), 'limit_user')
  equal(await rare(alice, second), 'limit_user')
  equal(await rare(carol, second), 'allowed')
})

test('a denial of the person ends the stream that is open and what was issued before, and no other', async () => {
  const [token, own] = [await tokenFor(alice), await gateway.trust.token(bridge, audienceOf('files'))]
  const [session, other] = [await sessionOf(token), await sessionOf(own)]
  const streams = await Promise.all(
    [
      { token, session },
      { token: own, session: other },
    ].map(async (rpc) => {
      const socket = await dial(gateway.connection(bridge))
      const request = await gateway.request(bridge, 'files', { ...rpc, method: 'GET' })
      await talk(socket, request, (soFar) => soFar.includes('\r\n\r\n'))
      return socket
    }),
  )
  const ended = endOf(streams[0]!)
  gateway.trust.denied.identities.push({ id: userName(alice), issuedBefore: epochSeconds(now() + 1) })
  gateway.trust.apply()
  await gateway.pipeline.review()
  await ended
  ok(!streams[1]!.destroyed)
  for (const socket of streams) socket.destroy()
  equal(codeOf(await gateway.rpc(bridge, 'files', { token, session, body: callOf('read_note') })), 'identity_denied')
  const again = { token: own, session: other, body: callOf('read_note') }
  equal(codeOf(await gateway.rpc(bridge, 'files', again)), 'allowed')
  const fresh = await tokenFor(alice, bridge, { iat: epochSeconds(now() + 2) })
  equal(codeOf(await gateway.rpc(bridge, 'files', { token: fresh, session, body: callOf('read_note') })), 'allowed')
})
