import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { describe, test } from 'node:test'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import {
  ENTRY_KINDS,
  MAX_PAYLOAD_BYTES,
  encodeFrames,
  encodeLeaf,
  encodePayload,
  encodeSegmentHeader,
  epochMillis,
  hex,
  isDoorwardError,
  parseLeaf,
  parsePayload,
  parseSegmentHeader,
  parseSegmentName,
  readFrame,
  scanSegment,
  segmentName,
  utf8,
} from '@doorward/core'
import type { JournalFrame, SegmentHeader } from '@doorward/core'

const sha256 = (data: Uint8Array): Uint8Array => hash('sha256', data, 'buffer')
const coded = (code: string) => (error: unknown) => isDoorwardError(error, code)
const NOW = epochMillis(1_800_000_000_123)
const SALT = Uint8Array.from({ length: 16 }, (_, i) => i)

describe('payload', () => {
  test('has one written form and comes back', () => {
    const payload = encodePayload('decision', NOW, { allow: true, by: ['p1'] })
    assert.equal(
      Buffer.from(payload).toString(),
      '{"v":1,"kind":"decision","time":1800000000123,"body":{"allow":true,"by":["p1"]}}',
    )
    assert.deepEqual(parsePayload(payload), { v: 1, kind: 'decision', time: NOW, body: { allow: true, by: ['p1'] } })
  })

  test('any JSON object of any kind comes back, hostile names and text included', () => {
    const body = fc.dictionary(
      fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('__proto__', 'constructor', '1', 'v')),
      fc.jsonValue(),
    )
    fc.assert(
      fc.property(body, fc.constantFrom(...ENTRY_KINDS), (value, kind) => {
        const written = JSON.parse(JSON.stringify(value))
        assert.deepEqual(parsePayload(encodePayload(kind, NOW, value)).body, written)
      }),
      { numRuns: 200 },
    )
  })

  test('line breaks and terminal escapes stay inside their string', () => {
    const text = Buffer.from(encodePayload('admin', NOW, { a: '\n\r\u001b[2J\u0000\ud800' })).toString()
    assert.ok(!/[\u0000-\u001f]/.test(text))
  })

  test('what is not an object, not JSON or too large is refused', () => {
    const circular: { self?: unknown } = {}
    circular.self = circular
    for (const body of [[], null, circular, { n: 1n }, () => 0]) {
      assert.throws(() => encodePayload('admin', NOW, body as object), coded('entry_malformed'))
    }
    assert.throws(() => encodePayload('other' as 'admin', NOW, {}), coded('entry_malformed'))
    assert.throws(() => encodePayload('admin', NOW, { a: 'x'.repeat(MAX_PAYLOAD_BYTES) }), coded('entry_too_large'))
  })

  test('any other form is not parsed', () => {
    for (const text of [
      '',
      'null',
      '[]',
      '{}',
      '{"v":1,"kind":"admin","time":1,"body":{}} ',
      '{"v":1,"kind":"admin","time":1,"body":{},"x":1}',
      '{"kind":"admin","v":1,"time":1,"body":{}}',
      '{"v":2,"kind":"admin","time":1,"body":{}}',
      '{"v":1,"kind":"Admin","time":1,"body":{}}',
      '{"v":1,"kind":"admin","time":-1,"body":{}}',
      '{"v":1,"kind":"admin","time":1.5,"body":{}}',
      '{"v":1,"kind":"admin","time":"1","body":{}}',
      '{"v":1,"kind":"admin","time":1,"body":[]}',
      '{"v":1,"kind":"admin","time":1,"body":null}',
      '{"v":1,"kind":"admin","time":1,"body":{"a":1,"a":2}}',
      '{"v":1,"kind":"admin","time":1,"body":{"a":1e400}}',
      '{"v":1,"kind":"admin","time":1,"body":{"a":1.0}}',
      '\ufeff{"v":1,"kind":"admin","time":1,"body":{}}',
    ]) {
      assert.throws(() => parsePayload(utf8(text)), coded('entry_malformed'), text)
    }
    assert.throws(() => parsePayload(Uint8Array.of(0xff)), coded('entry_malformed'))
  })
})

