/** Ceremonies over two authorities on one store. */

import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { epochSeconds, openNote, toSeconds, verifierKey } from '@doorward/core'
import { sha256 } from '@doorward/sdk'
import { reportHead } from '../../../packages/server/src/authority/ceremony-report.ts'
import { abandonCeremony } from '../../../packages/server/src/authority/ceremony-start.ts'
import { stagesOf } from '../../../packages/server/src/authority/ceremony.ts'
import type { Ceremony } from '../../../packages/server/src/authority/ceremony.ts'
import { delegationRequest } from '../../../packages/server/src/authority/delegation-request.ts'
import {
  assertSound,
  begin,
  expectDone,
  follow,
  newest,
  newestState,
  operator,
  runToEnd,
  signWithRoot,
  slotsOf,
} from '../../fixtures/authority/ceremony-run.ts'
import { sharedGround, trustDomain } from '../../fixtures/authority/one-store.ts'
import type { SharedAuthority, SharedGround } from '../../fixtures/authority/one-store.ts'
import { binding, intent, registration } from '../../contract/authority-store/values.ts'

let ground: SharedGround
let a: SharedAuthority
let b: SharedAuthority
let ofA: (moment: string) => void

beforeEach(async () => {
  ground = await sharedGround()
  ofA = () => undefined
  a = await ground.open('a', { at: (moment) => ofA(moment) })
  b = await ground.open('b')
  for (const authority of [a, b]) await authority.turn()
})
afterEach(() => ground.remove())

const both = () => [a, b]
const names = (ceremony: Ceremony) => ceremony.stages.map(({ stage }) => stage)
const stepOf = (ceremony: Ceremony, stage: string) => ceremony.stages.find((step) => step.stage === stage)!

/** `purpose state`, sorted, of all slots of an authority. */
async function states(name: string): Promise<readonly string[]> {
  return (await slotsOf(ground, name)).map(({ purpose, state }) => `${purpose} ${state}`).toSorted()
}

async function bindInstances(id: string, instances: readonly string[]): Promise<void> {
  await ground.store.registrations.add(registration(id), 10)
  for (const instance of instances) await ground.store.instances.bind(id, binding(instance, instance))
}

/** A certificate for one instance under the newest anchor of `a`. */
async function issueNew(id: string, instance: string): Promise<void> {
  const { issuance, slots } = ground.store
  const own = (await slots.list()).filter(
    ({ purpose, authority }) => purpose === 'anchor' && authority === 'instance-a',
  )
  const anchorKeyId = own.find(({ state }) => state === 'active')?.keyId ?? ''
  const now = toSeconds(ground.now())
  const notAfter = epochSeconds(now + 3600)
  const times = { notBefore: now, notAfter, intendedAt: now }
  const limits = { perIdentity: 10, total: 100 }
  const made = intent(`0${instance}0`, id, { anchorKeyId, authority: 'instance-a', instance, ...times })
  assert.equal(await issuance.intend(made, limits), 'intended')
  assert.equal(await issuance.commit(made.serial, instance.at(-1)?.repeat(43) ?? ''), true)
  assert.equal(await issuance.release(made.serial), true)
}

/** Of an authority whose keys were all replaced. */
const allTwice = ['anchor', 'jwt-svid', 'token'].flatMap((purpose) => [`${purpose} active`, `${purpose} retired`])

