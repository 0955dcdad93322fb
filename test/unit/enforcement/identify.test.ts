/** Who is calling, up to the token: trust, certificate, issuance mirror, freshness and the limit per user. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochMillis, toMillis } from '@doorward/core'
import { identify, identifyEnrolment, isDenial, KnownIdentities } from '@doorward/enforcement'
import type { Denial, Identified, Inbound, RequiredCredential } from '@doorward/enforcement'
import { issue, makeAuthority, mustRead } from '../core/identity-fixture.ts'
import {
  after,
  connectionOf,
  denials,
  id,
  inboundOf,
  leaf,
  newStage,
  now,
  partial,
  tokenOf,
  viewOf,
} from './call-fixture.ts'
import type { Stage } from './call-fixture.ts'

async function passed(result: Promise<Identified | Denial>): Promise<Identified> {
  const identified = await result
  assert(!isDenial(identified), JSON.stringify(identified))
  return identified
}

/** The refusal's code and who is named in it. */
async function refused(result: Promise<Identified | Denial>): Promise<readonly [string, Denial['caller']]> {
  const denial = await result
  assert(isDenial(denial))
  return [denial.code, denial.caller]
}

const at = (
  { dependencies }: Stage,
  inbound: Inbound,
  credential: Exclude<RequiredCredential, 'edge'> = 'certificate',
) => identify(inbound, credential, dependencies)

test('a caller is who its certificate names, with the roles that the trust state gives it', async () => {
  const stage = newStage()
  const inbound = inboundOf(`Bearer ${await tokenOf()}`)
  const identified = await passed(at(stage, inbound, 'token'))
  const principal = {
    subject: { kind: 'workload', id },
    presenter: id,
    act: [],
    roles: ['reader'],
    epoch: 7,
    certificateFingerprint: leaf.fingerprint,
    certificateSerial: leaf.serial,
    strength: 'mtls-bound-token',
    tokenId: 'token-id',
    expires: after(300),
  }
  const token = { id: 'token-id', keyId: 'token-1', epoch: 7, issuedAt: now }
  assert.deepEqual(identified, { inbound, principal, token, generation: 1 })
  assert.deepEqual(stage.limiter.taken, [[{ scope: 'user', key: id.uri, rate: { count: 65, periodSeconds: 30 } }]])
  assert.deepEqual([stage.known.added, stage.trust.waits], [[id.uri], []])
})

test('where the certificate alone is asked for, no token is looked at, and the principal says so', async () => {
  for (const header of [null, 'Bearer not.a.token']) {
    const stage = newStage()
    const { principal, token } = await passed(at(stage, inboundOf(header)))
    const { strength, tokenId, expires, roles, epoch } = principal
    assert.deepEqual(
      { strength, tokenId, expires, roles, epoch },
      { strength: 'mtls-client-credentials', tokenId: null, expires: leaf.notAfter, roles: ['reader'], epoch: 7 },
    )
    assert.equal(token, null)
    assert.deepEqual(stage.known.added, [id.uri])
  }
})

test('without a trust state nobody is anybody', async () => {
  const stage = newStage()
  stage.trust.view = null
  assert.deepEqual(await refused(at(stage, inboundOf(null))), ['trust_stale', null])
  assert.deepEqual(await refused(identifyEnrolment(inboundOf(null), id, stage.dependencies)), ['trust_stale', null])
  assert.deepEqual([stage.limiter.taken, stage.known.added], [[], []])
})

test('a connection without a certificate of ours names nobody, and costs no caller its limit', async () => {
  const foreign = await issue(await makeAuthority())
  const broken = mustRead(Uint8Array.from(leaf.der, (byte, i) => (i === leaf.der.length - 1 ? byte ^ 1 : byte)))
  for (const [connection, code] of [
    [connectionOf(leaf, { resumed: true }), 'session_resumed'],
    [connectionOf(null), 'certificate_missing'],
    [connectionOf(foreign), 'certificate_untrusted'],
    [connectionOf(broken), 'certificate_untrusted'],
  ] as const) {
    const stage = newStage()
    assert.deepEqual(await refused(at(stage, inboundOf(null, connection))), [code, null])
    assert.deepEqual([stage.limiter.taken, stage.known.added, stage.trust.waits], [[], [], []])
  }
})

