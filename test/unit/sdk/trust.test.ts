import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { after, before, test } from 'node:test'
import { isDoorwardError } from '@doorward/core'
import type { SignedTrustState, TrustScope } from '@doorward/core'
import { join, openIdentity } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { newAnchor, newLeaf } from '../../fixtures/trust-fixture.ts'
import type { TestSvid } from '../../fixtures/trust-fixture.ts'
import { FakeAuthority } from './fake-authority.ts'
import { memorySealer } from './memory-sealer.ts'

const sealer = memorySealer()
let root: string
before(async () => {
  root = await mkdtemp(path(tmpdir(), 'doorward-trust-'))
})
after(() => rm(root, { recursive: true, force: true }))
const closing: (() => unknown)[] = []
after(async () => {
  for (const close of closing.reverse()) await close()
})

interface Stage {
  readonly authority: FakeAuthority
  readonly folder: string
  readonly open: (onProblem?: (error: unknown) => void) => Promise<Identity>
}

async function stage(name: string, scope: TrustScope = 'callers'): Promise<Stage> {
  const authority = await FakeAuthority.start()
  authority.scope = scope
  closing.push(() => authority.close())
  const folder = path(root, name)
  await join({ joinString: authority.joinString(), folder, sealer, scope })
  const open = async (onProblem: (error: unknown) => void = () => undefined) => {
    const identity = await openIdentity({ folder, sealer, onProblem })
    closing.push(() => identity.close())
    return identity
  }
  return { authority, folder, open }
}