describe('a planned rotation', () => {
  test('CA-2: replaces every key in order, and each step is on record before it is taken', async () => {
    const before = await ground.store.slots.list()
    await begin(a, { kind: 'rotate' })
    const ended = await runToEnd(ground, both, () => assertSound(ground, both()))
    assert.deepEqual(names(ended), stagesOf(ended))
    assert.equal(ended.stage, 'done')
    const slots = await ground.store.slots.list()
    for (const name of ['a', 'b']) assert.deepEqual(await states(name), allTwice)
    const journal = (keyId: string) =>
      ground.record
        .filter(({ body }) => body['key_id'] === keyId)
        .map(({ body }) => String(body['change']).split('.')[1])
    for (const slot of slots.filter(({ ceremony }) => ceremony === ended.id))
      assert.deepEqual(journal(slot.keyId), ['prepare', 'publish', 'activate'])
    const state = await newestState(ground)
    for (const { keyId, purpose } of before)
      assert.ok(
        [...state.tokenKeys, ...state.jwtSvidKeys].some(({ kid }) => kid === keyId) ||
          state.anchors.some((one) => one.keyId === keyId),
        purpose,
      )
    assert.deepEqual([state.epoch, state.denied.authorities], [1, []])
    // A retired anchor still signs its revocation list; a retired token key signs nothing.
    for (const authority of both())
      assert.deepEqual(
        authority.keys().map((key) => key.split('-')[0]),
        ['anchor', 'anchor', 'jwt', 'token', 'trust'],
      )
    assert.deepEqual([...a.problems, ...b.problems], [])
  })

  test('OP-3: whoever follows is waited for, whoever does not answer is named and keeps nobody waiting', async () => {
    const old = { delegation: 1, sequence: 1 }
    await begin(a, { kind: 'rotate' })
    const ended = await runToEnd(ground, both, async () => {
      await follow(ground, 'spiffe://test.example/agent/quick')
      await follow(ground, 'spiffe://test.example/agent/slow', old)
    })
    for (const stage of ['publish', 'settle']) {
      const { followers, acknowledged, stragglers, straggling } = stepOf(ended, stage)
      assert.deepEqual(
        [followers, acknowledged, straggling, stragglers],
        [2, 1, 1, ['spiffe://test.example/agent/slow']],
      )
    }
    const waited = stepOf(ended, 'activate').at - stepOf(ended, 'publish').at
    assert.ok(waited >= 5000 && waited < 10_000, `${waited} ms`)
  })

  test('OP-3: each instance of a workload is waited for: the one that has heard does not answer for the other', async () => {
    const id = 'spiffe://test.example/agent/twice'
    await begin(a, { kind: 'rotate' })
    const ended = await runToEnd(ground, both, async () => {
      await follow(ground, `${id}#01`)
      await follow(ground, `${id}#02`, { delegation: 1, sequence: 1 })
    })
    const { followers, acknowledged, stragglers } = stepOf(ended, 'publish')
    assert.deepEqual([followers, acknowledged, stragglers], [1, 0, [id]])
    const waited = stepOf(ended, 'activate').at - stepOf(ended, 'publish').at
    assert.ok(waited >= 5000 && waited < 10_000, `${waited} ms`)
  })

  for (const [renewed, late] of [
    [['01'], 1],
    [['01', '02'], 0],
  ] as const)
    test(`OP-3: with new certificates of ${renewed.length} of two instances, ${late} workloads are late`, async () => {
      const id = 'spiffe://test.example/agent/twice'
      await bindInstances(id, ['01', '02'])
      await begin(a, { kind: 'rotate', reissue: true })
      const issued = new Set<string>()
      const ended = await runToEnd(ground, both, async () => {
        for (const instance of ['01', '02']) await follow(ground, `${id}#${instance}`)
        if ((await newest(ground)).stage !== 'reissue') return
        for (const instance of renewed.filter((one) => !issued.has(one)))
          await issueNew(id, instance).then(() => issued.add(instance))
      })
      const { followers, reissued, stragglers } = stepOf(ended, 'reissue')
      assert.deepEqual([followers, reissued, stragglers], [1, 1 - late, late === 0 ? [] : [id]])
    })

  test('nobody is waited for who was not heard of for half a minute', async () => {
    await follow(ground, 'spiffe://test.example/agent/gone', { delegation: 1, sequence: 1 })
    ground.advance(31_000)
    await begin(a, { kind: 'rotate' })
    const ended = await runToEnd(ground, both)
    assert.deepEqual([stepOf(ended, 'publish').followers, stepOf(ended, 'publish').straggling], [0, 0])
  })

  test('nobody is waited for who was connected here and has gone', async () => {
    for (const name of ['a', 'b'])
      await follow(ground, `spiffe://test.example/agent/of-${name}`, { delegation: 1, sequence: 1 }, name)
    await begin(a, { kind: 'rotate', only: 'a' })
    const ended = await runToEnd(ground, () => [a])
    assert.deepEqual(stepOf(ended, 'publish').stragglers, ['spiffe://test.example/agent/of-b'])
  })

  test('of one authority leaves the keys of the other alone', async () => {
    await begin(a, { kind: 'rotate', only: 'b' })
    const ended = await runToEnd(ground, both, () => assertSound(ground, both()))
    assert.deepEqual(
      ended.authorities.map(({ name }) => name),
      ['b'],
    )
    assert.deepEqual(await states('a'), ['anchor active', 'jwt-svid active', 'token active'])
    assert.deepEqual(await states('b'), allTwice)
  })

  test('with re-issue marks what it replaces, and counts who has a new certificate', async () => {
    await begin(a, { kind: 'rotate', reissue: true })
    const ended = await runToEnd(ground, both, () => follow(ground, a.context.id.uri))
    const { followers, reissued } = stepOf(ended, 'reissue')
    assert.deepEqual([followers, reissued], [1, 1])
    const state = await newestState(ground)
    for (const { keyId, reissue } of state.anchors) assert.equal(reissue, ended.replaces.includes(keyId))
  })

  test('that retires takes the old anchors out of the bundle once nothing needs them, and not before', async () => {
    await begin(a, { kind: 'rotate', retire: true })
    let early: readonly string[] = []
    const ended = await runToEnd(ground, both, async () => {
      const { stage, replaces, stages } = await newest(ground)
      const shown = (await newestState(ground)).anchors.map(({ keyId }) => keyId)
      const entered = stages.at(-1)?.at ?? 0
      if (stage === 'deny' && ground.now() - entered < 20_000)
        early = [...early, ...replaces.filter((keyId) => keyId.length === 40 && !shown.includes(keyId))]
    })
    assert.deepEqual(early, [])
    const shown = (await newestState(ground)).anchors.map(({ keyId }) => keyId)
    assert.equal(shown.length, 2)
    assert.ok(shown.every((keyId) => !ended.replaces.includes(keyId)))
    assert.equal((await newestState(ground)).denied.authorities.length, 0)
  })

  test('supersedes a successor that the schedule has published', async () => {
    ground.advance(3.6 * 86_400_000)
    for (const authority of both()) {
      await authority.turn()
      await authority.trust.slots.advance(Math.floor(ground.now() / 1000) as never)
    }
    assert.ok((await states('a')).includes('anchor published'))
    await begin(a, { kind: 'rotate' })
    await runToEnd(ground, both)
    assert.deepEqual(await states('a'), allTwice)
  })
})

