/** What the store must do for the front: steps and codes count once, and nothing grows without bound. */

import assert from 'node:assert/strict'
import type {
  FrontConsent,
  FrontGrant,
  FrontPerson,
  FrontRequest,
  FrontStore,
  KeptStep,
} from '../../../packages/server/src/authority/front/store.ts'
import { at } from './values.ts'
import type { Rule } from './values.ts'

const request: FrontRequest = {
  clientId: 'claude',
  clientName: 'Claude',
  clientFrom: 'document',
  redirectUri: 'https://client.example/cb',
  challenge: 'C'.repeat(43),
  resource: 'https://edge.example/mcp/files',
  scopes: ['files:read'],
  state: 'x',
  jkt: null,
}

function person(subject: string): FrontPerson {
  const user = { issuer: 'https://login.example', subject, groups: ['staff', 'ärzte'] }
  return { user, acr: null, amr: ['pwd'], authTime: at(9), signedInAt: at(10) }
}

function step(hash: string, more: Partial<KeptStep> = {}): KeptStep {
  const of = { browser: 'b', owner: '192.0.2.1', source: '192.0.2.0/24' }
  return { hash, ...of, step: { kind: 'sign-in', request }, expiresAt: at(600), ...more }
}

function grant(id: string, more: Partial<FrontGrant> = {}): FrontGrant {
  const fixed = { request, person: person('ada'), epoch: 1, jkt: null, createdAt: at(10), expiresAt: at(1000) }
  return { id, seal: 'S', ...fixed, ...more }
}

function consent(more: Partial<FrontConsent> = {}): FrontConsent {
  const { clientId, redirectUri, resource, scopes } = request
  const what = { person: 'https://login.example#ada', clientId, redirectUri, resource, scopes }
  return { ...what, epoch: 2, grantedAt: at(10), expiresAt: at(1000), ...more }
}

const code = (hash: string) => ({ hash, expiresAt: at(70) })
const roomy = { perOwner: 10, total: 100 }
const token = (name: string, expiresAt = 310) => ({ name, expiresAt: at(expiresAt) })
const rotation = (from: string | null, to: string) => ({ id: 'g', from, to, jkt: 'K', token: token(to) })

export function frontRules(rule: Rule): void {
  stepRules(rule)
  grantRules(rule)
  consentRules(rule)
}

function stepRules(rule: Rule): void {
  rule('a step of the front is taken once, of its kind, by its browser, before it ends', async ({ front }) => {
    const key = { kind: 'sign-in', hash: 'h', browser: 'b' } as const
    await front.keep(step('h'), at(0), roomy)
    assert.equal(await front.take({ ...key, kind: 'consent' }, at(1)), null)
    assert.equal(await front.take({ ...key, browser: 'other' }, at(1)), null)
    assert.equal(await front.take(key, at(600)), null)
    const taken = await Promise.all(Array.from({ length: 8 }, () => front.take(key, at(1))))
    assert.deepEqual(
      taken.filter((one) => one !== null),
      [{ kind: 'sign-in', request }],
    )
    assert.equal(await front.take(key, at(1)), null)
  })

  const left = async (front: FrontStore, hashes: string) => {
    const taken = hashes.split('').map(async (hash) => {
      const keys = (['sign-in', 'consent'] as const).map((kind) => ({ kind, hash, browser: 'b' }))
      return (await Promise.all(keys.map((key) => front.take(key, at(50))))).some((one) => one !== null) ? hash : ''
    })
    return (await Promise.all(taken)).join('')
  }

  rule('of the steps of an owner the oldest makes way, and nobody else’s', async ({ front }) => {
    const few = { perOwner: 2, total: 100 }
    for (const [hash, seconds] of [
      ['1', 600],
      ['2', 601],
      ['3', 602],
    ] as const)
      await front.keep(step(hash, { expiresAt: at(seconds) }), at(0), few)
    await front.keep(step('4', { owner: '192.0.2.2' }), at(0), few)
    assert.equal(await left(front, '1234'), '234')
  })

  rule('where everybody together has too many steps, the oldest of who has most makes way', async ({ front }) => {
    const few = { perOwner: 2, total: 4 }
    // One stranger with many addresses fills it: whoever else comes finds room, and stays.
    for (const one of [1, 2, 3, 4]) {
      const stranger = { owner: `192.0.2.${one}`, expiresAt: at(600 + one) }
      await front.keep(step(`${one}`, stranger), at(0), few)
    }
    await front.keep(step('a', { owner: 'a', source: 'a' }), at(0), few)
    await front.keep(step('b', { owner: 'b', source: 'b' }), at(0), few)
    await front.keep(step('5', { owner: '192.0.2.5', expiresAt: at(605) }), at(0), few)
    assert.equal(await left(front, '12345ab'), '45ab')
  })

  rule('steps of one kind take no room of the other, and those that have ended take none', async ({ front }) => {
    const few = { perOwner: 2, total: 2 }
    const page = { kind: 'consent', request, person: person('ada'), epoch: 1 } as const
    await front.keep(step('1'), at(0), few)
    await front.keep(step('2', { owner: 'b', source: 'b' }), at(0), few)
    await front.keep(step('p', { step: page }), at(0), few)
    assert.equal(await left(front, '12p'), '12p')
    await front.keep(step('3', { expiresAt: at(40) }), at(0), few)
    await front.keep(step('4', { owner: 'b' }), at(40), few)
    await front.keep(step('5', { owner: 'c' }), at(40), few)
    assert.equal(await left(front, '345'), '45')
  })
}

