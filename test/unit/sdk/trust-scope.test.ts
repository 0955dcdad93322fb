/**
 * Messages of the other scope, signed by the key that followers trust, on the way to them (reference ids RV-1, RV-3). Each
 * is right but for its scope: a state is neither applied nor remembered, a heartbeat confirms nothing.
 */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { after, before, test } from 'node:test'
import { isDoorwardError, trustMessageBytes } from '@doorward/core'
import type { TrustScope } from '@doorward/core'
import { IdentityFolder, join, openIdentity } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { readLines } from '../../../packages/sdk/src/lines.ts'
import { FakeAuthority } from './fake-authority.ts'
import { memorySealer } from './memory-sealer.ts'

const scopes: readonly TrustScope[] = ['callers', 'full']
const sealer = memorySealer()
const closing: (() => unknown)[] = []
let root: string

before(async () => {
  root = await mkdtemp(path(tmpdir(), 'doorward-scope-'))
})
after(async () => {
  for (const close of closing.reverse()) await close()
  await rm(root, { recursive: true, force: true })
})

const otherThan = (scope: TrustScope): TrustScope => (scope === 'full' ? 'callers' : 'full')
const streamOf = (scope: TrustScope) => `/v1/trust-state${scope === 'full' ? '/full' : ''}?follow=true`

async function authorityFor(scope: TrustScope): Promise<FakeAuthority> {
  const authority = await FakeAuthority.start()
  closing.push(() => authority.close())
  authority.scope = scope
  return authority
}

/** The folder of one who has joined for the scope. */
async function joined(authority: FakeAuthority, scope: TrustScope): Promise<string> {
  const folder = path(root, `${scope}-${closing.length}`)
  await join({ joinString: authority.joinString(), folder, sealer, scope })
  return folder
}

interface Following {
  readonly identity: Identity
  /** Codes of what was refused or has failed. */
  readonly problems: string[]
  /** Scopes of the states that were applied. */
  readonly applied: TrustScope[]
  /** How often the state held was confirmed. */
  readonly confirmations: () => number
  /** Puts a message on the stream that is followed. */
  readonly send: (message: object) => void
}

/** Follows until the test ends. Resolves when the newest state is held. */
async function follow(authority: FakeAuthority, scope: TrustScope, folder: string): Promise<Following> {
  const streams = new Set<ServerResponse>()
  for (const server of authority.places.flatMap(({ servers }) => servers))
    server.on('request', ({ url }: IncomingMessage, response: ServerResponse) => {
      if (url === streamOf(scope)) streams.add(response)
    })
  const problems: string[] = []
  const onProblem = (error: unknown) => problems.push(isDoorwardError(error) ? error.code : String(error))
  const identity = await openIdentity({ folder, sealer, onProblem })
  const applied: TrustScope[] = []
  identity.trustStore.onAccept(({ state }) => applied.push(state.scope))
  const confirm = identity.trust.confirm.bind(identity.trust)
  let confirmations = 0
  identity.trust.confirm = (time) => {
    confirmations++
    confirm(time)
  }
  const stop = new AbortController()
  const running = identity.run(stop.signal)
  closing.push(async () => {
    stop.abort()
    await running
    identity.close()
  })
  const { sequence } = authority.state()
  await until(() => identity.trust.current()?.state.sequence === sequence, 'the newest state')
  const send = (message: object) => {
    for (const stream of streams) if (stream.writable) stream.write(`${JSON.stringify(message)}\n`)
  }
  return { identity, problems, applied, confirmations: () => confirmations, send }
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!holds()) {
    assert.ok(performance.now() < deadline, `not seen in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** A heartbeat of the scope for what the other scope holds: all that followers of the other one look at is right, but the scope. */
async function strayHeartbeat(authority: FakeAuthority, scope: TrustScope): Promise<object> {
  const svid = await authority.fixture.issue('agent/listener')
  const asked = request(`${authority.mainUrl}${streamOf(scope)}`, {
    ...svid.pem,
    ca: authority.fixture.anchorsPem,
    checkServerIdentity: () => undefined,
    headers: { authorization: `Bearer ${await authority.fixture.token(svid, authority.mainUrl)}` },
  })
  asked.on('error', () => undefined).end()
  const response = await new Promise<IncomingMessage>((resolve) => asked.once('response', resolve))
  const lines = readLines(response, trustMessageBytes)
  await lines.next()
  const current = authority.current.bind(authority)
  authority.current = () => current(otherThan(scope))
  await authority.heartbeat()
  authority.current = current
  const line = String((await lines.next()).value)
  asked.destroy()
  const message = JSON.parse(line) as { readonly kind: string; readonly payload: string }
  const { scope: told } = JSON.parse(Buffer.from(message.payload, 'base64url').toString('utf8')) as {
    scope: TrustScope
  }
  assert.deepEqual([message.kind, told], ['heartbeat', scope])
  return message
}

test('RV-1: who follows applies no state of the other scope, and goes on with the next of its own', async () => {
  for (const scope of scopes) {
    const authority = await authorityFor(scope)
    const folder = await joined(authority, scope)
    const { identity, problems, applied, send } = await follow(authority, scope, folder)
    const held = identity.trustStore.version()
    const live = identity.trust.current()
    authority.fixture.register('agent/new', ['reader'])
    authority.fixture.apply()
    // Whoever comes back for the right state gets none for now.
    authority.failWith = 503
    send(await authority.current(otherThan(scope)))
    await until(() => problems.includes('trust_state_scope') || identity.trust.current() !== live, 'what becomes of it')
    assert.deepEqual(identity.trustStore.version(), held)
    assert.equal(identity.trust.current(), live)
    const remembered = await new IdentityFolder(folder, sealer).readTrust()
    assert.equal(remembered?.version.digest, held?.digest)
    authority.failWith = null
    const { sequence, workloads } = authority.state()
    await until(() => identity.trust.current()?.state.sequence === sequence, 'the next state')
    assert.deepEqual(new Set(applied), new Set([scope]))
    assert.equal(identity.trustStore.view()?.roles.size, scope === 'full' ? workloads.length : 0)
  }
})

test('RV-3: a heartbeat of the other scope confirms nothing to who follows, and the next of its own does', async () => {
  for (const scope of scopes) {
    const authority = await authorityFor(scope)
    const folder = await joined(authority, scope)
    const stray = await strayHeartbeat(authority, otherThan(scope))
    const { identity, problems, confirmations, send } = await follow(authority, scope, folder)
    const held = identity.trustStore.version()
    send(stray)
    await until(() => problems.includes('heartbeat_scope') || confirmations() > 0, 'what becomes of it')
    assert.equal(confirmations(), 0)
    assert.deepEqual(identity.trustStore.version(), held)
    await authority.heartbeat()
    await until(() => confirmations() > 0, 'a confirmation')
    assert.deepEqual(new Set(problems), new Set(['heartbeat_scope']))
  }
})

test('RV-1: who joins takes no state of the other scope along with its certificate', async () => {
  for (const scope of scopes) {
    const authority = await authorityFor(otherThan(scope))
    const folder = path(root, `${scope}-joins`)
    const joining = join({ joinString: authority.joinString(), folder, sealer, scope })
    await assert.rejects(joining, { code: 'trust_state_scope' })
    assert.equal(await new IdentityFolder(folder, sealer).readTrust(), null)
  }
})
