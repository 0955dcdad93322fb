import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CertificateStanding, LoadShedding } from '@doorward/enforcement'
import type { Inbound } from '@doorward/enforcement'

function requestOf(identified: boolean, path = '/mcp/files'): Inbound {
  const standing = new CertificateStanding()
  standing.identified = identified
  return { connection: { standing }, head: { path } } as Inbound
}

function looks(load: LoadShedding, count: number, lag: number): void {
  for (let i = 0; i < count; i++) load.observe(lag)
}

test('lag that lasts sheds new connections first, then requests of strangers, and never those of known callers', () => {
  const load = new LoadShedding()
  const seen = () => [load.connectionRefusal(), load.shedsRequest(requestOf(false)), load.shedsRequest(requestOf(true))]
  assert.deepEqual(seen(), [null, false, false])
  looks(load, 3, 51)
  assert.deepEqual(seen(), [null, false, false])
  looks(load, 1, 51)
  assert.deepEqual([load.level, ...seen()], ['handshakes', 'overloaded', false, false])
  looks(load, 4, 500)
  assert.deepEqual([load.level, ...seen()], ['strangers', 'overloaded', true, false])
  looks(load, 40, 5000)
  assert.deepEqual([load.level, ...seen()], ['strangers', 'overloaded', true, false])
  looks(load, 4, 50)
  assert.equal(load.level, 'handshakes')
  looks(load, 4, 0)
  assert.deepEqual([load.level, ...seen()], ['none', null, false, false])
  looks(load, 40, 0)
  assert.equal(load.level, 'none')
})

test('one slow turn now and then is no overload', () => {
  const load = new LoadShedding()
  for (let i = 0; i < 50; i++) {
    looks(load, 3, 1000)
    looks(load, 1, 0)
  }
  assert.equal(load.level, 'none')
})

test('probes are answered whatever happens', () => {
  const load = new LoadShedding()
  looks(load, 8, 1000)
  const shed = ['/livez', '/readyz', '/livez/', '/v1/trust-bundle'].map((path) =>
    load.shedsRequest(requestOf(false, path)),
  )
  assert.deepEqual(shed, [false, false, true, true])
})

test('a heap that is nearly full accepts nobody, until it is not', () => {
  const load = new LoadShedding()
  load.observeHeap(0.949)
  assert.deepEqual([load.memory, load.connectionRefusal()], [false, null])
  load.observeHeap(0.95)
  assert.deepEqual([load.memory, load.connectionRefusal()], [true, 'memory_limit'])
  load.observeHeap(0.9)
  assert.deepEqual([load.memory, load.connectionRefusal()], [false, null])
})
