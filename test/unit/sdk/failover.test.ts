/** Several authorities, one trust domain: what a client does when the one it asks fails. */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { after, before, test } from 'node:test'
import { epochMillis } from '@doorward/core'
import { TrustHolder } from '@doorward/enforcement'
import { importP256, join, openIdentity, sha256, systemRuntime } from '@doorward/sdk'
import type { Identity, Runtime } from '@doorward/sdk'
import { authorityCalls } from '../../../packages/sdk/src/authority-calls.ts'
import { AuthorityRoute } from '../../../packages/sdk/src/authority-route.ts'
import { IdentityFolder } from '../../../packages/sdk/src/identity-folder.ts'
import { TrustClient } from '../../../packages/sdk/src/trust-client.ts'
import { TrustStore } from '../../../packages/sdk/src/trust-store.ts'
import { FakeAuthority } from './fake-authority.ts'
import type { FakePlace } from './fake-place.ts'
import { memorySealer } from './memory-sealer.ts'

const sealer = memorySealer()
let root: string
before(async () => {
  root = await mkdtemp(path(tmpdir(), 'doorward-failover-'))
})
after(() => rm(root, { recursive: true, force: true }))
const closing: (() => unknown)[] = []
after(async () => {
  for (const close of closing.reverse()) await close()
})

interface Stage {
  readonly authority: FakeAuthority
  readonly folder: string
  readonly clock: { offset: number }
  readonly first: FakePlace
  readonly second: FakePlace
  readonly open: () => Promise<Identity>
  /** Which place has been asked for this, oldest first. */
  readonly asked: (what: string) => readonly string[]
}

