/** What the SDK gives to tests of programs: the same decisions as with an authority, and no way into a deployment. */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { getRequestListener } from '@hono/node-server'
import { callOf, protect } from '@doorward/sdk'
import type { ProtectedListener, ProtectedServer } from '@doorward/sdk'
import { testAuthority, testCall, testPrincipal } from '@doorward/sdk/testing'
import type { TestAuthority, TestIdentity } from '@doorward/sdk/testing'
import { freePorts } from '../../fixtures/deployment.ts'

let folder: string
let authority: TestAuthority
let callee: TestIdentity
let server: ProtectedServer
let audience: string
const told: { readonly presenter: string; readonly subject: unknown; readonly links: number }[] = []

const handler: ProtectedListener = (request, response, { principal, signal }) => {
  const { presenter, subject, chain = [] } = principal
  const name = subject.kind === 'workload' ? subject.id.uri : subject.subject
  told.push({ presenter: presenter.uri, subject: name, links: chain.length })
  response.write('begun\n')
  if (request.url !== '/open') response.end()
  else signal.addEventListener('abort', () => undefined)
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-testing-'))
  authority = await testAuthority()
  callee = await authority.identity('service/callee')
  const [port = 0] = await freePorts(1)
  audience = `https://127.0.0.1:${port}`
  server = await protect(handler, {
    identity: callee,
    audience,
    listen: { host: '127.0.0.1', port },
    service: 'callee',
    routes: ['GET /x', 'GET /open', 'POST /x'],
    policy: { roles: { reader: ['read:callee/*'] } },
    record: { folder: join(folder, 'record'), checkpoints: join(folder, 'checkpoints') },
  })
})
after(async () => {
  await server.close(0)
  await callee.close()
  await rm(folder, { recursive: true })
})

const caller = (name: string, roles: readonly string[]) =>
  authority.identity(name, { roles, peers: { [audience]: { id: callee.id.uri } } })
const codeOf = ({ headers }: Response) => headers.get('doorward-code')

test('roles decide, change at once, and an open answer ends with them', async () => {
  await using one = await caller('agent/one', ['reader'])
  assert.equal((await one.fetch(`${audience}/x`)).status, 200)
  assert.equal(codeOf(await one.fetch(`${audience}/x`, { method: 'POST' })), 'policy_denied')
  const open = await one.fetch(`${audience}/open`)
  const reader = open.body?.getReader()
  assert.equal((await reader?.read())?.done, false)
  authority.setRoles('agent/one', [])
  await assert.rejects(async () => reader?.read())
  assert.equal(codeOf(await one.fetch(`${audience}/x`)), 'policy_denied')
})

test('a chain is told as an authority would have made it', async () => {
  await using first = await caller('agent/first', ['reader'])
  await using middle = await caller('service/middle', ['reader'])
  const onBehalfOf = await first.token('https://middle.acme.test')
  assert.equal((await middle.fetch(`${audience}/x`, { token: { onBehalfOf } })).status, 200)
  assert.deepEqual(told.at(-1), { presenter: middle.id.uri, subject: first.id.uri, links: 1 })
  const scope = ['read:other/*']
  assert.equal(codeOf(await middle.fetch(`${audience}/x`, { token: { scope } })), 'scope_insufficient')
})

test('who is of another authority of the same name, or was revoked, is nobody', async () => {
  const reached = told.length
  const other = await testAuthority()
  await using stranger = await other.identity('agent/one', {
    roles: ['reader'],
    peers: { [audience]: { id: callee.id.uri } },
  })
  await assert.rejects(stranger.fetch(`${audience}/x`))
  await using gone = await caller('agent/gone', ['reader'])
  authority.revoke('agent/gone')
  const answer = await gone.fetch(`${audience}/x`).then(codeOf, () => 'closed')
  assert.notEqual(answer, 'allowed')
  assert.equal(told.length, reached)
})

test('a trust domain that a deployment may have is refused, and so is what is not decided here', async () => {
  await assert.rejects(testAuthority({ trustDomain: 'acme.example' }), { code: 'test_trust_domain' })
  await using one = await caller('agent/limited', ['reader'])
  await assert.rejects(one.token(audience, { mayAct: [] }), { code: 'test_unsupported' })
})

test('a handler is called without a socket, frameworks too', async () => {
  const principal = testPrincipal('spiffe://acme.test/agent/planner', { roles: ['reader'] })
  const echo: ProtectedListener = async (request, response, call) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    response.writeHead(201, { 'X-Caller': call.principal.presenter.uri })
    response.end(`${request.method} ${call.route} ${Buffer.concat(parts).toString()}`)
  }
  const made = await testCall(echo, principal, { method: 'POST', url: '/orders?x=1', body: 'tea' })
  assert.deepEqual([made.status, made.headers['x-caller']], [201, 'spiffe://acme.test/agent/planner'])
  assert.equal(made.text(), 'POST POST /orders tea')
  const listener = getRequestListener((_request, env) =>
    Response.json({ caller: callOf(env.incoming)?.principal.presenter.uri }),
  )
  assert.deepEqual((await testCall((...call) => listener(call[0], call[1]), principal)).json(), {
    caller: 'spiffe://acme.test/agent/planner',
  })
  const failing: ProtectedListener = () => {
    throw new Error('broken')
  }
  await assert.rejects(testCall(failing, principal), /broken/)
})

test('nothing else of the SDK has any of it', () => {
  const main = createRequire(import.meta.url)('@doorward/sdk') as object
  assert.deepEqual(
    Object.keys(main).filter((name) => name.startsWith('test')),
    [],
  )
})
