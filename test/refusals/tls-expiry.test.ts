/**
 * `security.tls.client_auth`: a certificate that expires while its connection lives. The shortest certificate of a real
 * authority lives five minutes, so this gateway has a trust domain of the test's own; listener, pipeline and sockets
 * are the real ones.
 */

import { equal, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { epochMillis } from '@doorward/core'
import { GatewayFixture } from '../fixtures/gateway-fixture.ts'
import type { GatewayFixtureOptions } from '../fixtures/gateway-fixture.ts'
import { closed, dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import { openTap } from '../fixtures/tap.ts'
import type { Tap } from '../fixtures/tap.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'
import { headOnly } from './stage.ts'

let tap: Tap
const gateways: GatewayFixture[] = []

before(async () => {
  tap = await openTap()
})
after(async () => {
  for (const gateway of gateways) await gateway.close()
  await tap.close()
})

/** A connection that does not end must not hold up everything. */
const patience = { timeout: 20_000 }
const call = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_note","arguments":{}}}'

/** A gateway, and a caller of a few seconds with a session. */
async function brief(listener: GatewayFixtureOptions['listener'] = {}) {
  const gateway = await GatewayFixture.open({ servers: { files: { url: tap.url } }, roles: { all: ['*'] }, listener })
  gateways.push(gateway)
  const caller = await gateway.trust.issue('agent/brief', { roles: ['all'], secondsLeft: 3 })
  return { gateway, caller, session: await gateway.initialize(caller, 'files') }
}

/** Until the certificate is past its end; the clock of this process is the gateway's. */
async function expiry({ certificate }: TestSvid): Promise<void> {
  while (Date.now() < certificate.notAfter * 1000) await sleep(50)
}

test(
  'a live connection ends with its certificate, an open stream with it, and no further byte passes',
  patience,
  async () => {
    const { gateway, caller, session } = await brief()
    const kept = await dial(gateway.connection(caller))
    const stream = await dial(gateway.connection(caller))
    equal(parseAnswer(await talk(kept, await gateway.request(caller, 'files', { session, body: call }))).status, 200)
    ok(tap.since(0).includes('read_note'))
    const opening = await gateway.request(caller, 'files', { session, method: 'GET' })
    equal(parseAnswer(await talk(stream, opening, headOnly)).status, 200)
    const request = await gateway.request(caller, 'files', { session, body: call })
    const ended = Promise.all([closed(kept), closed(stream)])
    await expiry(caller)
    await ended
    const byte = tap.bytes
    equal(await talk(kept, request), '')
    await dial(gateway.connection(caller)).then(
      (again) => talk(again, request),
      () => '',
    )
    equal(tap.bytes, byte)
    while (!gateway.refused.some(({ reason }) => reason === 'certificate_expired')) await sleep(10)
  },
)

test('the next request on the connection is refused by itself, were the connection not closed', patience, async () => {
  // A listener whose clock stands far back closes nothing: what is left is the check of every request.
  const { gateway, caller, session } = await brief({ clock: () => epochMillis(Date.now() - 3_600_000) })
  const kept = await dial(gateway.connection(caller))
  const request = await gateway.request(caller, 'files', { session, body: call })
  equal(parseAnswer(await talk(kept, request)).headers['doorward-code'], 'allowed')
  await expiry(caller)
  const byte = tap.bytes
  const answer = parseAnswer(await talk(kept, request.replace('"id":1', '"id":2')))
  equal(answer.status, 401)
  equal(answer.headers['doorward-code'], 'certificate_expired')
  equal(tap.bytes, byte)
  const counted = await gateway.entries('refusals')
  equal(counted.filter(({ body }) => body['reason'] === 'certificate_expired').length, 1)
  kept.destroy()
})
