/** What a workload does when the trust state says that its certificate is to be replaced, or is worth nothing any more. */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { after, before, test } from 'node:test'
import { epochMillis, isDoorwardError, readCertificate } from '@doorward/core'
import type { TrustAnchor } from '@doorward/core'
import { importP256, join, openIdentity, serverProblem, sha256, systemRuntime } from '@doorward/sdk'
import type { Identity, Runtime } from '@doorward/sdk'
import type { ServerTrust } from '../../../packages/sdk/src/server-identity.ts'
import { svidStanding } from '../../../packages/sdk/src/svid-standing.ts'
import { Turn } from '../../../packages/sdk/src/turn.ts'
import { newAnchor, newLeaf, now, trustAnchorOf, TrustFixture } from '../../fixtures/trust-fixture.ts'
import { FakeAuthority } from './fake-authority.ts'
import { memorySealer } from './memory-sealer.ts'

const sealer = memorySealer()
let root: string
before(async () => {
  root = await mkdtemp(path(tmpdir(), 'doorward-recall-'))
})
after(() => rm(root, { recursive: true, force: true }))
const closing: (() => unknown)[] = []
after(async () => {
  for (const close of closing.reverse()) await close()
})

interface Stage {
  readonly authority: FakeAuthority
  readonly identity: Identity
  readonly problems: unknown[]
  /** What the loops wanted to sleep, in milliseconds. */
  readonly sleeps: number[]
  readonly clock: { offset: number }
}

