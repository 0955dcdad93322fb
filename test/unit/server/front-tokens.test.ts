/**
 * Tokens of the front when something comes in between: a denial that another authority has just made, a failure on our side, a
 * second use. What is not given out is on record as that, and nobody is taken for a thief who is none.
 */

import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { DoorwardError, epochSeconds, toSeconds, userName } from '@doorward/core'
import type { FrontBrowser } from '../../../packages/server/src/authority/front/sign-in.ts'
import type { FrontContext } from '../../../packages/server/src/authority/front/context.ts'
import { isFrontRefusal } from '../../../packages/server/src/authority/front/refusal.ts'
import { denyFrontTokens, reuseDetail } from '../../../packages/server/src/authority/front/reuse.ts'
import { answerConsent } from '../../../packages/server/src/authority/front/sign-in.ts'
import { refuse } from '../../../packages/server/src/authority/refusal.ts'
import { sharedGround } from '../../fixtures/authority/one-store.ts'
import type { SharedGround } from '../../fixtures/authority/one-store.ts'
import {
  frontOf,
  grantedCode,
  hashed,
  redeem,
  refresh,
  request,
  tokensOf,
  user,
} from '../../fixtures/authority/front-turns.ts'
import type { Reuses } from '../../fixtures/authority/front-turns.ts'

const person = userName(user)
const client = 'spiffe://test.example/edge/claude'
let ground: SharedGround
let front: FrontContext
const reuses: Reuses = { denied: [], reused: [] }
before(async () => {
  ground = await sharedGround()
  // The clock of the test leaves the lease behind.
  front = { ...frontOf(await ground.open('first'), reuses), unfit: () => null }
})
after(() => ground.remove())
beforeEach(() => {
  // Past the second of what was denied before.
  ground.advance(2000)
  ground.record.length = 0
  reuses.denied.length = 0
  reuses.reused.length = 0
})

const phases = () => ground.record.map(({ body }) => body['phase']).filter((one) => String(one).startsWith('front-'))
const codeIn = (answer: object) => (isFrontRefusal(answer) ? answer.code : 'given')

/** As another authority does: what this one has published says nothing of it. */
async function denyElsewhere(value: string): Promise<void> {
  const now = toSeconds(ground.now())
  const times = { issuedBefore: epochSeconds(now + 1), lapsesAt: epochSeconds(now + 86_400) }
  await ground.store.revocations.revoke({ kind: 'identity', value, ...times, reason: 'a test' }, now)
}

type Step = 'front-token' | 'rotate' | 'rotated' | 'remember'

/** The same front, where something happens at one step, once. */
function interrupted(at: Step, what: () => Promise<void> | void): FrontContext {
  const { log, store } = front
  let open = true
  const happens = async (step: Step) => {
    if (step !== at || !open) return
    open = false
    await what()
  }
  return {
    ...front,
    log: {
      append: async (entry) => {
        if (JSON.stringify(entry.body).includes('"front-token"')) await happens('front-token')
        return log.append(entry)
      },
    },
    store: {
      ...store,
      front: {
        ...store.front,
        rotate: async (...asked) => {
          await happens('rotate')
          const outcome = await store.front.rotate(...asked)
          await happens('rotated')
          return outcome
        },
        remember: async (...asked) => {
          await happens('remember')
          return store.front.remember(...asked)
        },
      },
    },
  }
}

async function firstTokens() {
  const held = await grantedCode(front)
  return { ...held, ...tokensOf(await redeem(front, held)) }
}

describe('a denial that another authority has made, and nobody has published', () => {
  async function endsAtOnce(value: string): Promise<void> {
    const [first, held] = [await firstTokens(), await grantedCode(front)]
    tokensOf(await refresh(front, (await firstTokens()).refreshToken))
    await denyElsewhere(value)
    ground.advance(5000)
    ground.record.length = 0
    assert.equal(codeIn(await refresh(front, first.refreshToken)), 'grant_refused')
    assert.equal(codeIn(await redeem(front, held)), 'grant_refused')
    assert.deepEqual(phases(), ['front-end', 'front-end'])
    tokensOf(await redeem(front, await grantedCode(front)))
  }

  test('of the person ends codes and refresh tokens at once', () => endsAtOnce(person))

  test('of the client ends codes and refresh tokens at once', () => endsAtOnce(client))

  test('while a token is made ends what it is of, and the token is not given out', async () => {
    const denyLater = async () => {
      ground.advance(5000)
      await denyElsewhere(person)
    }
    const { id, refreshToken } = await firstTokens()
    assert.equal(codeIn(await refresh(interrupted('rotate', denyLater), refreshToken)), 'grant_refused')
    assert.deepEqual(phases(), ['front-token', 'front-token', 'front-end', 'front-token-void'])
    assert.equal(await front.store.front.find(id, toSeconds(ground.now())), null)
    ground.advance(2000)
    const held = await grantedCode(front)
    assert.equal(codeIn(await redeem(interrupted('rotate', denyLater), held)), 'grant_refused')
    assert.equal(await front.store.front.find(held.id, toSeconds(ground.now())), null)
    assert.deepEqual(reuses.reused, [])
  })

  /** A page stands before the person; their answer, and whether it is remembered. */
  async function agree(context: FrontContext): Promise<{ readonly code: boolean; readonly remembered: boolean }> {
    const now = toSeconds(ground.now())
    const [token, cookie] = ['T'.repeat(43), 'C'.repeat(43)]
    const browser: FrontBrowser = { address: '192.0.2.1', network: '192.0.2.0/24', cookie: () => cookie }
    const signedIn = { user, acr: null, amr: [], authTime: null, signedInAt: now }
    await front.store.front.keep(
      {
        hash: hashed(token),
        browser: hashed(cookie),
        owner: person,
        source: person,
        step: { kind: 'consent', request, person: signedIn, epoch: 1 },
        expiresAt: epochSeconds(now + 600),
      },
      now,
      { perOwner: 10, total: 10 },
    )
    const form = new Map(Object.entries({ token, decision: 'allow' }))
    const answer = await answerConsent(context, form, browser)
    const key = { person, clientId: request.clientId, redirectUri: request.redirectUri, resource: request.resource }
    const held = await front.store.front.recall(key, toSeconds(ground.now()))
    const code = 'url' in answer && answer.url.searchParams.has('code')
    await front.store.front.forget(null)
    return { code, remembered: held !== null }
  }

  test('while the person agrees leaves no code, and nothing that is remembered', async () => {
    assert.deepEqual(await agree(front), { code: true, remembered: true })
    for (const value of [person, client]) {
      const during = interrupted('remember', () => denyElsewhere(value))
      assert.deepEqual(await agree(during), { code: false, remembered: false })
      ground.advance(2000)
    }
    assert.deepEqual(await agree(front), { code: true, remembered: true })
  })
})