/** Runs the identity's loops until the test ends. */
function follow(identity: Identity): void {
  const stop = new AbortController()
  const run = identity.run(stop.signal)
  closing.push(async () => {
    stop.abort()
    await run
  })
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

/** A server that answers 204 to whoever gets through. */
async function server(svid: TestSvid, ca: readonly string[]): Promise<string> {
  const https = createServer(
    { ...svid.pem, ca: [...ca], requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      request.resume()
      response.writeHead(204).end()
    },
  )
  closing.push(() => {
    https.closeAllConnections()
    https.close()
  })
  await new Promise<void>((resolve) => https.listen(0, '127.0.0.1', resolve))
  return `https://127.0.0.1:${(https.address() as AddressInfo).port}/`
}

test('every newer state is applied, remembered and acknowledged', async () => {
  const { authority, open } = await stage('follow', 'full')
  const identity = await open()
  follow(identity)
  await identity.trust.next(10_000)
  authority.fixture.register('agent/new', ['reader'])
  await authority.publish()
  await until(() => identity.trust.current()?.roles.has(authority.fixture.id('agent', 'new').uri) === true)
  const { sequence } = authority.state()
  await until(() => authority.acks.some((ack) => (ack as { sequence: number }).sequence === sequence))
  assert.equal((await open()).trustStore.version()?.sequence, sequence)
})

test('a remembered state serves to judge servers, and does not look fresh to enforcement', async () => {
  const identity = await (await stage('remembered')).open()
  assert.notEqual(identity.trustStore.view(), null)
  assert.equal(identity.trust.current(), null)
})

test('an older state is refused, also after a restart', async () => {
  const { authority, open } = await stage('rollback')
  const older: SignedTrustState = await authority.signed()
  await authority.publish()
  const identity = await open()
  await identity.prepare()
  assert.equal(((await identity.trustStore.accept(older)) as { code: string }).code, 'trust_state_rollback')
  const restarted = await open()
  assert.equal(((await restarted.trustStore.accept(older)) as { code: string }).code, 'trust_state_rollback')
})

test('two contents of one version are refused', async () => {
  const { authority, open } = await stage('fork')
  const identity = await open()
  await identity.prepare()
  const forked = await authority.signed({ ...authority.callers(), issued: [] })
  assert.equal(((await identity.trustStore.accept(forked)) as { code: string }).code, 'trust_state_equivocation')
})

test('RV-1: a state of the other scope is refused, by callers and by who follows everything', async () => {
  for (const scope of ['callers', 'full'] as const) {
    const { authority, open } = await stage(`scope-${scope}`, scope)
    const identity = await open()
    await identity.prepare()
    assert.ok(authority.paths().includes(`GET /v1/trust-state${scope === 'full' ? '/full' : ''}`))
    authority.fixture.apply()
    const other = await authority.current(scope === 'full' ? 'callers' : 'full')
    assert.equal(((await identity.trustStore.accept(other)) as { code: string }).code, 'trust_state_scope')
    assert.equal('order' in (await identity.trustStore.accept(await authority.current(scope))), true)
  }
})

test('a state under another root is refused', async () => {
  const { open } = await stage('foreign')
  const other = await FakeAuthority.start()
  closing.push(() => other.close())
  const identity = await open()
  assert.equal(((await identity.trustStore.accept(await other.signed())) as { code: string }).code, 'delegation_root')
})

test('a heartbeat confirms the state held, and not one that was missed', async () => {
  const { authority, open } = await stage('heartbeat')
  const identity = await open()
  follow(identity)
  await identity.trust.next(10_000)
  let confirmations = 0
  const confirm = identity.trust.confirm.bind(identity.trust)
  identity.trust.confirm = (time) => {
    confirm(time)
    confirmations++
  }
  // A heartbeat reaches whoever follows by then.
  await until(() => {
    void authority.heartbeat()
    return confirmations > 0
  })
  authority.fixture.apply()
  const missed = identity.trustStore.version()?.sequence
  await authority.heartbeat()
  await authority.heartbeat()
  assert.equal(identity.trustStore.version()?.sequence, missed)
})

test('when an anchor is withdrawn, its servers are cut off, its successor is trusted and the own certificate is replaced', async () => {
  const { authority, open } = await stage('anchor')
  const { fixture } = authority
  const old = await server(await fixture.issue('doorward/gateway/old'), fixture.anchorsPem)
  const identity = await open()
  follow(identity)
  await identity.trust.next(10_000)
  const reach = async (url: string, name: string) => {
    const expectedId = fixture.id('doorward', 'gateway', name)
    const response = await identity.call(url, { audience: authority.mainUrl, expectedId })
    response.body.resume()
    return response.status
  }
  await until(() => identity.trustStore.version()?.sequence === authority.state().sequence)
  await authority.publish()
  assert.equal(await reach(old, 'old'), 204)
  const before = identity.credentials.current()
  const next = await newAnchor(fixture.trustDomain)
  await authority.rotate(next, [fixture.anchor])
  await until(() => identity.trustStore.view()?.anchors.length === 2)
  assert.equal(await reach(old, 'old'), 204)
  const renewed = newLeaf(next, fixture.id('doorward', 'gateway', 'new'))
  fixture.mirror(await renewed)
  await authority.rotate(next, [])
  await until(() => identity.credentials.current().fingerprint !== before.fingerprint)
  assert.equal(identity.credentials.current().certificate.authorityKeyId, next.keyId)
  await assert.rejects(reach(old, 'old'), { code: 'server_untrusted' })
  assert.equal(await reach(await server(await renewed, fixture.anchorsPem), 'new'), 204)
})

test('anchors that were never heard of come by the greeting, the state then over the own certificate', async () => {
  const { authority, open } = await stage('rescue')
  const next = await newAnchor(authority.fixture.trustDomain)
  await authority.rotate(next, [authority.fixture.anchor])
  const identity = await open()
  const greeted = authority.paths('enrol').length
  await identity.prepare()
  assert.equal(authority.paths('enrol').length, greeted + 1)
  assert.ok(authority.paths().includes('GET /v1/trust-state'))
  assert.equal(identity.trustStore.view()?.anchors.length, 2)
})

test('anchors from the greeting are good for the authority alone', async () => {
  const { authority, open } = await stage('alone')
  const next = await newAnchor(authority.fixture.trustDomain)
  await authority.rotate(next, [authority.fixture.anchor])
  const gateway = await newLeaf(next, authority.fixture.id('doorward', 'gateway', 'new'))
  authority.failWith = 503
  const identity = await open()
  await identity.prepare()
  assert.ok(authority.paths('enrol').length > 0 && identity.trustStore.authorityTrust()?.anchors.length === 2)
  const token = await authority.fixture.token(gateway, authority.mainUrl)
  const call = identity.call(await server(gateway, authority.fixture.anchorsPem), {
    audience: null,
    headers: { authorization: `Bearer ${token}` },
    expectedId: gateway.id,
  })
  await assert.rejects(call, { code: 'server_untrusted' })
})

test('a greeting with older anchors than the state held is refused', async () => {
  const { authority, open } = await stage('old-anchors')
  authority.greeting = authority.signedAnchors({ ...authority.state(), sequence: 1 })
  const next = await newAnchor(authority.fixture.trustDomain)
  await authority.rotate(next, [authority.fixture.anchor])
  const problems: unknown[] = []
  const identity = await open((error) => problems.push(error))
  await identity.prepare()
  assert.ok(problems.some((error) => isDoorwardError(error, 'trust_anchors_rollback')))
  assert.equal(identity.trustStore.authorityTrust()?.anchors.length, 1)
})