/** An identity whose loops run. Its turn comes after a hundredth of the time in which there are turns. */
async function stage(name: string, change: Partial<Runtime> = {}): Promise<Stage> {
  const authority = await FakeAuthority.start()
  closing.push(() => authority.close())
  const folder = path(root, name)
  await join({ joinString: authority.joinString(), folder, sealer })
  const sleeps: number[] = []
  const problems: unknown[] = []
  const clock = { offset: 0 }
  const runtime: Runtime = {
    ...systemRuntime,
    wall: () => epochMillis(systemRuntime.wall() + clock.offset),
    chance: () => 0.01,
    sleep: (milliseconds, signal) => {
      sleeps.push(milliseconds)
      return systemRuntime.sleep(milliseconds, signal)
    },
    ...change,
  }
  const identity = await openIdentity({ folder, sealer, runtime, onProblem: (error) => problems.push(error) })
  closing.push(() => identity.close())
  const stop = new AbortController()
  const run = identity.run(stop.signal)
  closing.push(async () => {
    stop.abort()
    await run
  })
  await identity.trust.next(10_000)
  return { authority, identity, problems, sleeps, clock }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

const count = (authority: FakeAuthority, what: string) => authority.paths().filter((one) => one === what).length
const returns = (authority: FakeAuthority) => authority.paths('enrol').length

test('CA-2: what a retired authority has signed is replaced when it is asked for, by renewal, once, and was good until then', async () => {
  const { authority, identity } = await stage('recalled')
  const { fixture } = authority
  const held = identity.credentials.current()
  const joined = returns(authority)
  const next = await newAnchor(fixture.trustDomain)
  authority.recalled.add(fixture.anchor.keyId)
  await authority.rotate(next, [fixture.anchor])
  await until(() => identity.credentials.current().fingerprint !== held.fingerprint)
  assert.equal(identity.credentials.current().certificate.authorityKeyId, next.keyId)
  await authority.publish()
  await until(() => identity.trustStore.version()?.sequence === authority.state().sequence)
  assert.deepEqual([count(authority, 'POST /v1/renew'), returns(authority)], [1, joined])
})

test('an authority that signs with what it recalls is not asked again and again', async () => {
  const { authority, identity, sleeps } = await stage('again')
  const held = identity.credentials.current()
  authority.recalled.add(authority.fixture.anchor.keyId)
  await authority.publish()
  await until(() => identity.credentials.current().fingerprint !== held.fingerprint)
  await authority.publish()
  await until(() => identity.trustStore.version()?.sequence === authority.state().sequence)
  await until(() => (sleeps.at(-1) ?? 0) > 20_000)
  assert.equal(count(authority, 'POST /v1/renew'), 1)
})

test('a certificate that cannot be replaced yet is kept, and the replacement tried again', async () => {
  const { authority, identity, problems } = await stage('kept')
  const held = identity.credentials.current().fingerprint
  authority.failWith = 503
  authority.recalled.add(authority.fixture.anchor.keyId)
  await authority.publish()
  await until(() => problems.length >= 2)
  assert.equal(identity.credentials.current().fingerprint, held)
  authority.failWith = null
  await until(() => identity.credentials.current().fingerprint !== held)
})

test('when the authority does not take the certificate, the machine key replaces it', async () => {
  for (const code of ['certificate_epoch', 'certificate_denied', 'certificate_not_issued']) {
    const { authority, identity } = await stage(`refused-${code}`)
    const held = identity.credentials.current().fingerprint
    const joined = returns(authority)
    authority.refuseAlways = { path: '/v1/renew', code }
    authority.recalled.add(authority.fixture.anchor.keyId)
    await authority.publish()
    await until(() => identity.credentials.current().fingerprint !== held)
    assert.equal(returns(authority), joined + 2, code)
  }
})

test('RV-6: a certificate whose authority is of an earlier epoch is replaced by the machine key', async () => {
  const { authority, identity } = await stage('epoch')
  const { fixture } = authority
  const held = identity.credentials.current().fingerprint
  const next = await newAnchor(fixture.trustDomain)
  authority.epochs.set(fixture.anchor.keyId, 1)
  fixture.epoch = 2
  await authority.rotate(next, [fixture.anchor])
  await until(() => identity.credentials.current().fingerprint !== held)
  assert.equal(identity.credentials.current().certificate.authorityKeyId, next.keyId)
  assert.equal(count(authority, 'POST /v1/renew'), 0)
})

test('OP-2: a withdrawn certificate is said to be of no use until it is replaced, which is tried until it succeeds', async () => {
  const { authority, identity, problems } = await stage('withdrawn')
  const { serial, fingerprint } = identity.credentials.current().certificate
  assert.equal(identity.isUsable(), true)
  authority.locked = true
  authority.fixture.denied.serials.push(serial)
  await authority.publish()
  await until(() => problems.length > 0)
  assert.equal(identity.isUsable(), false)
  authority.locked = false
  await until(() => identity.credentials.current().fingerprint !== fingerprint)
  assert.equal(identity.isUsable(), true)
})

test('OP-3: a renewal that has failed until three quarters of the life are over is an alarm, once', async () => {
  const { authority, problems, clock } = await stage('late')
  const late = () => problems.filter((error) => isDoorwardError(error, 'renewal_late')).length
  authority.failWith = 503
  clock.offset = 2_000_000
  await authority.publish()
  await until(() => problems.length >= 2)
  assert.equal(late(), 0)
  clock.offset = 2_800_000
  await authority.publish()
  await until(() => late() > 0)
  const seen = problems.length
  await authority.publish()
  await until(() => problems.length > seen)
  assert.equal(late(), 1)
})

test('what the authority asks to wait is waited, within what the certificate has left', async () => {
  const { authority, sleeps, clock, problems } = await stage('retry-after')
  const [place] = authority.places
  assert.ok(place !== undefined)
  place.failWith = { status: 503, code: 'authority_unready', retryAfter: '20' }
  clock.offset = 2_000_000
  await authority.publish()
  await until(() => problems.length > 0 && sleeps.some((sleep) => sleep >= 20_000 && sleep <= 30_000))
})

test('a thousand that are asked at once spread over the time that there is, and keep their turn', () => {
  const limits = { spreadMilliseconds: 3000, againMilliseconds: 2000 }
  const turns = Array.from({ length: 1000 }, (_, index) => {
    const clock = { now: 50 }
    const turn = new Turn({ monotonic: () => clock.now, chance: () => index / 1000 }, limits)
    const left = turn.left({ reason: 'withdrawn', subject: 'one' })
    clock.now += 10
    assert.ok(Math.abs(turn.left({ reason: 'withdrawn', subject: 'one' }) - Math.max(0, left - 10)) < 0.001)
    assert.ok(turn.left({ reason: 'withdrawn', subject: 'two' }) >= limits.againMilliseconds)
    return left
  })
  for (let second = 0; second < 3; second++) {
    const within = turns.filter((left) => left >= second * 1000 && left < (second + 1) * 1000).length
    assert.ok(within > 300 && within < 370, String(within))
  }
})

/** Trust with one anchor, changed. */
function trustWith(fixture: TrustFixture, change: Partial<TrustAnchor> = {}, epoch = 1): ServerTrust {
  const anchor = trustAnchorOf(fixture.anchor, change)
  const read = readCertificate(anchor.certificate, { sha256 })
  assert.ok(!('problem' in read))
  return {
    state: { epoch, anchors: [anchor] },
    anchors: [read],
    anchorEpochs: new Map([[anchor.keyId, anchor.epoch]]),
    issued: new Map(),
    deniedIdentities: new Map(),
    deniedSerials: new Set(),
    deniedAuthorities: new Set(),
  }
}

test('RV-6: servers of an earlier epoch are refused, and what they are judged by is what we are judged by', async () => {
  const fixture = await TrustFixture.create()
  const gateway = await newLeaf(fixture.anchor, fixture.id('doorward', 'gateway', 'main'))
  const svid = { id: gateway.id, certificate: gateway.certificate }
  const check = { now: now(), importP256 }
  const judge = (trust: ServerTrust) =>
    serverProblem(gateway.certificate, { expected: gateway.id, trust, mirror: 'skip', ...check })?.code ?? null
  const cases = [
    [trustWith(fixture), 'kept', null],
    [trustWith(fixture, { reissue: true }), 'recalled', null],
    [trustWith(fixture, { epoch: 1 }, 2), 'withdrawn', 'server_revoked'],
    [trustWith(fixture, { epoch: 2 }, 2), 'kept', null],
    [{ ...trustWith(fixture), deniedSerials: new Set([gateway.certificate.serial]) }, 'withdrawn', 'server_revoked'],
    [{ ...trustWith(fixture), deniedAuthorities: new Set([fixture.anchor.keyId]) }, 'withdrawn', 'server_revoked'],
    [
      { ...trustWith(fixture), deniedIdentities: new Map([[gateway.id.uri, now() + 1]]) },
      'withdrawn',
      'server_revoked',
    ],
    [{ ...trustWith(fixture), anchors: [] }, 'withdrawn', 'server_untrusted'],
  ] as const
  for (const [trust, standing, problem] of cases)
    assert.deepEqual([svidStanding(svid, trust, check), judge(trust)], [standing, problem])
})
