/** PROXY protocol version 2: what is read of a header, and that nothing else is one. */

import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { PROXY_HEADER_BYTES, readProxyHeader } from '../../../packages/enforcement/src/wire/proxy-header.ts'
import { proxyHeader } from '../../fixtures/proxy-header.ts'

test('the source address is read, of either family, and where the connection begins', () => {
  const rows: readonly (readonly [string, string])[] = [
    ['192.0.2.7', '192.0.2.7'],
    ['2001:db8::1', '2001:db8::1'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::1', '::1'],
    ['2001:db8:0:1:0:0:0:1', '2001:db8:0:1::1'],
  ]
  for (const [source, address] of rows) {
    const bytes = proxyHeader({ source })
    const expected = { kind: 'header', address, length: bytes.length }
    deepEqual(readProxyHeader(bytes), expected)
    deepEqual(readProxyHeader(Buffer.concat([bytes, Buffer.from('\x16\x03\x01')])), expected)
    for (let end = 0; end < bytes.length; end++) equal(readProxyHeader(bytes.subarray(0, end)).kind, 'incomplete')
  }
})

test('a proxy that speaks for itself has its own address', () => {
  const bytes = proxyHeader({ source: '192.0.2.7', command: 0x20 })
  deepEqual(readProxyHeader(bytes), { kind: 'header', address: null, length: bytes.length })
  const bare = proxyHeader({ source: '', command: 0x20, family: 0, addresses: Buffer.alloc(0) })
  deepEqual(readProxyHeader(bare), { kind: 'header', address: null, length: 16 })
})

test('extensions are passed over when they fit exactly', () => {
  const extensions = Buffer.from([0x02, 0, 3, 97, 98, 99, 0x04, 0, 0])
  const bytes = proxyHeader({ source: '192.0.2.7', extensions })
  deepEqual(readProxyHeader(bytes), { kind: 'header', address: '192.0.2.7', length: 28 + 9 })
  for (const broken of [[0x02], [0x02, 0], [0x02, 0, 4, 97, 98, 99], [0x02, 0, 1, 97, 98, 99]])
    equal(readProxyHeader(proxyHeader({ source: '192.0.2.7', extensions: Buffer.from(broken) })).kind, 'problem')
})

test('a header is at most 536 bytes', () => {
  const room = PROXY_HEADER_BYTES - 28 - 3
  const extension = (length: number) =>
    Buffer.concat([Buffer.from([4, length >> 8, length & 255]), Buffer.alloc(length)])
  equal(readProxyHeader(proxyHeader({ source: '192.0.2.7', extensions: extension(room) })).kind, 'header')
  const longer = proxyHeader({ source: '192.0.2.7', extensions: extension(room + 1) })
  equal(readProxyHeader(longer).kind, 'problem')
  equal(readProxyHeader(longer.subarray(0, 16)).kind, 'problem')
})

test('everything else is refused as soon as it can be known', () => {
  const v2 = proxyHeader({ source: '192.0.2.7' })
  const wrong: readonly Uint8Array[] = [
    Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n'),
    Buffer.from([0x16]),
    Buffer.from('G'),
    proxyHeader({ source: '192.0.2.7', command: 0x11 }),
    proxyHeader({ source: '192.0.2.7', command: 0x22 }),
    ...[0x00, 0x10, 0x12, 0x20, 0x22, 0x31, 0x32].map((family) => proxyHeader({ source: '192.0.2.7', family })),
    proxyHeader({ source: '192.0.2.7', family: 0x21 }),
    proxyHeader({ source: '192.0.2.7', addresses: Buffer.alloc(11) }),
    proxyHeader({ source: '2001:db8::1', addresses: Buffer.alloc(35) }),
  ]
  for (const bytes of wrong) equal(readProxyHeader(bytes).kind, 'problem', Buffer.from(bytes).toString('hex'))
  for (let i = 0; i < 12; i++) {
    const bent = Buffer.from(v2)
    bent[i] = (bent[i] ?? 0) ^ 1
    equal(readProxyHeader(bent.subarray(0, i + 1)).kind, 'problem')
  }
})
