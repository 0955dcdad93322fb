import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { takeCell } from '@doorward/core'
import { healthOf } from '../../../packages/server/src/observability/health.ts'
import { ConnectionGate, defaultGateLimits } from '../../../packages/enforcement/src/wire/connection-gate.ts'
import { GrowingBytes } from '../../../packages/enforcement/src/wire/growing-bytes.ts'
import { rawAnswer } from '../../../packages/enforcement/src/wire/raw-answer.ts'
import { noEffects, toolEffects } from '@doorward/enforcement'

test('a tool that nobody declared writes, and the strongest declaration counts', () => {
  const effectOf = toolEffects({ read: ['read_*', '*_all'], write: ['read_and_write'], admin: ['drop_*'] })
  equal(effectOf('read_file'), 'read')
  equal(effectOf('read_and_write'), 'write')
  equal(effectOf('drop_all'), 'admin')
  equal(effectOf('unknown'), 'write')
  equal(effectOf('READ_file'), 'write')
  equal(toolEffects(noEffects)('read_file'), 'write')
})

test('a gateway is ready when nothing keeps it from serving, and says what does', () => {
  const well = { stopping: false, trust: 'fresh', record: 'open', certificateSeconds: 100 } as const
  deepEqual(healthOf(well), { ready: true, reasons: [] })
  equal(healthOf({ ...well, trust: 'reduced' }).ready, true)
  deepEqual(healthOf({ stopping: true, trust: 'stale', record: 'failed', certificateSeconds: 0 }).reasons, [
    'stopping',
    'trust_stale',
    'record_failed',
    'certificate_expired',
  ])
  deepEqual(healthOf({ ...well, trust: 'none' }).reasons, ['trust_none'])
  deepEqual(healthOf({ ...well, serversAway: true }), { ready: false, reasons: ['servers_away'] })
})

test('no run of requests gets more than burst and rate together', () => {
  const rate = { count: 5, periodSeconds: 1, burst: 3 }
  fc.assert(
    fc.property(fc.array(fc.nat(400), { maxLength: 60 }), (gaps) => {
      let now = 0
      let arrival: number | undefined
      let taken = 0
      for (const gap of gaps) {
        now += gap
        const cell = takeCell(arrival, now, rate)
        if (!cell.ok) continue
        arrival = cell.arrival
        taken++
      }
      ok(taken <= 3 + Math.floor(now / 200) + 1e-9, `${taken} in ${now} ms`)
    }),
  )
})

test('the gate counts open connections and pending handshakes, and gives them back', () => {
  const gate = new ConnectionGate({
    ...defaultGateLimits,
    connectionsPerAddress: 2,
    connections: 3,
    pendingHandshakes: 3,
  })
  equal(gate.admit('10.0.0.1', 0), null)
  equal(gate.admit('10.0.0.1', 0), null)
  equal(gate.admit('10.0.0.1', 0), 'connection_limit_address')
  equal(gate.admit('10.0.0.2', 0), null)
  equal(gate.admit('10.0.0.3', 0), 'connection_limit')
  gate.closed('10.0.0.1')
  equal(gate.admit('10.0.0.3', 0), 'handshake_limit')
  gate.handshakeEnded()
  equal(gate.admit('10.0.0.3', 0), null)
  equal(gate.open, 3)
})

test('an address of a named network has the limits of that network', () => {
  const gate = new ConnectionGate({
    ...defaultGateLimits,
    connectionsPerAddress: 1,
    ofAddress: (address) => (address.startsWith('10.') ? { connectionsPerAddress: 1200, handshakes: plenty } : {}),
  })
  for (let index = 0; index < 500; index++) {
    equal(gate.admit('10.0.0.1', 0), null)
    gate.handshakeEnded()
  }
  equal(gate.admit('11.0.0.1', 0), null)
  equal(gate.admit('11.0.0.1', 0), 'connection_limit_address')
})

const plenty = { count: 6000, periodSeconds: 60, burst: 5000 }

test('addresses of one /64 share their connections', () => {
  const gate = new ConnectionGate({ ...defaultGateLimits, connectionsPerAddress: 1 })
  equal(gate.admit('2001:db8::1', 0), null)
  equal(gate.admit('2001:db8::2', 0), 'connection_limit_address')
  equal(gate.admit('2001:db8:0:1::1', 0), null)
})

test('bytes that arrive in pieces come out whole', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), fc.nat(20), (pieces, step) => {
      const held = new GrowingBytes()
      const out: number[] = []
      for (const piece of pieces) {
        held.append(piece)
        if (held.length >= step) out.push(...held.take(step))
      }
      out.push(...held.take(held.length))
      deepEqual(
        out,
        pieces.flatMap((piece) => [...piece]),
      )
    }),
  )
})

test('an answer without a request carries the configured headers and closes', () => {
  equal(
    rawAnswer(431, { 'X-Frame-Options': 'DENY' }),
    'HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\nX-Frame-Options: DENY\r\n\r\n',
  )
})
