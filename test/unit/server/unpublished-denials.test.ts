/** A denial of a person that another authority has made counts here at once, for signing in and for tokens, before any state says so. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { epochSeconds, loginProofBytes, parseSpiffeIdPattern, Secret, toSeconds, userName } from '@doorward/core'
import type { LoginProof } from '@doorward/core'
import { generateP256, importP256, sha256 } from '@doorward/sdk'
import type { P256KeyPair } from '@doorward/sdk'
import { exchangeUserToken } from '../../../packages/server/src/authority/exchange-token.ts'
import { login } from '../../../packages/server/src/authority/login.ts'
import type { LoginDependencies, SignedIn } from '../../../packages/server/src/authority/login.ts'
import type { PresentedProof } from '../../../packages/server/src/authority/login-key.ts'
import type { SignInIssuer } from '../../../packages/server/src/authority/people.ts'
import { publishedKeys } from '../../../packages/server/src/authority/published-keys.ts'
import { isAuthorityRefusal } from '../../../packages/server/src/authority/refusal.ts'
import { ShownTokens } from '../../../packages/server/src/authority/shown-tokens.ts'
import { issuer, sharedGround } from '../../fixtures/authority/one-store.ts'
import type { SharedGround } from '../../fixtures/authority/one-store.ts'
import { minted, platformKey } from '../../fixtures/platform-issuer.ts'

const id = 'spiffe://test.example/agent/a'
const certificateFingerprint = `${'a'.repeat(42)}A`
const audience = 'https://gateway.test.example/mcp/files'
const provider = 'https://login.example'
const providerKey = platformKey('ES256', 'p')
const user = { issuer: provider, subject: 'ada', groups: [] }
const name = userName(user)

let ground: SharedGround
let dependencies: LoginDependencies
before(async () => {
  ground = await sharedGround()
  const { context, trust } = await ground.open('main')
  dependencies = {
    context: { ...context, people: { issuers: [people] }, unfit: () => null },
    slots: trust.slots,
    issuer,
    allowedAudience: async () => true,
    deniedBefore: () => 0,
    published: () => publishedKeys(trust.authority.trustState().state, importP256),
    audienceHolder: async () => null,
    shown: new ShownTokens(),
  }
})
after(() => ground.remove())

const now = () => toSeconds(ground.now())

/** It believes every token of its people. */
const people: SignInIssuer = {
  name: 'corp',
  issuer: provider,
  workloads: [parseSpiffeIdPattern('spiffe://test.example/**')],
  lifetimeSeconds: 3600,
  maxAgeSeconds: null,
  verify: async (text) => {
    const { iat } = JSON.parse(Buffer.from(text.split('.')[1] ?? '', 'base64url').toString()) as { iat: number }
    return {
      user: { kind: 'user', ...user },
      clientId: null,
      scopes: [],
      boundTo: null,
      id: null,
      issuedAt: epochSeconds(iat),
      expires: epochSeconds(iat + 600),
      strength: { acr: null, amr: [], authTime: null },
    }
  },
}

async function proofOf(
  { signKey, jwk }: P256KeyPair,
  use: Pick<LoginProof, 'use' | 'audience' | 'token'>,
): Promise<PresentedProof> {
  const issuedAt = now()
  const bytes = loginProofBytes({ ...use, certificateFingerprint, issuedAt }, sha256)
  return { key: jwk, issuedAt, signature: await signKey.sign(bytes) }
}

const idTokenOf = () => minted(providerKey, { iss: provider, sub: 'ada', iat: now(), exp: now() + 600 })

async function signIn(key: P256KeyPair, token: string) {
  const proof = await proofOf(key, { use: 'login', audience: issuer, token })
  const request = { id, certificateFingerprint, epoch: 1, random: 'r'.repeat(43), proof }
  return login(dependencies, { ...request, idToken: new Secret(token) })
}

async function exchange(key: P256KeyPair, { identity }: SignedIn, more: Partial<LoginDependencies> = {}) {
  const proof = await proofOf(key, { use: 'exchange', audience, token: identity.reveal() })
  const request = { id, certificateFingerprint, epoch: 1, audience, scope: null, mayAct: null, identity, proof }
  const certificateNotAfter = epochSeconds(now() + 600)
  return exchangeUserToken({ ...dependencies, ...more }, { ...request, certificateNotAfter })
}

const outcome = (answer: object) => (isAuthorityRefusal(answer) ? answer.code : 'given')

async function denyElsewhere(): Promise<number> {
  const issuedBefore = epochSeconds(now() + 1)
  const denial = { kind: 'identity', value: name, issuedBefore, reason: 'a test' } as const
  await ground.store.revocations.revoke({ ...denial, lapsesAt: epochSeconds(now() + 86_400) }, now())
  return issuedBefore
}

test('a person who is denied elsewhere signs in by nothing of before, and gets no token of a sign-in of before', async () => {
  const key = await generateP256()
  const token = await idTokenOf()
  const signedIn = await signIn(key, token)
  assert.ok(!isAuthorityRefusal(signedIn), JSON.stringify(signedIn))
  assert.equal(outcome(await exchange(key, signedIn)), 'given')
  const other = await idTokenOf()
  await denyElsewhere()
  ground.advance(5000)
  const before = ground.record.length
  assert.equal(outcome(await exchange(key, signedIn)), 'identity_denied')
  assert.equal(outcome(await signIn(key, other)), 'identity_denied')
  assert.equal(ground.record.length, before)
  const again = await signIn(key, await idTokenOf())
  assert.ok(!isAuthorityRefusal(again), JSON.stringify(again))
  assert.equal(outcome(await exchange(key, again)), 'given')
})

test('a person’s token is dated before it is asked what is denied, so that a denial in between takes it', async () => {
  const key = await generateP256()
  ground.advance(5000)
  const signedIn = await signIn(key, await idTokenOf())
  assert.ok(!isAuthorityRefusal(signedIn), JSON.stringify(signedIn))
  const { context } = dependencies
  const { revocations } = context.store
  let issuedBefore = 0
  const during = {
    ...revocations,
    issuedBefore: async (one: string) => {
      const known = await revocations.issuedBefore(one)
      ground.advance(2000)
      issuedBefore = await denyElsewhere()
      ground.advance(2000)
      return known
    },
  }
  const given = await exchange(key, signedIn, {
    context: { ...context, store: { ...context.store, revocations: during } },
  })
  assert.ok(!isAuthorityRefusal(given), JSON.stringify(given))
  const [, payload = ''] = given.token.reveal().split('.')
  const { iat } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { iat: number }
  assert.ok(issuedBefore > 0 && iat < issuedBefore, `${iat} ${issuedBefore}`)
})