describe('leaf', () => {
  test('is version, milliseconds and the salted digest', () => {
    const payload = encodePayload('outcome', NOW, { ok: true })
    const leaf = encodeLeaf(sha256, { time: NOW, salt: SALT, payload })
    const expected = Buffer.alloc(9)
    expected[0] = 1
    expected.writeBigUInt64BE(BigInt(NOW), 1)
    assert.equal(hex(leaf), hex(expected) + hex(sha256(Buffer.concat([SALT, payload]))))
    assert.equal(parseLeaf(leaf).time, NOW)
    assert.deepEqual(parseLeaf(leaf).digest, leaf.slice(9))
  })

  test('another version, length or salt length is refused', () => {
    const leaf = encodeLeaf(sha256, { time: NOW, salt: SALT, payload: utf8('x') })
    assert.throws(() => parseLeaf(leaf.subarray(1)), coded('entry_malformed'))
    assert.throws(() => parseLeaf(Uint8Array.from(leaf, (b, i) => (i === 0 ? 2 : b))), coded('entry_malformed'))
    assert.throws(() => parseLeaf(Uint8Array.from(leaf, (b, i) => (i === 1 ? 255 : b))), coded('entry_malformed'))
    assert.throws(
      () => encodeLeaf(sha256, { time: NOW, salt: new Uint8Array(8), payload: utf8('x') }),
      coded('entry_malformed'),
    )
  })
})

describe('journal', () => {
  const HEADER: SegmentHeader = { v: 1, origin: 'o', vkey: 'k', first: 0, previous: null }
  const frame = (index: number, batch: number): JournalFrame => ({
    index,
    batch,
    time: NOW,
    salt: SALT,
    payload: encodePayload('decision', NOW, { index }),
  })
  const head = encodeSegmentHeader(HEADER, crc32)
  // Batches 0–1, 2–4, 5.
  const frames = [frame(0, 0), frame(1, 0), frame(2, 2), frame(3, 2), frame(4, 2), frame(5, 5)]
  const segment = Buffer.concat([head, encodeFrames(frames, crc32)])
  const starts = scanSegment(segment, crc32).offsets

  test('frames come back', () => {
    const scan = scanSegment(segment, crc32)
    assert.equal(scan.fault, null)
    assert.deepEqual(scan.header, HEADER)
    assert.deepEqual(
      scan.frames.map(({ index, batch, time }) => [index, batch, time]),
      frames.map((f) => [f.index, f.batch, f.time]),
    )
    assert.equal(scan.offsets.at(-1), segment.length)
    assert.equal(readFrame(segment, segment.length, crc32).at, 'end')
  })

  test('a cut anywhere keeps the whole frames before it and is a tail', () => {
    for (let length = head.length; length < segment.length; length++) {
      const scan = scanSegment(segment.subarray(0, length), crc32)
      const whole = starts.filter((start) => start <= length).length - 1
      assert.equal(scan.frames.length, whole)
      if (starts.includes(length)) assert.equal(scan.fault, null)
      else assert.deepEqual(scan.fault, { kind: 'cut', offset: starts[whole], acknowledged: false })
    }
  })

  test('every bit flip is found, at its frame, and is damage exactly when a later batch follows', () => {
    for (let at = head.length; at < segment.length; at++) {
      const changed = Buffer.from(segment)
      changed[at]! ^= 1 << (at % 8)
      const scan = scanSegment(changed, crc32)
      const hit = starts.findLastIndex((start) => start <= at)
      assert.equal(scan.frames.length, hit, `byte ${at}`)
      assert.equal(scan.fault?.offset, starts[hit])
      assert.equal(scan.fault?.acknowledged, hit < 5, `byte ${at}`)
    }
  })

  test('a hole of zeros in the last batch is a tail, in an earlier one it is damage', () => {
    const last = Buffer.from(segment.subarray(0, starts[5]))
    last.fill(0, starts[3], starts[4])
    assert.deepEqual(scanSegment(last, crc32).fault, { kind: 'damaged', offset: starts[3], acknowledged: false })
    const earlier = Buffer.from(segment)
    earlier.fill(0, starts[3], starts[4])
    assert.deepEqual(scanSegment(earlier, crc32).fault, { kind: 'damaged', offset: starts[3], acknowledged: true })
  })

  test('a missing frame is a gap', () => {
    const missing = Buffer.concat([segment.subarray(0, starts[1]), segment.subarray(starts[2])])
    assert.deepEqual(scanSegment(missing, crc32).fault, { kind: 'gap', offset: starts[1], acknowledged: true })
  })

  test('every damaged header byte makes the segment unreadable', () => {
    for (let at = 0; at < head.length; at++) {
      const changed = Buffer.from(segment)
      changed[at]! ^= 1
      assert.throws(() => parseSegmentHeader(changed, crc32), coded('segment_malformed'), `byte ${at}`)
      assert.throws(() => parseSegmentHeader(segment.subarray(0, at), crc32), coded('segment_malformed'))
    }
  })

  test('a segment is named for its first index', () => {
    assert.equal(segmentName(42), '0000000000000042.journal')
    assert.equal(parseSegmentName(segmentName(42)), 42)
    for (const name of ['42.journal', '0000000000000042.journal.tmp', '9999999999999999.journal', 'lock']) {
      assert.equal(parseSegmentName(name), null)
    }
  })
})