test('CA-5: a certificate that is not in the mirror waits a moment for the state that has it', async () => {
  const stage = newStage()
  const roles = viewOf({ workloads: [{ id: id.uri, roles: ['writer'] }] }, 3)
  stage.trust.view = viewOf({ issued: [] })
  stage.trust.coming.push(
    { milliseconds: 400, view: viewOf({ issued: [] }, 2) },
    { milliseconds: 100, view: null },
    { milliseconds: 500, view: roles },
  )
  const { principal, generation } = await passed(at(stage, inboundOf(null)))
  assert.deepEqual(stage.trust.waits, [1000, 600, 500])
  assert.deepEqual([principal.roles, generation], [['writer'], 3])
})

test('CA-5: a certificate that stays out of the mirror, or is there under another id, is refused', async () => {
  const others = [{ fingerprint: leaf.fingerprint, id: `${id.uri}/x`, notAfter: leaf.notAfter }]
  for (const issued of [[], others]) {
    const stage = newStage()
    stage.trust.view = viewOf({ issued })
    stage.trust.coming.push({ milliseconds: 999, view: viewOf({ issued }, 2) })
    assert.deepEqual(await refused(at(stage, inboundOf(null))), ['certificate_not_issued', partial])
    assert.deepEqual(stage.trust.waits, [1000, 1])
    assert.deepEqual([stage.limiter.taken, stage.known.added], [[], []])
  }
})

test('CA-5: what is denied by the state that was waited for is denied', async () => {
  const stage = newStage()
  stage.trust.view = viewOf({ issued: [] })
  stage.trust.coming.push({ milliseconds: 5, view: viewOf(denials({ serials: [leaf.serial] }), 2) })
  assert.deepEqual(await refused(at(stage, inboundOf(null))), ['certificate_denied', partial])
})

test('RV-4: a connection outlives neither its certificate nor a denial, registration or epoch', async () => {
  const stage = newStage()
  const inbound = inboundOf(null)
  const before = epochMillis(toMillis(leaf.notAfter) - 1)
  await passed(at(stage, inbound))
  stage.trust.time = before
  await passed(at(stage, inbound))
  stage.trust.time = toMillis(leaf.notAfter)
  assert.deepEqual(await refused(at(stage, inbound)), ['certificate_expired', partial])
  stage.trust.time = before
  for (const [change, code] of [
    [denials({ serials: [leaf.serial] }), 'certificate_denied'],
    [denials({ identities: [{ id: id.uri, issuedBefore: after(1) }] }), 'identity_denied'],
    [{ workloads: [] }, 'identity_unregistered'],
    [denials({ authorities: [leaf.authorityKeyId ?? ''] }), 'certificate_denied'],
    [{ epoch: 8 }, 'certificate_epoch'],
  ] as const) {
    stage.trust.view = viewOf(change, 2)
    stage.limiter.taken.splice(0)
    assert.deepEqual(await refused(at(stage, inbound)), [code, partial])
    assert.deepEqual(stage.limiter.taken, [])
  }
})

test('RV-3: up to the last full second of a state everybody is served in full, and known from then on', async () => {
  const stage = newStage()
  stage.trust.age = 60
  await passed(at(stage, inboundOf(null)))
  assert.deepEqual([stage.limiter.taken.length, stage.limiter.taken[0]?.length, stage.known.added], [1, 1, [id.uri]])
})

test('RV-3: an older state serves who is known already, at a tenth of the rate, and makes nobody known', async () => {
  const stage = newStage()
  stage.trust.age = 60.001
  assert.deepEqual(await refused(at(stage, inboundOf(null))), ['trust_stale', partial])
  assert.deepEqual([stage.limiter.taken, stage.known.added], [[], []])
  stage.known.add(id.uri)
  for (const age of [60.001, 300]) {
    stage.trust.age = age
    await passed(at(stage, inboundOf(null)))
  }
  const takes = [
    { scope: 'user', key: id.uri, rate: { count: 65, periodSeconds: 30 } },
    { scope: 'reduced', key: id.uri, rate: { count: 6, periodSeconds: 30 } },
  ]
  assert.deepEqual(stage.limiter.taken, [takes, takes])
  assert.deepEqual(stage.known.added, [id.uri], 'by the test alone')
})

test('RV-3: the reduced rate is never nothing', async () => {
  for (const [count, reduced] of [
    [9, 1],
    [1, 1],
    [10, 1],
    [20, 2],
  ] as const) {
    const stage = newStage()
    stage.known.add(id.uri)
    stage.trust.age = 100
    const { settings } = stage.dependencies
    const perUser = { count, periodSeconds: 30 }
    const dependencies = { ...stage.dependencies, settings: { ...settings, perUser } }
    await passed(identify(inboundOf(null), 'certificate', dependencies))
    assert.equal(stage.limiter.taken[0]?.[1]?.rate.count, reduced)
  }
})