/** An identity that knows two authorities; `first` is the one that it asks by itself. */
async function stage(name: string, options: { ttlSeconds?: number } = {}): Promise<Stage> {
  const authority = await FakeAuthority.start(options)
  closing.push(() => authority.close())
  await authority.addPlace('second')
  await authority.announce()
  const folder = path(root, name)
  await join({ joinString: authority.joinString(), folder, sealer })
  const clock = { offset: 0 }
  const wall = () => epochMillis(systemRuntime.wall() + clock.offset)
  const runtime: Runtime = { ...systemRuntime, wall, chance: () => 0.5 }
  const open = async () => {
    const identity = await openIdentity({ folder, sealer, runtime })
    closing.push(() => identity.close())
    return identity
  }
  const asked = (what: string) =>
    authority.asked.filter(({ method, path: at }) => `${method} ${at}` === what).map(({ place }) => place)
  await (await open()).token('https://probe.test.example')
  const [chosen = 'main'] = asked('POST /v1/token')
  const first = authority.places.find((place) => place.name === chosen)
  const second = authority.places.find((place) => place.name !== chosen)
  assert.ok(first !== undefined && second !== undefined)
  authority.asked.length = 0
  return { authority, folder, clock, first, second, open, asked }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

test('OP-12: a token comes from another authority when the first is gone, and the next one at once', async () => {
  const { first, second, open, asked } = await stage('token')
  const identity = await open()
  await first.close()
  await identity.token('https://one.test.example')
  await identity.token('https://two.test.example')
  assert.deepEqual(asked('POST /v1/token'), [second.name, second.name])
})

test('OP-12: an authority that cannot sign or has no store is left, and asked again when no other is there', async () => {
  const { first, second, open, asked } = await stage('unready')
  const identity = await open()
  first.failWith = { status: 503, code: 'authority_unready', retryAfter: '5' }
  await identity.token('https://one.test.example')
  assert.deepEqual(asked('POST /v1/token'), [first.name, second.name])
  second.failWith = { status: 503, code: 'store_unavailable' }
  await assert.rejects(identity.token('https://two.test.example'), { code: 'authority_unready' })
  first.failWith = null
  await identity.token('https://three.test.example')
  assert.equal(asked('POST /v1/token').at(-1), first.name)
})

test('a refusal is not carried to another authority', async () => {
  const { first, open, asked } = await stage('refused')
  const identity = await open()
  first.failWith = { status: 401, code: 'identity_denied' }
  await assert.rejects(identity.token('https://one.test.example'), { code: 'identity_denied' })
  assert.deepEqual(asked('POST /v1/token'), [first.name])
})

test('OP-12: renewal goes on while the authority that issued is gone, under the same identity', async () => {
  const { authority, clock, first, second, open, asked } = await stage('renewal', { ttlSeconds: 200 })
  const identity = await open()
  const held = identity.credentials.current().fingerprint
  await first.close()
  clock.offset = 110_000
  authority.ttlSeconds = 3600
  await identity.prepare()
  assert.notEqual(identity.credentials.current().fingerprint, held)
  assert.deepEqual(asked('POST /v1/renew'), [second.name])
})

test('OP-1: an agent whose certificate lapsed returns by another authority, and needs no human', async () => {
  const { authority, clock, first, second, open } = await stage('dark', { ttlSeconds: 100 })
  authority.ttlSeconds = 3600
  await first.close()
  clock.offset = 120_000
  const identity = await open()
  const held = identity.credentials.current().fingerprint
  authority.fixture.apply()
  await identity.prepare()
  assert.notEqual(identity.credentials.current().fingerprint, held)
  const enrolled = authority.asked.filter(({ listener }) => listener === 'enrol')
  assert.ok(enrolled.length >= 2 && enrolled.every(({ place }) => place === second.name))
})

test('the places of the authorities are remembered when the trust state itself has ended', async () => {
  const { authority, clock, open } = await stage('remembered')
  clock.offset = 8 * 86_400_000
  const { trustStore } = await open()
  assert.equal(trustStore.view(), null)
  assert.deepEqual(trustStore.authorities(), authority.state().authorities)
})

test('a place at which another workload answers gets nothing, and is passed over', async () => {
  const { authority, first, open, asked } = await stage('impostor')
  const { fixture } = authority
  const gateway = await fixture.issue('doorward/gateway/bold')
  const identity = await open()
  const ca = fixture.anchorsPem
  for (const server of first.servers) server.setSecureContext({ ...gateway.pem, ca, minVersion: 'TLSv1.3' })
  await identity.token('https://one.test.example')
  assert.ok(!asked('POST /v1/token').includes(first.name))
})

test('RV-3: the trust stream moves when its authority is silent or gone, and acknowledges where it follows', async () => {
  const { authority, folder, first, second, asked } = await stage('stream')
  const { store, client } = await follower(folder, authority)
  const stop = new AbortController()
  const run = client.run(stop.signal)
  const follows = 'GET /v1/trust-state?follow=true'
  const acks = (place: FakePlace) => asked('POST /v1/trust-state/ack').filter((name) => name === place.name).length
  try {
    await until(() => acks(first) > 0)
    assert.deepEqual(asked(follows), [first.name])
    first.silent = true
    await until(() => acks(second) > 0)
    await authority.publish()
    await until(() => store.version()?.sequence === authority.state().sequence)
    first.silent = false
    await second.close()
    await until(() => asked(follows).at(-1) === first.name)
  } finally {
    stop.abort()
    await run
  }
})

/** A trust client by itself, which counts as silent what says nothing for a tenth of a second. */
async function follower(folder: string, authority: FakeAuthority) {
  const runtime = { ...systemRuntime, chance: () => 0 }
  const identity = await openIdentity({ folder, sealer, runtime })
  closing.push(() => identity.close())
  const files = new IdentityFolder(folder, sealer)
  const description = await files.readDescription()
  assert.ok(description !== null)
  const holder = new TrustHolder({ sha256, importP256, monotonic: runtime.monotonic, wall: runtime.wall })
  const store = new TrustStore({ description, folder: files, holder, runtime })
  await store.load()
  const route = new AuthorityRoute({
    home: { main: new URL(authority.mainUrl).host, enrol: authority.enrolAddress },
    known: () => store.authorities(),
    seed: '0.5',
    monotonic: runtime.monotonic,
  })
  const client = new TrustClient({
    store,
    scope: description.scope,
    authority: authorityCalls({
      route,
      fetch: identity,
      prepare: () => identity.token(authority.mainUrl),
      authorityId: identity.authorityId,
      authorityUrl: authority.mainUrl,
    }),
    runtime,
    onProblem: () => undefined,
    rescue: async () => undefined,
    silenceMilliseconds: 100,
  })
  return { store, client }
}