describe('a recovery', () => {
  test('RV-6: denies every older key and begins an epoch, under new keys that the root has named', async () => {
    const before = (await ground.store.slots.list()).map(({ keyId }) => keyId)
    await begin(a, { kind: 'recover' })
    const ended = await runToEnd(ground, both, () => assertSound(ground, both()))
    assert.deepEqual(names(ended), stagesOf(ended))
    const state = await newestState(ground)
    assert.deepEqual([...state.denied.authorities].toSorted(), before.toSorted())
    assert.deepEqual([state.epoch, state.delegation, ended.epoch], [2, 3, 2])
    assert.deepEqual(
      state.anchors.map(({ epoch, state: slot }) => [epoch, slot]),
      [
        [2, 'active'],
        [2, 'active'],
      ],
    )
    assert.deepEqual([state.tokenKeys.length, state.jwtSvidKeys.length], [2, 2])
    for (const name of ['a', 'b'])
      assert.deepEqual(await states(name), ['anchor active', 'jwt-svid active', 'token active'])
    for (const authority of both())
      assert.deepEqual(
        authority.keys().map((key) => key.split('-')[0]),
        ['anchor', 'jwt', 'token', 'trust'],
      )
    assert.deepEqual([...a.problems, ...b.problems], [])
  })

  test('no state leaves out an authority that has taken up the new delegation before others have', async () => {
    await begin(a, { kind: 'recover' })
    for (let turns = 0; turns < 20 && (await newest(ground)).stage !== 'delegate'; turns++)
      for (const authority of both()) await authority.turn()
    const before = (await newestState(ground)).anchors.map(({ keyId }) => keyId)
    await signWithRoot(ground, a)
    ofA = (moment) => {
      if (moment === 'before trust.append') throw new Error('the store takes no state of this one')
    }
    for (let turns = 0; turns < 2; turns++) await a.turn().catch(() => undefined)
    assert.equal((await newestState(ground)).delegation, 2)
    assert.equal(b.trust.publisher.delegation.stored.version, 2)
    await b.trust.publisher.publish()
    const state = await newestState(ground)
    assert.equal(state.delegation, 3)
    const anchors = state.anchors.map(({ keyId }) => keyId)
    for (const keyId of before) assert.ok(anchors.includes(keyId), keyId)
    assert.deepEqual(state.authorities.map(({ name }) => name).toSorted(), ['a', 'b'])
  })

  test('the old keys sign once more after the denial, and the report is signed like a checkpoint', async () => {
    await begin(a, { kind: 'recover' })
    const ended = await runToEnd(ground, both)
    assert.deepEqual(ended.canary?.signed.map(({ authority, kind }) => `${authority} ${kind}`).toSorted(), [
      'a certificate',
      // By the key of access tokens, and by that of JWT-SVIDs.
      'a token',
      'a token',
      'b certificate',
      'b token',
      'b token',
    ])
    const origin = `${trustDomain}/authority/a`
    const { keyId } = verifierKey(sha256, origin, a.logKey.publicKey)
    const text = openNote(ended.report ?? '', [{ name: origin, keyId, key: a.logKey.verify }])
    const [head, line = ''] = text.split('\n')
    assert.equal(head, reportHead)
    const report = JSON.parse(line) as { verdict: string; stages: { stage: string; milliseconds: number }[] }
    assert.equal(report.verdict, 'proven')
    assert.deepEqual(
      report.stages.map(({ stage }) => stage),
      stagesOf(ended).slice(0, -1),
    )
  })

  test('a probe that got in is told in the report, and so is an old key that nobody has tried', async () => {
    await begin(a, { kind: 'recover' })
    for (let turn = 0; turn < 40 && (await newest(ground)).stage !== 'settle'; turn++) {
      for (const authority of both()) await authority.turn()
      const { stage } = await newest(ground)
      if (stage === 'delegate' && (await ground.store.trust.newestDelegation())?.version === 2)
        await signWithRoot(ground, a)
      ground.advance(500)
    }
    const { ceremonies } = a.trust.authority
    const { x } = ground.root.jwk
    const asker = { publicKey: ground.root.jwk, subject: operator, fingerprint: x, audiences: ['https://a.example'] }
    expectDone(await ceremonies.askCanary(asker, operator))
    for (const authority of both()) await authority.turn()
    const { canary } = await newest(ground)
    const [first] = canary?.signed ?? []
    const probe = { listener: 'l', address: '127.0.0.1:1', attempt: 'certificate', keyId: first?.keyId ?? '' }
    const { verdict } = expectDone(await ceremonies.prove([{ ...probe, got: 'allowed', ok: false }], operator))
    assert.equal(verdict, 'unproven')
    assert.equal((await newest(ground)).stage, 'done')
  })

  test('an authority that is excluded gets no keys, is not named, and cannot publish any more', async () => {
    await begin(a, { kind: 'recover', excluded: ['b'] })
    const ended = await runToEnd(ground, both)
    assert.equal(ended.stage, 'done')
    assert.ok((await slotsOf(ground, 'b')).every(({ ceremony }) => ceremony !== ended.id))
    assert.equal(b.trust.publisher.delegation.key, null)
    await assert.rejects(b.trust.publisher.publish(), { code: 'delegation_missing' })
    const state = await newestState(ground)
    assert.deepEqual([state.anchors.length, state.tokenKeys.length], [1, 1])
    assert.deepEqual(
      state.authorities.map(({ name }) => name),
      ['a'],
    )
    // It asks to come back: nobody is shown it by itself.
    await b.turn()
    const asked = expectDone(await delegationRequest(a.context))
    assert.deepEqual(
      asked.candidates.map(({ name }) => name),
      ['a'],
    )
  })

  test('what an authority does at its start waits for the root to name its key, where that was left out meanwhile', async () => {
    await begin(a, { kind: 'recover' })
    const ended = await runToEnd(ground, () => [a])
    assert.deepEqual(stepOf(ended, 'prepare').stragglers, ['authority b'])
    await b.turn()
    const published = b.trust.onceDelegated(() => b.trust.publisher.publish())
    for (let turn = 0; turn < 500; turn++) {
      const asked = expectDone(await delegationRequest(a.context))
      if (asked.candidates.some(({ name, isNew }) => name === 'b' && isNew)) break
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await signWithRoot(ground, a)
    await published
    assert.notEqual(b.trust.publisher.delegation.key, null)
  })

  test('OP-1: an authority that does not answer is left out, and comes back when the root names its key', async () => {
    b.close()
    await begin(a, { kind: 'recover' })
    const ended = await runToEnd(ground, () => [a])
    assert.equal(ended.stage, 'done')
    assert.deepEqual(stepOf(ended, 'prepare').stragglers, ['authority b'])
    const returning = ground.open('b')
    for (let turn = 0; turn < 100; turn++) {
      const asked = expectDone(await delegationRequest(a.context))
      if (asked.candidates.some(({ name, isNew }) => name === 'b' && isNew)) break
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await signWithRoot(ground, a)
    await a.turn()
    b = await returning
    await b.turn()
    await a.turn()
    assert.equal((await newestState(ground)).anchors.length, 2)
    await assertSound(ground, [b])
  })

  test('an emergency denies at once and waits for nobody', async () => {
    await begin(a, { kind: 'recover', emergency: true })
    const started = ground.now()
    const ended = await runToEnd(ground, both, () =>
      follow(ground, 'spiffe://test.example/agent/slow', { delegation: 1, sequence: 1 }),
    )
    assert.ok(!names(ended).includes('reissue'))
    assert.ok(stepOf(ended, 'settle').at - started <= 3000)
    assert.deepEqual(stepOf(ended, 'settle').stragglers, ['spiffe://test.example/agent/slow'])
    assert.equal((await newestState(ground)).epoch, 2)
  })

  test('without the signature of the root nothing changes, and in the end it gives up', async () => {
    const before = await newestState(ground)
    await begin(a, { kind: 'recover' })
    for (const minutes of [1, 30, 31]) {
      ground.advance(minutes * 60_000)
      for (const authority of both()) await authority.turn()
      await assertSound(ground, both())
    }
    for (const authority of both()) await authority.turn()
    const ended = await newest(ground)
    assert.equal(ended.stage, 'failed')
    const state = await newestState(ground)
    assert.deepEqual(
      [state.epoch, state.delegation, state.anchors.map(({ keyId }) => keyId)],
      [before.epoch, before.delegation, before.anchors.map(({ keyId }) => keyId)],
    )
    // Keys that were made for nothing are gone.
    for (const name of ['a', 'b'])
      assert.deepEqual(await states(name), ['anchor active', 'jwt-svid active', 'token active'])
    for (const authority of both()) assert.equal(authority.keys().length, 4)
  })

  test('with nobody who answers there is nothing to go on with', async () => {
    await begin(a, { kind: 'recover', excluded: ['a'] })
    b.close()
    ground.advance(16_000)
    await a.turn()
    assert.equal((await newest(ground)).stage, 'prepare')
    assert.equal(expectDone(await abandonCeremony(a.context, operator)).stage, 'failed')
  })
})