test('RV-3: a state that is too old serves nobody, known or not', async () => {
  const stage = newStage()
  stage.known.add(id.uri)
  stage.trust.age = 300.001
  assert.deepEqual(await refused(at(stage, inboundOf(null))), ['trust_stale', partial])
  assert.deepEqual(await refused(identifyEnrolment(inboundOf(null), id, stage.dependencies)), ['trust_stale', partial])
  assert.deepEqual(stage.limiter.taken, [])
})

test('RV-3: nobody becomes known by a state that aged while the caller was counted', async () => {
  const stage = newStage()
  stage.limiter.answer = () => {
    stage.trust.age = 61
    return { ok: true }
  }
  await passed(at(stage, inboundOf(null)))
  assert.deepEqual(stage.known.added, [])
})

test('who is over a limit learns which, and after how long to come again', async () => {
  for (const [age, scope, code] of [
    [0, 'user', 'limit_user'],
    [100, 'user', 'limit_user'],
    [100, 'reduced', 'trust_reduced'],
  ] as const) {
    const stage = newStage()
    stage.known.add(id.uri)
    stage.trust.age = age
    stage.limiter.answer = () => ({ ok: false, scope, index: 0, retryAfterSeconds: 4 })
    const denial = await at(stage, inboundOf(null))
    assert(isDenial(denial))
    assert.deepEqual([denial.code, denial.caller, denial.retryAfterSeconds], [code, partial, 4])
    assert.deepEqual(stage.known.added, [id.uri], 'by the test alone')
  }
})

test('a limiter that fails lets nobody through, and its error is for the operator', async () => {
  const stage = newStage()
  stage.limiter.answer = () => new Error('gone')
  for (const result of [at(stage, inboundOf(null)), identifyEnrolment(inboundOf(null), id, stage.dependencies)]) {
    const denial = await result
    assert(isDenial(denial))
    assert.deepEqual([denial.code, denial.caller], ['limits_unavailable', partial])
    assert.match(denial.explanation, /gone/)
  }
  assert.deepEqual(stage.known.added, [])
})

test('who enrols is who the authority has recognised, good for nothing else, and not known thereby', async () => {
  const stage = newStage()
  const inbound = inboundOf(null)
  const identified = await passed(identifyEnrolment(inbound, id, stage.dependencies))
  assert.deepEqual(identified, {
    inbound,
    principal: {
      subject: { kind: 'workload', id },
      presenter: id,
      act: [],
      roles: ['reader'],
      epoch: 7,
      certificateFingerprint: leaf.fingerprint,
      certificateSerial: leaf.serial,
      strength: 'mtls-enrolment',
      tokenId: null,
      expires: leaf.notAfter,
    },
    token: null,
    generation: 1,
  })
  assert.deepEqual(stage.limiter.taken, [[{ scope: 'user', key: id.uri, rate: { count: 65, periodSeconds: 30 } }]])
  assert.deepEqual(stage.known.added, [])
})

test('who enrols without being registered yet has no roles; without a certificate nobody enrols', async () => {
  const stage = newStage()
  stage.trust.view = viewOf({ workloads: [] }, 4)
  const { principal, generation } = await passed(identifyEnrolment(inboundOf(null), id, stage.dependencies))
  assert.deepEqual([principal.roles, generation], [[], 4])
  const without = identifyEnrolment(inboundOf(null, connectionOf(null)), id, stage.dependencies)
  assert.deepEqual(await refused(without), ['certificate_missing', null])
  assert.equal(stage.limiter.taken.length, 1)
  stage.limiter.answer = () => ({ ok: false, scope: 'user', index: 0, retryAfterSeconds: 9 })
  const over = identifyEnrolment(inboundOf(null), id, stage.dependencies)
  assert.deepEqual(await refused(over), ['limit_user', partial])
})

test('ten thousand identities are known; one more displaces who was known first, nobody else', () => {
  const known = new KnownIdentities()
  for (let n = 0; n < 10_000; n++) known.add(`id ${n}`)
  known.add('id 0')
  known.add('id 9999')
  assert.deepEqual([known.has('id 0'), known.has('id 10000')], [true, false])
  known.add('id 10000')
  assert.deepEqual([known.has('id 0'), known.has('id 1'), known.has('id 10000')], [false, true, true])
})
