/**
 * Peers whose clocks are apart: credentials by a clock that is off, at a gateway whose clock is right. Half a minute is forgiven
 * to tokens, nothing to certificates beyond the minute that they are backdated by (reference: Leeway, Backdating).
 */

import { deepEqual, equal, match } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { epochSeconds } from '@doorward/core'
import { audienceOf, GatewayFixture } from '../fixtures/gateway-fixture.ts'
import { modern, modernServer, result } from '../fixtures/modern-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import { now } from '../fixtures/trust-fixture.ts'

let gateway: GatewayFixture
let server: ScriptedServer
before(async () => {
  server = await modernServer((reached, response) => result(reached, response, { resultType: 'complete', content: [] }))
  gateway = await GatewayFixture.open({ servers: { files: { url: server.url } }, roles: { all: ['*'] } })
})
after(async () => {
  await gateway.close()
  await server.close()
})

let count = 0

/** What somebody gets for a call with what an authority has given out whose clock is so many seconds ahead. */
async function called(
  ahead: number,
): Promise<{ readonly code: string; readonly text: string; readonly reached: number }> {
  const before = server.having('tools/call').length
  const caller = await gateway.trust.issue(`agent/caller-${++count}`, {
    roles: ['all'],
    startsIn: ahead - 60,
    secondsLeft: ahead + 3600,
  })
  const iat = epochSeconds(now() + ahead)
  const claims = { iat, nbf: epochSeconds(iat - 60), exp: epochSeconds(iat + 300) }
  const token = await gateway.trust.token(caller, audienceOf('files'), claims)
  const params = { name: 'x', arguments: {} }
  const answer = await gateway.rpc(caller, 'files', modern('tools/call', { params, token }))
  // Who is refused in the handshake is told nothing but the alert; the operator is told why.
  const refused = answer.status === 0 ? gateway.refused.at(-1) : undefined
  const code = refused?.reason ?? answer.headers['doorward-code'] ?? String(answer.status)
  return { code, text: refused?.detail ?? answer.body, reached: server.having('tools/call').length - before }
}

const cases: readonly (readonly [string, number, string])[] = [
  ['45 seconds behind is served', -45, 'allowed'],
  ['five minutes behind is served within the leeway of a token', -300 + 5, 'allowed'],
  ['more than five and a half minutes behind has ended', -335, 'token_expired'],
  ['25 seconds ahead is served', 25, 'allowed'],
  ['55 seconds ahead is not valid yet', 55, 'token_not_yet_valid'],
  ['five minutes ahead is not valid yet, by its certificate', 300, 'certificate_not_yet_valid'],
]
for (const [what, ahead, code] of cases)
  test(`OP-11: what a clock gives out that is ${what}`, async () => {
    const answer = await called(ahead)
    deepEqual([answer.code, answer.reached > 0], [code, code === 'allowed'], answer.text)
    if (code === 'allowed') return
    match(answer.text, /not valid yet|CERT_NOT_YET_VALID|expired/)
    if (code.startsWith('certificate')) return
    const entries = (await gateway.entries()).map(({ body }) => body as Record<string, unknown>)
    const entry = entries.findLast((body) => body['code'] === code)
    equal(entry?.['decision'], 'deny')
    match(String(entry?.['explanation']), /exp was|nbf is/)
  })