function grantRules(rule: Rule): void {
  rule(
    'a code of the front is redeemed once, also by several processes, and known as spent after',
    async (store, under) => {
      const stores = [store, await under.another()]
      assert.equal(await store.front.grant(grant('g'), code('c'), at(10), roomy), 'granted')
      const outcomes = await Promise.all(
        Array.from({ length: 10 }, (_, one) => stores[one % 2]!.front.redeem('c', at(20))),
      )
      assert.deepEqual(
        outcomes.flatMap((one) => (one.outcome === 'redeemed' ? [one.grant] : [])),
        [grant('g')],
      )
      assert.equal(outcomes.filter(({ outcome }) => outcome === 'spent').length, 9)
      assert.deepEqual(await store.front.redeem('c', at(900)), { outcome: 'spent', id: 'g' })
      assert.deepEqual(await store.front.redeem('other', at(20)), { outcome: 'unknown' })
    },
  )

  rule('a code of the front ends, and its grant with it', async ({ front }) => {
    await front.grant(grant('g'), code('c'), at(10), roomy)
    assert.deepEqual(await front.redeem('c', at(70)), { outcome: 'unknown' })
    await front.grant(grant('other'), code('d'), at(70), roomy)
    assert.equal(await front.find('g', at(71)), null)
  })

  rule('of refresh tokens of the front only the newest goes on, and of several callers one', async ({ front }) => {
    await front.grant(grant('g'), code('c'), at(10), roomy)
    assert.equal(await front.rotate(rotation(null, 'r1'), at(20), 16), 'gone')
    await front.redeem('c', at(20))
    assert.equal((await front.find('g', at(20)))?.refreshHash, null)
    assert.equal(await front.rotate(rotation('r0', 'r1'), at(20), 16), 'spent')
    assert.equal(await front.rotate(rotation(null, 'r1'), at(20), 16), 'rotated')
    const both = await Promise.all([
      front.rotate(rotation('r1', 'r2'), at(30), 16),
      front.rotate(rotation('r1', 'r3'), at(30), 16),
    ])
    assert.deepEqual(both.toSorted(), ['rotated', 'spent'])
    assert.equal(await front.rotate(rotation('r1', 'r4'), at(30), 16), 'spent')
    const refreshHash = both[0] === 'rotated' ? 'r2' : 'r3'
    assert.deepEqual(await front.find('g', at(40)), { ...grant('g', { jkt: 'K' }), refreshHash })
    assert.equal(await front.find('g', at(1000)), null)
    assert.equal(await front.rotate(rotation('r2', 'r5'), at(1000), 16), 'gone')
  })

  rule('a grant of the front ends with what of its tokens is live, once', async ({ front }) => {
    await front.grant(grant('g'), code('c'), at(10), roomy)
    await front.redeem('c', at(20))
    await front.rotate({ ...rotation(null, 'r1'), token: token('early', 100) }, at(20), 16)
    await front.rotate({ ...rotation('r1', 'r2'), token: token('late', 400) }, at(30), 16)
    assert.deepEqual(await front.end('g', at(130)), [token('late', 400)])
    assert.equal(await front.end('g', at(130)), null)
    assert.equal(await front.rotate(rotation('r2', 'r3'), at(130), 16), 'gone')
    assert.deepEqual(await front.redeem('c', at(30)), { outcome: 'unknown' })
  })

  rule('a grant of the front has a bounded number of live tokens', async ({ front }) => {
    await front.grant(grant('g'), code('c'), at(10), roomy)
    await front.redeem('c', at(20))
    for (let one = 0; one < 16; one++)
      assert.equal(await front.rotate(rotation(one === 0 ? null : `r${one}`, `r${one + 1}`), at(20), 16), 'rotated')
    assert.equal(await front.rotate(rotation('r16', 'r17'), at(20), 16), 'busy')
    assert.equal(await front.rotate(rotation('r16', 'r17'), at(340), 16), 'rotated')
  })

  rule('grants of the front are bounded: a person’s oldest makes way, nobody else’s does', async ({ front }) => {
    const few = { perOwner: 2, total: 3 }
    for (const [id, seconds] of [
      ['1', 10],
      ['2', 11],
      ['3', 12],
    ] as const) {
      await front.grant(grant(id, { createdAt: at(seconds) }), code(id), at(12), few)
      await front.redeem(id, at(12))
    }
    assert.deepEqual(
      (await Promise.all(['1', '2', '3'].map((id) => front.find(id, at(13))))).map((one) => one?.id ?? null),
      [null, '2', '3'],
    )
    assert.equal(await front.grant(grant('4', { person: person('bob') }), code('4'), at(12), few), 'granted')
    assert.equal(await front.grant(grant('5', { person: person('cy') }), code('5'), at(12), few), 'full')
  })
}

