import assert from 'node:assert/strict'
import type { KeyObject } from 'node:crypto'
import { before, describe, test } from 'node:test'
import {
  epochClaim,
  epochSeconds,
  isDoorwardError,
  keySetOf,
  mintFrontToken,
  mintToken,
  userClaim,
  verifyFrontToken,
  verifyToken,
} from '@doorward/core'
import type { FrontTokenCheck, FrontTokenClaims, TokenSigner } from '@doorward/core'
import { generateP256, importP256 } from '@doorward/sdk'
import { fingerprint, forge, goodClaims, goodHeader, kid, now } from './token-fixture.ts'

const user = { issuer: 'https://login.example.org', subject: 'ada', groups: ['staff'] }
const jkt = 'B'.repeat(42) + 'E'
const front: FrontTokenClaims = {
  iss: 'https://front.example.org',
  aud: 'https://edge.example.org/mcp/files',
  sub: 'https://login.example.org#ada',
  client_id: 'claude-client',
  iat: now,
  exp: epochSeconds(now + 300),
  jti: 'aW0c2b3a4f5e6d7c8b9a0f',
  scope: 'files:read files:write',
  cnf: { jkt },
  acr: 'phr',
  amr: ['hwk'],
  auth_time: epochSeconds(now - 60),
  [epochClaim]: 7,
  [userClaim]: user,
}

let key: KeyObject
let signer: TokenSigner
let check: FrontTokenCheck

before(async () => {
  const pair = await generateP256()
  key = pair.privateKey
  signer = { kid, signKey: pair.signKey }
  const keys = keySetOf([{ kid, state: 'active', jwk: pair.jwk }], importP256)
  check = { issuer: front.iss, audience: front.aud, epoch: 7, keys, now }
})

function verdictOf(text: string, changed: Partial<FrontTokenCheck> = {}): string {
  const verdict = verifyFrontToken(text, { ...check, ...changed })
  return 'ok' in verdict ? verdict.code : 'accepted'
}

const forged = (change: object, header: object = goodHeader) => forge(header, { ...front, ...change }, key)
const without = (...names: readonly string[]) =>
  forge(goodHeader, Object.fromEntries(Object.entries(front).filter(([name]) => !names.includes(name))), key)

describe('a token of the front', () => {
  test('says what was minted', async () => {
    assert.deepEqual(verifyFrontToken(await mintFrontToken(front, signer), check), {
      user: { kind: 'user', ...user },
      clientId: 'claude-client',
      scopes: ['files:read', 'files:write'],
      boundTo: jkt,
      id: front.jti,
      issuedAt: front.iat,
      expires: front.exp,
      strength: { acr: 'phr', amr: ['hwk'], authTime: now - 60 },
      epoch: 7,
      keyId: kid,
    })
  })
  test('may be bound to no key and may lack scopes and how the person signed in', () => {
    const verdict = verifyFrontToken(without('scope', 'cnf', 'acr', 'amr', 'auth_time'), check)
    assert.ok(!('ok' in verdict))
    assert.deepEqual([verdict.boundTo, verdict.scopes], [null, []])
    assert.deepEqual(verdict.strength, { acr: null, amr: [], authTime: null })
  })
  test('is for one issuer, one resource, one epoch and five minutes', () => {
    assert.equal(verdictOf(forged({})), 'accepted')
    assert.equal(verdictOf(forged({}), { issuer: 'https://other.example.org' }), 'token_issuer')
    assert.equal(verdictOf(forged({}), { audience: `${front.aud}2` }), 'token_audience')
    assert.equal(verdictOf(forged({ aud: [front.aud] })), 'token_claims')
    assert.equal(verdictOf(forged({}), { epoch: 8 }), 'token_epoch')
    assert.equal(verdictOf(forged({ exp: now + 301 })), 'token_lifetime')
    assert.equal(verdictOf(forged({ exp: now })), 'token_lifetime')
    const at = (seconds: number) => verdictOf(forged({}), { now: epochSeconds(now + seconds) })
    assert.deepEqual([329, 330, -30, -31].map(at), ['accepted', 'token_expired', 'accepted', 'token_not_yet_valid'])
  })
  test('has no member that nobody here judges, and lacks none', () => {
    for (const name of ['iss', 'aud', 'sub', 'client_id', 'iat', 'exp', 'jti', epochClaim, userClaim])
      assert.equal(verdictOf(without(name)), 'token_claims', name)
    for (const change of [{ nbf: now }, { act: { sub: 'x' } }, { roles: [] }, { scope: '' }, { scope: 'a  b' }])
      assert.equal(verdictOf(forged(change)), 'token_claims', JSON.stringify(change))
    for (const change of [{ scope: 'a a' }, { scope: 'a"' }, { cnf: {} }, { cnf: { jkt, 'x5t#S256': jkt } }])
      assert.equal(verdictOf(forged(change)), 'token_claims', JSON.stringify(change))
    for (const change of [{ cnf: { jkt: 'short' } }, { amr: 'pwd' }, { acr: '' }, { auth_time: 1.5 }])
      assert.equal(verdictOf(forged(change)), 'token_claims', JSON.stringify(change))
  })
  test('names its person in sub', () => {
    assert.equal(verdictOf(forged({ sub: 'https://login.example.org#bob' })), 'token_claims')
    assert.equal(verdictOf(forged({ [userClaim]: { ...user, more: 1 } })), 'token_claims')
  })
  test('is by a key of the trust state and has its header exactly', async () => {
    const other = await generateP256()
    assert.equal(verdictOf(forge(goodHeader, front, other.privateKey)), 'token_signature')
    assert.equal(verdictOf(forged({}, { ...goodHeader, kid: 'another' })), 'token_key_unknown')
    assert.equal(verdictOf(forged({}, { ...goodHeader, typ: 'JWT' })), 'token_type')
    assert.equal(verdictOf(forged({}, { ...goodHeader, alg: 'none' })), 'token_algorithm')
    assert.equal(verdictOf(forged({}, { ...goodHeader, jwk: {} })), 'token_header')
  })
})

describe('kinds of tokens', () => {
  const expect = {
    issuer: goodClaims.iss,
    audience: goodClaims.aud,
    trustDomain: 'example.org',
    certificateFingerprint: fingerprint,
    epoch: 7,
  }

  test('a token of the front is none of a workload, even with the same issuer and audience', async () => {
    const text = await mintFrontToken({ ...front, iss: goodClaims.iss, aud: goodClaims.aud }, signer)
    const verdict = verifyToken(text, { expect, keys: check.keys, now })
    assert.equal(verdict.ok ? 'accepted' : verdict.code, 'token_claims')
  })
  test('a token of a workload is none of the front, even for a person', async () => {
    const text = await mintToken(
      { ...goodClaims, sub: front.sub, act: { sub: goodClaims.client_id }, [userClaim]: user },
      signer,
    )
    assert.equal(verifyToken(text, { expect, keys: check.keys, now }).ok, true)
    assert.equal(verdictOf(text, { issuer: goodClaims.iss, audience: goodClaims.aud }), 'token_claims')
  })
  test('what would not be accepted is not minted', async () => {
    const refused = async (change: object) =>
      assert.rejects(mintFrontToken({ ...front, ...change }, signer), (error) =>
        isDoorwardError(error, 'token_claims_invalid'),
      )
    await refused({ exp: now + 301 })
    await refused({ sub: 'somebody' })
    await refused({ [userClaim]: { ...user, groups: Array.from({ length: 60 }, (_, at) => `${at}`.padEnd(128, 'g')) } })
  })
})
