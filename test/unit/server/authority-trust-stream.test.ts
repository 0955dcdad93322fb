import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { TrustScope } from '@doorward/core'
import { TrustAudience } from '../../../packages/server/src/authority/trust-audience.ts'
import { sendLines } from '../../../packages/server/src/transports/ndjson.ts'
import { followTrust } from '../../../packages/server/src/transports/trust-stream.ts'
import type { TrustFeed } from '../../../packages/server/src/transports/trust-stream.ts'

const id = 'spiffe://test.example/agent/follower'

function feedOf(heartbeat: TrustFeed['heartbeat'], subscribers = 16): TrustFeed & { readonly audience: TrustAudience } {
  const scoped = { state: {} as ReturnType<TrustFeed['trustState']>['state'], digest: '' }
  const published = { ...scoped, text: 'state 1', anchorsText: '', callers: { ...scoped, text: 'callers 1' } }
  return { audience: new TrustAudience(subscribers), heartbeat, trustState: () => published }
}

function follow(feed: TrustFeed, scope: TrustScope = 'full') {
  const stop = new AbortController()
  const lines = followTrust(feed, { id, instance: '', scope })?.(stop.signal)[Symbol.asyncIterator]()
  assert.ok(lines !== undefined)
  const next = async () => {
    const { value, done } = await lines.next()
    return done === true ? null : value
  }
  return { next, stop }
}

test('a new follower gets the state and, without waiting for the next beat, a heartbeat', async () => {
  const { next, stop } = follow(feedOf(async () => 'heartbeat now'))
  assert.deepEqual([await next(), await next()], ['state 1', 'heartbeat now'])
  stop.abort()
  assert.equal(await next(), null)
})

test('a state that is published while that heartbeat is made comes instead of it', async () => {
  const feed: ReturnType<typeof feedOf> = feedOf(async () => {
    feed.audience.announce('full', { kind: 'state', text: 'state 2' })
    return 'heartbeat of state 1'
  })
  const { next, stop } = follow(feed)
  assert.deepEqual([await next(), await next()], ['state 1', 'state 2'])
  feed.audience.announce('full', { kind: 'heartbeat', text: 'heartbeat of state 2' })
  assert.equal(await next(), 'heartbeat of state 2')
  stop.abort()
})

test('no heartbeat at once, because a newer state is on its way or the store fails, costs the follower nothing', async () => {
  for (const heartbeat of [async () => null, () => Promise.reject(new Error('the store fails'))]) {
    const feed = feedOf(heartbeat)
    const { next, stop } = follow(feed)
    assert.equal(await next(), 'state 1')
    const second = next()
    await new Promise((resolve) => setImmediate(resolve))
    feed.audience.announce('full', { kind: 'state', text: 'state 2' })
    assert.equal(await second, 'state 2')
    stop.abort()
  }
})

test('callers get the state, heartbeats and changes of their scope and nothing of the full one', async () => {
  const feed = feedOf(async (scope) => `heartbeat of ${scope}`)
  const { next, stop } = follow(feed, 'callers')
  assert.deepEqual([await next(), await next()], ['callers 1', 'heartbeat of callers'])
  feed.audience.announce('full', { kind: 'state', text: 'state 2' })
  feed.audience.announce('full', { kind: 'heartbeat', text: 'heartbeat of state 2' })
  feed.audience.announce('callers', { kind: 'heartbeat', text: 'another of callers' })
  assert.equal(await next(), 'another of callers')
  stop.abort()
})

test('a follower that does not read gets the newest state and heartbeat afterwards, not all that it missed', async () => {
  const feed = feedOf(async () => null)
  const { next, stop } = follow(feed)
  assert.equal(await next(), 'state 1')
  for (let index = 2; index <= 1000; index++) {
    feed.audience.announce('full', { kind: 'state', text: `state ${index}` })
    feed.audience.announce('full', { kind: 'heartbeat', text: `heartbeat ${index}` })
  }
  assert.deepEqual([await next(), await next()], ['state 1000', 'heartbeat 1000'])
  stop.abort()
  assert.equal(await next(), null)
})

test('a follower leaves its place when it goes, and one too many finds none', async () => {
  const feed = feedOf(async () => null, 16)
  const places = Array.from({ length: 16 }, () => follow(feed))
  await Promise.all(places.map(({ next }) => next()))
  assert.equal(followTrust(feed, { id, instance: '', scope: 'callers' }), null)
  places[0]?.stop.abort()
  assert.equal(await places[0]?.next(), null)
  assert.notEqual(followTrust(feed, { id, instance: '', scope: 'callers' }), null)
})

test('a caller that stops reading is cut off, and no more lines are made than its socket holds', async () => {
  const line = 'x'.repeat(1024 * 1024)
  let made = 0
  async function* endless(signal: AbortSignal) {
    for (; !signal.aborted; made++) yield line
  }
  const sent = Promise.withResolvers<Awaited<ReturnType<typeof sendLines>>>()
  const server = createServer((_request, response: ServerResponse) => {
    sendLines({ response }, endless, { headers: {}, stallMilliseconds: 200 }).then(sent.resolve, sent.reject)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await once(socket, 'readable')
  assert.equal((await sent.promise).cancelled, true)
  assert.ok(made < 64, String(made))
  socket.destroy()
  server.close()
})