function consentRules(rule: Rule): void {
  rule('what a person agreed to is known for that client, redirect and resource, until it ends', async ({ front }) => {
    const { person: name, clientId, redirectUri, resource } = consent()
    const key = { person: name, clientId, redirectUri, resource }
    assert.equal(await front.remember(consent(), at(10), roomy), 'kept')
    assert.deepEqual(await front.recall(key, at(20)), consent())
    for (const other of [{ person: 'x' }, { clientId: 'x' }, { redirectUri: 'x' }, { resource: 'x' }])
      assert.equal(await front.recall({ ...key, ...other }, at(20)), null)
    assert.equal(await front.recall(key, at(1000)), null)
    await front.remember(consent({ scopes: [], grantedAt: at(30) }), at(30), roomy)
    assert.deepEqual(await front.recall(key, at(40)), consent({ scopes: [], grantedAt: at(30) }))
  })

  rule('what a person agreed to is forgotten with the person, and what all have with all', async ({ front }) => {
    const bob = 'https://login.example#bob'
    const keyOf = ({ person: name, clientId, redirectUri, resource }: ReturnType<typeof consent>) => {
      return { person: name, clientId, redirectUri, resource }
    }
    const [one, other] = [consent(), consent({ person: bob })]
    for (const each of [one, other]) await front.remember(each, at(10), roomy)
    await front.forget(one.person)
    assert.equal(await front.recall(keyOf(one), at(20)), null)
    assert.deepEqual(await front.recall(keyOf(other), at(20)), other)
    await front.forget(null)
    assert.equal(await front.recall(keyOf(other), at(20)), null)
  })

  rule('what people agreed to is bounded by person and together', async ({ front }) => {
    const few = { perOwner: 2, total: 3 }
    assert.equal(await front.remember(consent({ clientId: '1' }), at(10), few), 'kept')
    assert.equal(await front.remember(consent({ clientId: '2' }), at(10), few), 'kept')
    assert.equal(await front.remember(consent({ clientId: '3' }), at(10), few), 'full')
    assert.equal(await front.remember(consent({ clientId: '2' }), at(10), few), 'kept')
    assert.equal(await front.remember(consent({ person: 'https://login.example#bob' }), at(10), few), 'kept')
    assert.equal(await front.remember(consent({ person: 'https://login.example#cy' }), at(10), few), 'full')
  })
}
