/** The end of a connection with its certificates: announced in time, then kept. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { connectionLife, epochMillis, epochSeconds } from '@doorward/core'
import { systemClock } from '@doorward/sdk'
import { send } from '../../../packages/enforcement/src/wire/exchange.ts'
import { defaultListenerLimits, openListener } from '../../../packages/enforcement/src/wire/listener.ts'
import type { Listener } from '../../../packages/enforcement/src/wire/listener.ts'
import { defaultCipherSuites } from '../../../packages/enforcement/src/wire/tls-context.ts'
import { dial, parseAnswer, talk } from '../../fixtures/raw-http.ts'
import { TrustFixture } from '../../fixtures/trust-fixture.ts'
import type { TestSvid } from '../../fixtures/trust-fixture.ts'

let trust: TrustFixture
const open: Listener[] = []

before(async () => {
  trust = await TrustFixture.create()
})
after(() => Promise.all(open.map((listener) => listener.close(0))))

async function listen(own: TestSvid, clientCertificate: 'required' | 'none' = 'required'): Promise<Listener> {
  const listener = await openListener({
    name: 'main',
    host: '127.0.0.1',
    port: 0,
    clientCertificate,
    material: trust.tlsMaterial(own),
    authorities: ['127.0.0.1:0'],
    cipherSuites: defaultCipherSuites,
    securityHeaders: {},
    limits: defaultListenerLimits,
    clock: systemClock,
    monotonic: () => performance.now(),
    onExchange: async (exchange) => send(exchange, 200, {}, 'ok'),
    onRefusedHandshake: () => undefined,
  })
  open.push(listener)
  return listener
}

/** Requests one after the other on one connection until an answer announces its end; when that was. */
async function untilAnnounced({ address }: Listener, svid: TestSvid | null): Promise<number> {
  const socket = await dial({ ...address, ca: trust.anchorsPem, ...svid?.pem })
  const text = `GET / HTTP/1.1\r\nHost: 127.0.0.1:${address.port}\r\n\r\n`
  try {
    for (;;) {
      const answer = parseAnswer(await talk(socket, text))
      assert.equal(answer.status, 200)
      if (answer.headers['connection'] === 'close') return Date.now()
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  } finally {
    socket.destroy()
  }
}

test('before the caller’s certificate ends, an answer asks the caller to come back on another connection', async () => {
  const listener = await listen(await trust.issue('doorward/gateway/main'))
  const caller = await trust.issue('agent/short', { secondsLeft: 3 })
  assert.ok((await untilAnnounced(listener, caller)) < caller.certificate.notAfter * 1000)
})

test('before our own certificate ends, it does too, also where callers have none', async () => {
  const own = await trust.issue('doorward/gateway/short', { secondsLeft: 3 })
  const caller = await trust.issue('agent/long')
  const moments = await Promise.all([
    untilAnnounced(await listen(own), caller),
    untilAnnounced(await listen(own, 'none'), null),
  ])
  for (const moment of moments) assert.ok(moment < own.certificate.notAfter * 1000)
})

test('a connection whose own certificate is over is closed, whatever the caller’s says', async () => {
  const own = await trust.issue('doorward/gateway/over', { secondsLeft: 2 })
  const { address } = await listen(own)
  const caller = await trust.issue('agent/patient')
  const socket = await dial({ ...address, ca: trust.anchorsPem, ...caller.pem })
  await new Promise((resolve) => socket.once('close', resolve))
})

test('a connection drains before the earliest end, for a tenth of its time and at most a minute', () => {
  const second = fc.integer({ min: 0, max: 4_000_000_000 })
  fc.assert(
    fc.property(fc.array(second, { minLength: 1, maxLength: 3 }), second, (ends, now) => {
      const life = connectionLife(ends.map(epochSeconds), epochMillis(now * 1000))
      assert.ok(life !== null)
      assert.equal(life.endsAt, Math.min(...ends) * 1000)
      const drain = life.endsAt - life.drainsAt
      assert.ok(drain >= 0 && drain <= 60_000 && drain <= Math.max(0, life.endsAt - now * 1000) / 10 + 1)
    }),
  )
  assert.equal(connectionLife([], epochMillis(0)), null)
})
