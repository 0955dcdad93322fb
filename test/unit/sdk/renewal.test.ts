import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { after, before, test } from 'node:test'
import { epochMillis } from '@doorward/core'
import {
  connectionError,
  join,
  openIdentity,
  renewalPlan,
  systemProcesses,
  systemRuntime,
  underLock,
} from '@doorward/sdk'
import type { Identity, Runtime } from '@doorward/sdk'
import { newLeaf } from '../../fixtures/trust-fixture.ts'
import { FakeAuthority } from './fake-authority.ts'
import { memorySealer } from './memory-sealer.ts'

const sealer = memorySealer()
let root: string
before(async () => {
  root = await mkdtemp(path(tmpdir(), 'doorward-renewal-'))
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
  readonly runtime: Runtime
  readonly open: () => Promise<Identity>
}

/** A joined identity whose wall clock the test moves. Time only ever moves for the client. */
async function stage(name: string, options: { ttlSeconds?: number } = {}): Promise<Stage> {
  const authority = await FakeAuthority.start(options)
  closing.push(() => authority.close())
  const folder = path(root, name)
  await join({ joinString: authority.joinString(), folder, sealer })
  const clock = { offset: 0 }
  const wall = () => epochMillis(systemRuntime.wall() + clock.offset)
  const runtime = { ...systemRuntime, wall, chance: () => 0.5 }
  const open = async () => {
    const identity = await openIdentity({ folder, sealer, runtime })
    closing.push(() => identity.close())
    return identity
  }
  return { authority, folder, clock, runtime, open }
}

const renewals = (authority: FakeAuthority) => authority.paths().filter((one) => one === 'POST /v1/renew').length

test('a certificate is renewed between 45 and 55 per cent of its life', async () => {
  const { authority } = await stage('plan')
  const svid = await newLeaf(authority.fixture.anchor, authority.fixture.id('agent', 'x'))
  const issued = (svid.certificate.notBefore + 60) * 1000
  const life = svid.certificate.notAfter * 1000 - issued
  for (const chance of [0, 0.25, 0.5, 0.999_999]) {
    const share = (renewalPlan(svid, chance).renewAt - issued) / life
    assert.ok(share >= 0.45 && share <= 0.55, String(share))
  }
})

test('at least five attempts fit between the planned moment and expiry', async () => {
  const { authority } = await stage('attempts')
  for (const secondsLeft of [60, 300, 3600, 86_400]) {
    const svid = await newLeaf(authority.fixture.anchor, authority.fixture.id('agent', 'x'), { secondsLeft })
    const { renewAt, expiresAt, backoff } = renewalPlan(svid, 0.999_999)
    assert.ok(renewAt + 5 * backoff.cap < expiresAt, String(secondsLeft))
  }
})

test('before its moment nothing is asked for', async () => {
  const { authority, open } = await stage('early')
  await (await open()).prepare()
  assert.equal(renewals(authority), 0)
})

test('a due certificate is replaced by one over a new key, and calls go on under it', async () => {
  const { authority, clock, open } = await stage('due', { ttlSeconds: 200 })
  const identity = await open()
  const first = identity.credentials.current()
  clock.offset = 110_000
  authority.ttlSeconds = 3600
  // The fixture's own certificates live an hour; only the client's clock has moved.
  await identity.prepare()
  const second = identity.credentials.current()
  assert.notEqual(second.fingerprint, first.fingerprint)
  assert.notDeepEqual(second.certificate.publicKeySpki, first.certificate.publicKeySpki)
  const response = await identity.call(authority.mainUrl, {
    audience: authority.mainUrl,
    expectedId: identity.authorityId,
  })
  assert.equal(response.status, 200)
  response.body.resume()
})

test('a failed renewal keeps the certificate that is still valid', async () => {
  const { authority, clock, open } = await stage('failing', { ttlSeconds: 200 })
  const identity = await open()
  await identity.prepare()
  const held = identity.credentials.current().fingerprint
  clock.offset = 110_000
  authority.ttlSeconds = 3600
  authority.failWith = 503
  await identity.prepare()
  assert.equal(identity.credentials.current().fingerprint, held)
})

test('an answer that does not come in time is told apart from an abort by the caller', () => {
  const timeout = new DOMException('timed out', 'TimeoutError')
  assert.equal(connectionError(new Error('aborted', { cause: timeout }), 'x').code, 'connection_timeout')
  assert.equal(connectionError(new DOMException('aborted', 'AbortError'), 'x').code, 'call_aborted')
})

test('after every certificate has lapsed the machine key brings the workload back', async () => {
  const { authority, clock, open } = await stage('dark', { ttlSeconds: 100 })
  clock.offset = 120_000
  authority.ttlSeconds = 3600
  const identity = await open()
  const expired = identity.credentials.current().fingerprint
  await identity.prepare()
  assert.notEqual(identity.credentials.current().fingerprint, expired)
  assert.equal(renewals(authority), 0)
})

test('a denied certificate is replaced as soon as the trust state says so', async () => {
  const { authority, open } = await stage('denied')
  const identity = await open()
  const running = new AbortController()
  const run = identity.run(running.signal)
  const { serial, fingerprint } = identity.credentials.current().certificate
  const replaced = new Promise<void>((resolve) => identity.credentials.onChange(() => resolve()))
  await identity.trust.next(10_000)
  authority.fixture.denied.serials.push(serial)
  await authority.publish()
  await replaced
  assert.notEqual(identity.credentials.current().fingerprint, fingerprint)
  running.abort()
  await run
})

test('two processes of one identity renew once and both use the new certificate', async () => {
  const { authority, folder, clock, runtime } = await stage('two', { ttlSeconds: 200 })
  clock.offset = 110_000
  authority.ttlSeconds = 3600
  const identities = await Promise.all([1, 2].map(() => openIdentity({ folder, sealer, runtime })))
  for (const identity of identities) closing.push(() => identity.close())
  await Promise.all(identities.map((identity) => identity.prepare()))
  assert.equal(renewals(authority), 1)
  assert.equal(new Set(identities.map((identity) => identity.credentials.current().fingerprint)).size, 1)
})

test('two operating-system processes under one lock never overlap', async () => {
  const lock = path(root, 'lock')
  const worker = path(import.meta.dirname, 'lock-worker.ts')
  const children = [1, 2, 3].map(() => fork(worker, [lock], { execArgv: ['--conditions=source'] }))
  const codes = await Promise.all(children.map((child) => new Promise((resolve) => child.once('exit', resolve))))
  assert.deepEqual(codes, [0, 0, 0])
})

test('the lock of a process that died is broken, the lock of a living one is waited for', async () => {
  const lock = path(root, 'dead')
  const processes = systemProcesses()
  const dead = { ...processes.self(), pid: 2 ** 22 - 3, started: '1' }
  await writeFile(lock, JSON.stringify({ ...dead, nonce: 'x' }))
  const options = { path: lock, runtime: systemRuntime, processes }
  assert.equal(await underLock(options, async () => 'mine'), 'mine')
  await writeFile(lock, JSON.stringify({ ...processes.self(), nonce: 'y' }))
  await assert.rejects(
    underLock({ ...options, waitMilliseconds: 60 }, async () => 'never'),
    { code: 'lock_timeout' },
  )
})

test('a certificate that another process stored is picked up at the next use', async () => {
  const { authority, folder, clock, runtime, open } = await stage('picked', { ttlSeconds: 200 })
  const idle = await open()
  await idle.prepare()
  clock.offset = 110_000
  authority.ttlSeconds = 3600
  const busy = await openIdentity({ folder, sealer, runtime })
  closing.push(() => busy.close())
  await busy.prepare()
  await utimes(path(folder, 'svid.json'), new Date(), new Date())
  const response = await idle.call(idle.authorityUrl, { audience: idle.authorityUrl, expectedId: idle.authorityId })
  response.body.resume()
  assert.equal(idle.credentials.current().fingerprint, busy.credentials.current().fingerprint)
})
