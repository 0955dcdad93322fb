/** Requests that came before the earlier ones were answered: the end of their connection is the end of each. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '@doorward/sdk'
import { send, whenGone } from '../../../packages/enforcement/src/wire/exchange.ts'
import type { Exchange } from '../../../packages/enforcement/src/wire/exchange.ts'
import { defaultListenerLimits, openListener } from '../../../packages/enforcement/src/wire/listener.ts'
import { defaultCipherSuites } from '../../../packages/enforcement/src/wire/tls-context.ts'
import { dial } from '../../fixtures/raw-http.ts'
import { TrustFixture } from '../../fixtures/trust-fixture.ts'

const COUNT = 20

test('whoever waits behind another answer hears that its connection has ended, once', { timeout: 10_000 }, async () => {
  const trust = await TrustFixture.create()
  const waiting: Exchange[] = []
  const gone: string[] = []
  const all = Promise.withResolvers<void>()
  const came = Promise.withResolvers<void>()
  const warnings: Error[] = []
  const warned = (warning: Error) => warnings.push(warning)
  process.on('warning', warned)
  const listener = await openListener({
    name: 'main',
    host: '127.0.0.1',
    port: 0,
    clientCertificate: 'required',
    material: trust.tlsMaterial(await trust.issue('doorward/gateway/main')),
    authorities: ['127.0.0.1:0'],
    cipherSuites: defaultCipherSuites,
    securityHeaders: {},
    limits: defaultListenerLimits,
    clock: systemClock,
    monotonic: () => performance.now(),
    onExchange: async (exchange) => {
      if (waiting.push(exchange) === COUNT) came.resolve()
      whenGone(exchange, () => {
        if (gone.push(exchange.head.path) === COUNT) all.resolve()
      })
    },
    onRefusedHandshake: () => undefined,
  })
  try {
    const caller = await trust.issue('agent/hasty')
    const { address } = listener
    const socket = await dial({ ...address, ca: trust.anchorsPem, ...caller.pem })
    const request = (i: number) => `GET /${i} HTTP/1.1\r\nHost: 127.0.0.1:${address.port}\r\n\r\n`
    socket.write(Array.from({ length: COUNT }, (_, i) => request(i)).join(''))
    await came.promise
    // The first is answered; of the second there is a part.
    const [first, second] = waiting
    assert.ok(first !== undefined && second !== undefined)
    send(first, 200, {}, 'first')
    second.response.write('part')
    await new Promise((resolve) => socket.once('data', resolve))
    socket.destroy()
    await all.promise
    assert.equal(new Set(gone).size, COUNT)
    assert.ok(waiting.slice(1).every(({ response }) => response.destroyed))
    await new Promise(setImmediate)
    assert.equal(gone.length, COUNT)
    assert.deepEqual(warnings, [])
  } finally {
    process.off('warning', warned)
    await listener.close(0)
  }
})
