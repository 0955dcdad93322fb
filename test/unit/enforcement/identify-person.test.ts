/** A workload that acts for a person: who the caller is, what is held against either, and what is no such token. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochSeconds, principalName, userClaim, userName } from '@doorward/core'
import type { AccessTokenClaims } from '@doorward/core'
import { identify, isDenial, withdrawal } from '@doorward/enforcement'
import { after, denials, id, inboundOf, newStage, now, tokenOf, viewOf } from './call-fixture.ts'
import type { Stage } from './call-fixture.ts'

const user = { issuer: 'https://login.acme.example', subject: 'alice', groups: ['dev'] }
const other = 'spiffe://example.org/agent/other'
const forAlice = { sub: userName(user), act: { sub: id.uri }, [userClaim]: user }

async function codeOf(stage: Stage, change: Partial<AccessTokenClaims>): Promise<string> {
  const result = await identify(inboundOf(`Bearer ${await tokenOf(change)}`), 'token', stage.dependencies)
  return isDenial(result) ? result.code : 'good'
}

test('the subject is the person, the presenter the workload, and both have the limit of a user', async () => {
  const stage = newStage()
  const result = await identify(inboundOf(`Bearer ${await tokenOf(forAlice)}`), 'token', stage.dependencies)
  assert(!isDenial(result))
  const { principal } = result
  assert.deepEqual(principal.subject, { kind: 'user', ...user })
  assert.deepEqual([principal.presenter, principal.act, principal.roles], [id, [], ['reader']])
  assert.equal(principalName(principal), `${id.uri} for https://login.acme.example#alice`)
  assert.deepEqual(
    stage.limiter.taken.map((takes) => takes.map(({ scope, key }) => [scope, key])),
    [[['user', id.uri]], [['user', 'https://login.acme.example#alice']]],
  )
})

test('a person over the limit is refused, whichever workload acts for them', async () => {
  const stage = newStage()
  stage.limiter.answer = ([take]) =>
    take?.key === userName(user) ? { ok: false, scope: 'user', index: 0, retryAfterSeconds: 1 } : { ok: true }
  assert.equal(await codeOf(stage, forAlice), 'limit_user')
  assert.equal(await codeOf(stage, {}), 'good')
  stage.limiter.answer = ([take]) => (take?.key === userName(user) ? new Error('gone') : { ok: true })
  assert.equal(await codeOf(stage, forAlice), 'limits_unavailable')
})

test('sub names the person, the actor is who holds the connection, and nobody stands between', async () => {
  const wrong: readonly Partial<AccessTokenClaims>[] = [
    { ...forAlice, sub: 'https://login.acme.example#bob' },
    { ...forAlice, sub: id.uri },
    { ...forAlice, act: { sub: other } },
    { ...forAlice, act: { sub: other }, client_id: other },
    { ...forAlice, act: { sub: id.uri, act: { sub: other } } },
    { sub: forAlice.sub, [userClaim]: user },
    { sub: forAlice.sub, act: forAlice.act },
  ]
  for (const change of wrong) assert.equal(await codeOf(newStage(), change), 'token_subject', JSON.stringify(change))
  assert.equal(await codeOf(newStage(), forAlice), 'good')
})

test('what was issued to a person before a denial is refused to the second, and ends what is under way', async () => {
  const denied = (issuedBefore: number) =>
    viewOf(denials({ identities: [{ id: userName(user), issuedBefore: epochSeconds(issuedBefore) }] }), 2)
  const stage = newStage()
  stage.trust.view = denied(now)
  assert.equal(await codeOf(stage, forAlice), 'good')
  stage.trust.view = denied(now + 1)
  assert.equal(await codeOf(stage, forAlice), 'identity_denied')
  assert.equal(await codeOf(stage, { ...forAlice, iat: after(1) }), 'good')
  assert.equal(await codeOf(stage, {}), 'good')
  const open = newStage()
  const shown = await identify(inboundOf(`Bearer ${await tokenOf(forAlice)}`), 'token', open.dependencies)
  assert(!isDenial(shown))
  assert.equal(withdrawal(shown, denied(now)), null)
  assert.equal(withdrawal(shown, denied(now + 1))?.code, 'identity_denied')
})