describe('a code', () => {
  test('is not spent where no key can sign', async () => {
    const held = await grantedCode(front)
    assert.equal(codeIn(await redeem({ ...front, slots: { tokenKey: () => null } }, held)), 'authority_unready')
    tokensOf(await redeem(front, held))
  })

  test('that fails on our side is none any more, and who tries again is no second one', async () => {
    for (const step of ['front-token', 'rotate'] as const) {
      const held = await grantedCode(front)
      const failing = interrupted(step, () => {
        throw new DoorwardError('record_unavailable', 'a test')
      })
      ground.record.length = 0
      await assert.rejects(redeem(failing, held), { code: 'record_unavailable' })
      assert.equal(codeIn(await redeem(front, held)), 'grant_refused')
      assert.deepEqual(reuses.reused, [])
      assert.deepEqual(phases(), step === 'rotate' ? ['front-token', 'front-token-void'] : [])
    }
  })
})

describe('a refresh token', () => {
  test('gives a scope once that is asked for twice', async () => {
    const { refreshToken } = await firstTokens()
    const next = tokensOf(await refresh(front, refreshToken, ['files:read', 'files:read']))
    assert.deepEqual(next.scopes, ['files:read'])
    assert.deepEqual(phases(), ['front-token', 'front-token'])
  })

  test('that comes a second time is told before anything is signed or entered of a token', async () => {
    const { id, refreshToken } = await firstTokens()
    tokensOf(await refresh(front, refreshToken))
    ground.record.length = 0
    assert.equal(codeIn(await refresh(front, refreshToken)), 'grant_refused')
    assert.deepEqual(phases(), ['front-end'])
    assert.equal(reuses.denied.length, 2)
    assert.deepEqual(reuses.reused, [{ id, undenied: [] }])
  })

  test('that fails on our side when it is spent ends its grant, and who tries again is no second one', async () => {
    const { id, refreshToken } = await firstTokens()
    const failing = interrupted('rotated', () => {
      throw new DoorwardError('store_unavailable', 'a test')
    })
    ground.record.length = 0
    await assert.rejects(refresh(failing, refreshToken), { code: 'store_unavailable' })
    assert.equal(await front.store.front.find(id, toSeconds(ground.now())), null)
    assert.equal(codeIn(await refresh(front, refreshToken)), 'grant_refused')
    assert.deepEqual(phases(), ['front-token', 'front-token-void'])
    assert.deepEqual(reuses, { denied: [], reused: [] })
  })

  test('that loses to another use leaves what was entered for it void', async () => {
    const { refreshToken } = await firstTokens()
    const second = interrupted('rotate', async () => void tokensOf(await refresh(front, refreshToken)))
    ground.record.length = 0
    assert.equal(codeIn(await refresh(second, refreshToken)), 'grant_refused')
    assert.deepEqual(phases(), ['front-token', 'front-token', 'front-end', 'front-token-void'])
    const [entered, won, , unreleased] = ground.record.map(({ body }) => body['token'])
    assert.equal(unreleased, entered)
    assert.ok(reuses.denied.includes(String(won)))
  })
})

test('live tokens that could not be denied are named to operators, and keep no other one alive', async () => {
  const told: unknown[] = []
  const asked: string[] = []
  const revoke = async ({ subject }: { readonly subject: object }) => {
    const name = 'tokenId' in subject ? String(subject.tokenId) : ''
    asked.push(name)
    if (name === 'a') throw new Error('the store is away')
    if (name === 'b') return refuse('authority_unready', 'no record')
    return name === 'c' ? refuse('conflict', 'it has ended') : { denials: [], locked: [], marks: {} as never }
  }
  const tools = { revocations: { revoke }, onProblem: (error: unknown) => void told.push(error) }
  assert.deepEqual(await denyFrontTokens(tools, ['a', 'b', 'c', 'd'], 'a test'), ['a', 'b'])
  assert.deepEqual([asked, told.length], [['a', 'b', 'c', 'd'], 2])
  const first = await firstTokens()
  tokensOf(await refresh(front, first.refreshToken))
  const name = String(ground.record.map(({ body }) => body['token']).at(-1))
  await refresh({ ...front, denyTokens: async () => [name] }, first.refreshToken)
  assert.deepEqual(reuses.reused, [{ id: first.id, undenied: [name] }])
  assert.match(reuseDetail('twice', [name]), new RegExp(`could not be denied.*${name}`))
  assert.ok(!reuseDetail('twice', [name]).includes('its live tokens are denied'))
  assert.match(reuseDetail('twice', []), /its live tokens are denied/)
})
