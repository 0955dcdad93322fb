/**
 * What is granted once is used once, at whichever authority of one store, and by however many at the same moment (ADR 0088): codes
 * and refresh tokens of the front. Access tokens are used again by their own key, and each exchange is on record.
 */

import assert from 'node:assert/strict'
import { randomBytes as random } from 'node:crypto'
import { after, before, test } from 'node:test'
import { epochSeconds, Secret, toBase64url, toSeconds, utf8 } from '@doorward/core'
import { randomBytes, sha256 } from '@doorward/sdk'
import type { FrontContext } from '../../../packages/server/src/authority/front/context.ts'
import { familyOf, grantId } from '../../../packages/server/src/authority/front/refresh-token.ts'
import { isFrontRefusal } from '../../../packages/server/src/authority/front/refusal.ts'
import type { FrontRefusal } from '../../../packages/server/src/authority/front/refusal.ts'
import type { FrontGrant } from '../../../packages/server/src/authority/front/store.ts'
import { redeemFrontCode, refreshFront } from '../../../packages/server/src/authority/front/tokens.ts'
import type { FrontTokens } from '../../../packages/server/src/authority/front/tokens.ts'
import { sharedGround, trustDomain } from '../../fixtures/authority/one-store.ts'
import type { SharedAuthority, SharedGround } from '../../fixtures/authority/one-store.ts'

const ROUNDS = 6
const clientId = 'claude'
const redirectUri = 'https://client.example/cb'
const resource = 'https://edge.example/mcp/files'
const limits = { perOwner: 1000, total: 1000 }
const never = (): never => assert.fail('nobody signs in here')

let ground: SharedGround
/** The front of each authority, with a store of its own on the one file. */
let fronts: readonly [FrontContext, FrontContext]
const denied: string[] = []
const reused: string[] = []
before(async () => {
  ground = await sharedGround()
  fronts = [frontOf(await ground.open('first')), frontOf(await ground.open('second'))]
})
after(() => ground.remove())

function frontOf({ context, trust }: SharedAuthority): FrontContext {
  const { store, log, clock, unfit } = context
  return {
    store,
    log,
    clock,
    unfit,
    trustDomain,
    settings: {
      publicUrl: 'https://front.example',
      resources: [],
      bearer: true,
      scopesNarrow: true,
      refreshSeconds: 3600,
      consentSeconds: 0,
      clientName: () => clientId,
    },
    clients: { find: never } as object as FrontContext['clients'],
    provider: { begin: never, finish: never },
    slots: trust.slots,
    random: randomBytes,
    sha256,
    deniedBefore: () => 0,
    epoch: () => 1,
    denyTokens: async (names) => void denied.push(...names),
    reused: async ({ id }) => void reused.push(id),
  }
}

/** A code that somebody has agreed to, and how it is redeemed. */
async function granted(): Promise<{ readonly id: string; readonly redeem: (at: 0 | 1) => ReturnType<typeof redeem> }> {
  const { store, sha256: digest } = fronts[0]
  const [code, verifier] = [random(32).toString('base64url'), random(32).toString('base64url')]
  const id = grantId({ sha256: digest }, familyOf({ sha256: digest }, code))
  const now = toSeconds(ground.now())
  const user = { issuer: 'https://login.example', subject: 'ada', groups: [] }
  const grant: FrontGrant = {
    id,
    seal: random(32).toString('base64url'),
    request: {
      clientId,
      clientName: 'Claude',
      clientFrom: 'document',
      redirectUri,
      challenge: hashed(verifier),
      resource,
      scopes: ['files:read'],
      state: null,
      jkt: null,
    },
    person: { user, acr: null, amr: [], authTime: null, signedInAt: now },
    epoch: 1,
    jkt: null,
    createdAt: now,
    expiresAt: epochSeconds(now + 3600),
  }
  await store.front.grant(grant, { hash: hashed(code), expiresAt: epochSeconds(now + 60) }, now, limits)
  return { id, redeem: (at) => redeem(at, code, verifier) }
}

function hashed(text: string): string {
  return toBase64url(sha256(utf8(text)))
}

function redeem(at: 0 | 1, code: string, verifier: string): Promise<FrontTokens | FrontRefusal> {
  const request = { clientId, jkt: null, redirectUri, resource: null }
  return redeemFrontCode(fronts[at], { ...request, code: new Secret(code), verifier: new Secret(verifier) })
}

function refresh(at: 0 | 1, refreshToken: Secret): Promise<FrontTokens | FrontRefusal> {
  return refreshFront(fronts[at], { clientId, jkt: null, refreshToken, resource: null, scopes: null })
}

function tokensOf(answer: FrontTokens | FrontRefusal): FrontTokens {
  assert.ok(!isFrontRefusal(answer), JSON.stringify(answer))
  return answer
}

/** Nothing that came of the grant goes on: the refused one has ended it, and what was given out meanwhile is denied. */
async function hasEnded(id: string, answers: readonly (FrontTokens | FrontRefusal)[]): Promise<void> {
  for (const answer of answers) {
    if (isFrontRefusal(answer)) assert.equal(answer.code, 'grant_refused')
    else for (const at of [0, 1] as const) assert.ok(isFrontRefusal(await refresh(at, answer.refreshToken)))
  }
  assert.equal(await ground.store.front.find(id, toSeconds(ground.now())), null)
  assert.equal(reused.filter((one) => one === id).length, 1)
  const names = ground.record
    .filter(({ body }) => body['phase'] === 'front-token' && body['grant'] === id)
    .map(({ body }) => String(body['token']))
  const given = answers.filter((answer) => !isFrontRefusal(answer)).length
  assert.ok(names.filter((name) => denied.includes(name)).length >= given)
}

test('RP-2, RP-4: of two redemptions of one code at two authorities at most one gives tokens, and those are denied', async () => {
  const alone = await granted()
  tokensOf(await refresh(1, tokensOf(await alone.redeem(0)).refreshToken))
  for (let round = 0; round < ROUNDS; round++) {
    const { id, redeem: by } = await granted()
    const answers = await Promise.all(round % 2 === 0 ? [by(0), by(1)] : [by(1), by(0)])
    assert.ok(answers.filter((answer) => !isFrontRefusal(answer)).length <= 1)
    await hasEnded(id, answers)
  }
})

test('RP-2, RP-4: of two uses of one refresh token at two authorities at most one gives tokens, and those are denied', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { id, redeem: by } = await granted()
    const { refreshToken } = tokensOf(await by(0))
    const answers = await Promise.all([refresh(0, refreshToken), refresh(1, refreshToken)])
    assert.ok(answers.filter((answer) => !isFrontRefusal(answer)).length <= 1)
    await hasEnded(id, answers)
  }
})
