/**
 * What is granted once is used once, at whichever authority of one store, and by however many at the same moment (ADR 0088): codes
 * and refresh tokens of the front. Access tokens are used again by their own key, and each exchange is on record.
 */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { toSeconds } from '@doorward/core'
import type { FrontContext } from '../../../packages/server/src/authority/front/context.ts'
import { isFrontRefusal } from '../../../packages/server/src/authority/front/refusal.ts'
import type { FrontRefusal } from '../../../packages/server/src/authority/front/refusal.ts'
import type { FrontTokens } from '../../../packages/server/src/authority/front/tokens.ts'
import { sharedGround } from '../../fixtures/authority/one-store.ts'
import type { SharedGround } from '../../fixtures/authority/one-store.ts'
import { frontOf, grantedCode, redeem, refresh, tokensOf } from '../../fixtures/authority/front-turns.ts'
import type { Reuses } from '../../fixtures/authority/front-turns.ts'

const ROUNDS = 6

let ground: SharedGround
/** The front of each authority, with a store of its own on the one file. */
let fronts: readonly [FrontContext, FrontContext]
const reuses: Reuses = { denied: [], reused: [] }
before(async () => {
  ground = await sharedGround()
  fronts = [frontOf(await ground.open('first'), reuses), frontOf(await ground.open('second'), reuses)]
})
after(() => ground.remove())

const entriesOf = (phase: string, grant: string): readonly string[] =>
  ground.record
    .filter(({ body }) => body['phase'] === phase && body['grant'] === grant)
    .map(({ body }) => String(body['token']))

/** Nothing that came of the grant goes on: the refused one has ended it, and what was given out meanwhile is denied. */
async function hasEnded(id: string, answers: readonly (FrontTokens | FrontRefusal)[], before = 0): Promise<void> {
  for (const answer of answers) {
    if (isFrontRefusal(answer)) assert.equal(answer.code, 'grant_refused')
    else for (const front of fronts) assert.ok(isFrontRefusal(await refresh(front, answer.refreshToken)))
  }
  assert.equal(await ground.store.front.find(id, toSeconds(ground.now())), null)
  assert.equal(reuses.reused.filter((one) => one.id === id).length, 1)
  const names = entriesOf('front-token', id)
  const given = answers.filter((answer) => !isFrontRefusal(answer)).length
  assert.ok(names.filter((name) => reuses.denied.includes(name)).length >= given)
  // What was entered is what was given, and what the record says was not.
  const unreleased = entriesOf('front-token-void', id)
  assert.ok(unreleased.every((name) => names.includes(name)))
  assert.equal(names.length - unreleased.length, before + given)
}

test('RP-2, RP-4: of two redemptions of one code at two authorities at most one gives tokens, and those are denied', async () => {
  const alone = await grantedCode(fronts[0])
  tokensOf(await refresh(fronts[1], tokensOf(await redeem(fronts[0], alone)).refreshToken))
  for (let round = 0; round < ROUNDS; round++) {
    const held = await grantedCode(fronts[0])
    const order = round % 2 === 0 ? fronts : [fronts[1], fronts[0]]
    const answers = await Promise.all(order.map((front) => redeem(front, held)))
    assert.ok(answers.filter((answer) => !isFrontRefusal(answer)).length <= 1)
    await hasEnded(held.id, answers)
  }
})

test('RP-2, RP-4: of two uses of one refresh token at two authorities at most one gives tokens, and those are denied', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const held = await grantedCode(fronts[0])
    const { refreshToken } = tokensOf(await redeem(fronts[0], held))
    const answers = await Promise.all(fronts.map((front) => refresh(front, refreshToken)))
    assert.ok(answers.filter((answer) => !isFrontRefusal(answer)).length <= 1)
    await hasEnded(held.id, answers, 1)
  }
})
