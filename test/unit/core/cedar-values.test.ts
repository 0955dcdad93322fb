/** Values of Cedar at their edges. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Datetime, Duration } from '../../../packages/core/src/policy/cedar/datetime.ts'
import { Decimal } from '../../../packages/core/src/policy/cedar/decimal.ts'
import { EvaluationError } from '../../../packages/core/src/policy/cedar/evaluation-error.ts'
import { IpAddress } from '../../../packages/core/src/policy/cedar/ip-address.ts'
import { binaries, matchesPattern, unary } from '../../../packages/core/src/policy/cedar/operations.ts'
import { CedarSet, EntityUid, equal, longOf, typeName } from '../../../packages/core/src/policy/cedar/value.ts'
import type { Value } from '../../../packages/core/src/policy/cedar/value.ts'
import { isWithin } from '../../../packages/core/src/policy/cedar/world.ts'

const MOST = 2n ** 63n - 1n

/** The number that is meant, or `none`. */
function numberOf(
  parse: (text: string) => { milliseconds: bigint } | { tenThousandths: bigint },
  text: string,
): string {
  try {
    return String(Object.values(parse(text)).find((value) => typeof value === 'bigint'))
  } catch (error) {
    assert(error instanceof EvaluationError)
    return 'none'
  }
}

function assertNumbers(parse: Parameters<typeof numberOf>[0], cases: Readonly<Record<string, string>>): void {
  assert.deepEqual(Object.fromEntries(Object.keys(cases).map((text) => [text, numberOf(parse, text)])), cases)
}

const none = (...texts: readonly string[]) => Object.fromEntries(texts.map((text) => [text, 'none']))

test('moments', () => {
  assertNumbers((text) => Datetime.parse(text), {
    '1970-01-01': '0',
    '1970-01-02': '86400000',
    '1969-12-31': '-86400000',
    '1970-01-01T01:02:03Z': '3723000',
    '1970-01-01T01:02:03.004Z': '3723004',
    '1970-01-01T01:02:03+0100': '123000',
    '1970-01-01T01:02:03-0130': '9123000',
    '1970-01-01T00:00:00.001+2359': '-86339999',
    '1970-01-01T23:59:59Z': '86399000',
    '0000-01-01': '-62167219200000',
    '9999-12-31T23:59:59.999Z': '253402300799999',
    '2024-02-29': '1709164800000',
    ...none(
      '',
      '1970',
      '2023-02-29',
      '1970-00-01',
      '1970-13-01',
      '1970-01-32',
      '1970-04-31',
      '1970-01-00',
      'x1970-01-01',
    ),
    ...none(
      '1970-01-01x',
      '1970-01-01T24:00:00Z',
      '1970-01-01T00:60:00Z',
      '1970-01-01T00:00:60Z',
      '1970-01-01T00:00:00',
    ),
    ...none('1970-01-01T00:00:00+2400', '1970-01-01T00:00:00+0060', '1970-01-01T00:00:00.00Z', '1970-01-01T00:00:00Z0'),
    ...none('197-01-01', '1970-1-01', '1970-01-1', '1970-01-01T0:00:00Z', '1970-01-01T00:0:00Z', '1970-01-01T00:00:0Z'),
    ...none(
      '1970-01-01T00:00:00+1:00',
      '1970-01-01T00:00:00+010',
      '1970-01-01T00:00:00*0100',
      '1970-01-01T00:00:00.0000Z',
    ),
    ...none(
      'a970-01-01',
      '1970-a1-01',
      '1970-01-a1',
      '1970-01-01Taa:00:00Z',
      '1970-01-01T00:aa:00Z',
      '1970-01-01T00:00:aaZ',
    ),
    ...none('1970-01-01T00:00:00.aaaZ', '1970-01-01T00:00:00+aa00', '1970-01-01T00:00:00+00aa', '11970-01-01'),
  })
  assert.equal(Datetime.at(1.9).milliseconds, 1n)
  assert.equal(Datetime.at(-1.9).milliseconds, -1n)
})

test('spans of time', () => {
  assertNumbers((text) => Duration.parse(text), {
    '1d': '86400000',
    '2h': '7200000',
    '3m': '180000',
    '4s': '4000',
    '5ms': '5',
    '1d2h3m4s5ms': '93784005',
    '-1d2h': '-93600000',
    '10d10h10m10s10ms': '900610010',
    '-0ms': '0',
    '9223372036854775807ms': String(MOST),
    '-9223372036854775808ms': String(-MOST - 1n),
    ...none(
      '',
      '-',
      '1',
      'd',
      'h',
      'ms',
      'x1d',
      '1dx',
      '1h1d',
      '1s1m',
      '1ms1s',
      '+1d',
      '--1d',
      '9223372036854775808ms',
    ),
    ...none('-9223372036854775809ms', '106751991168d', 'ad', 'ah', 'am', 'as', 'ams', '1d-1h', '1d '),
  })
})

test('moments and spans together', () => {
  const at = Datetime.parse('2024-02-29T12:34:56.789Z')
  const [day, least] = [Duration.parse('1d'), Duration.of(-MOST - 1n)]
  assert.equal(at.toDate().milliseconds, 1_709_164_800_000n)
  assert.equal(at.toTime().milliseconds, 45_296_789n)
  const before = Datetime.parse('1969-12-31T23:00:00Z')
  assert.deepEqual([before.toDate().milliseconds, before.toTime().milliseconds], [-86_400_000n, 82_800_000n])
  const midnight = Datetime.parse('1969-12-31')
  assert.deepEqual([midnight.toDate().milliseconds, midnight.toTime().milliseconds], [-86_400_000n, 0n])
  assert.equal(at.offset(day).durationSince(at).milliseconds, 86_400_000n)
  assert.throws(() => Datetime.at(1).offset(Duration.of(MOST)), EvaluationError)
  assert.throws(() => Datetime.at(0).durationSince(Datetime.at(0).offset(least)), EvaluationError)
  const lowest = Datetime.at(0).offset(least)
  assert.throws(() => lowest.toDate(), EvaluationError)
  const units = ['milliseconds', 'seconds', 'minutes', 'hours', 'days'] as const
  assert.deepEqual(
    units.map((unit) => Duration.parse('-1d2h3m4s5ms').in(unit)),
    [-93_784_005n, -93_784n, -1563n, -26n, -1n],
  )
  assert.equal(at.equals(Datetime.parse('2024-02-29T12:34:56.789+0000')), true)
  assert.equal(at.equals(before), false)
  assert.equal(day.equals(Duration.parse('24h')), true)
  assert.equal(day.equals(least), false)
  assert.equal(Datetime.at(5).equals(Duration.of(5n)), false)
  assert.equal(Duration.of(5n).equals(Datetime.at(5)), false)
})

test('decimals', () => {
  assertNumbers((text) => Decimal.parse(text), {
    '1.0': '10000',
    '1.2345': '12345',
    '-1.5': '-15000',
    '00.10': '1000',
    '12.34': '123400',
    '-0.0': '0',
    '922337203685477.5807': String(MOST),
    '-922337203685477.5808': String(-MOST - 1n),
    ...none(
      '',
      '1',
      '1.',
      '.1',
      '1.00000',
      '+1.0',
      'x1.0',
      '1.0x',
      '1,0',
      'a.0',
      '1.a',
      '922337203685477.5808',
      '--1.0',
    ),
  })
  assert.equal(Decimal.parse('1.0').equals(Decimal.parse('1.00')), true)
  assert.equal(Decimal.parse('1.0').equals(Decimal.parse('1.01')), false)
  assert.equal(Decimal.parse('1.0').equals(Duration.of(10_000n)), false)
})

const ip = (text: string) => IpAddress.parse(text)

test('addresses that are none', () => {
  const wrong = [
    '',
    `${'0:'.repeat(7)}0/000000000000000000000000000000`,
    ...'1.2.3 1.2.3.4.5 01.2.3.4 1.02.3.4 1.2.3.04 1.2.3.256 256.1.1.1 1.2.3.a x1.2.3.4 1.2.3.4x'.split(' '),
    ...'1.2.3.4/ 1.2.3.4/33 1.2.3.4/032 1.2.3.4/a 1.2.3.4/3a 1.2.3.4/a3 1.2.3.4/8/8 ::1/129'.split(' '),
    ...'::1/1000 : ::: 1::2::3 1:2:3:4:5:6:7 1:2:3:4:5:6:7:8:9 1:2:3:4::5:6:7:8 ::g ::12345'.split(' '),
    ...'::ffff:1.2.3.4 fe80::1%eth0 1: :1 ::x1 ::1x 1.2.3.1000 1.2.1000.4 1000.2.3.4 1.2.3.0004'.split(' '),
    ...'1234:1234:1234:1234:1234:1234:1234:1234/1280'.split(' '),
  ]
  for (const text of wrong) assert.throws(() => ip(text), EvaluationError, text)
})

test('addresses and ranges', () => {
  assert.equal(ip('1234:1234:1234:1234:1234:1234:1234:1234/128').isIpv4(), false)
  const facts = (text: string) =>
    `${ip(text).isIpv4() ? 4 : 6}${ip(text).isLoopback() ? ' loop' : ''}${ip(text).isMulticast() ? ' multi' : ''}`
  const cases = {
    '127.0.0.1': '4 loop',
    '127.255.255.255': '4 loop',
    '127.0.0.0/8': '4 loop',
    '127.0.0.0/7': '4',
    '128.0.0.1': '4',
    '126.255.255.255': '4',
    '224.0.0.1': '4 multi',
    '239.255.255.255': '4 multi',
    '240.0.0.0': '4',
    '223.255.255.255': '4',
    '224.0.0.0/4': '4 multi',
    '224.0.0.0/3': '4',
    '::1': '6 loop',
    '::1/127': '6',
    '::2': '6',
    '::': '6',
    'ff02::1': '6 multi',
    'ff00::/8': '6 multi',
    'ff00::/7': '6',
    'feff::': '6',
  }
  assert.deepEqual(Object.fromEntries(Object.keys(cases).map((text) => [text, facts(text)])), cases)
  const within = (a: string, b: string) => ip(a).isInRange(ip(b))
  assert.deepEqual(
    [
      within('10.1.2.3', '10.0.0.0/8'),
      within('11.1.2.3', '10.0.0.0/8'),
      within('10.0.0.0/8', '10.0.0.0/8'),
      within('10.0.0.0/7', '10.0.0.0/8'),
      within('10.0.0.0/9', '10.255.0.0/8'),
      within('1.2.3.4', '::/0'),
      within('::1', '0.0.0.0/0'),
      within('1.2.3.4', '0.0.0.0/0'),
      within('2001:db8::1', '2001:db8::/32'),
      within('2001:db9::1', '2001:db8::/32'),
    ],
    [true, false, true, false, true, false, false, true, true, false],
  )
  const same = (a: string, b: string) => ip(a).equals(ip(b))
  assert.deepEqual(
    [
      same('1.2.3.4', '1.2.3.4/32'),
      same('1.2.3.4', '1.2.3.5'),
      same('1.2.3.4/24', '1.2.3.4'),
      same('::1', '0:0:0:0:0:0:0:1'),
      same('::102:304', '1.2.3.4'),
      same('ABCD::', 'abcd:0::0'),
      same('1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'),
      same('::/0', '0.0.0.0/0'),
    ],
    [true, false, false, true, false, true, true, false],
  )
  assert.equal(ip('1.2.3.4').equals('1.2.3.4'), false)
})

test('longs are numbers while that is exact, and end at 64 bits', () => {
  assert.equal(longOf(9_007_199_254_740_991n), 9_007_199_254_740_991)
  assert.equal(longOf(9_007_199_254_740_992n), 9_007_199_254_740_992n)
  assert.equal(longOf(-MOST - 1n), -MOST - 1n)
  for (const value of [MOST + 1n, -MOST - 2n]) assert.throws(() => longOf(value), EvaluationError)
  const world = { entity: () => null }
  const cases: readonly (readonly [Value, '+' | '-' | '*', Value, Value | null])[] = [
    [2 ** 53 - 1, '+', 1, 2n ** 53n],
    [2n ** 53n, '-', 1, 2 ** 53 - 1],
    [1, '+', 2n ** 53n, 2n ** 53n + 1n],
    [-1, '*', 0, 0],
    [3_037_000_500, '*', 3_037_000_500, null],
    [3_037_000_499, '*', 3_037_000_499, 9_223_372_030_926_249_001n],
    [MOST, '+', 1, null],
    [MOST, '+', 0, MOST],
    [-MOST, '-', 1, -MOST - 1n],
    [-MOST, '-', 2, null],
    [MOST, '*', -1, -MOST],
    [5, '-', 3, 2],
    [5, '+', 3, 8],
    [5, '*', 3, 15],
  ]
  for (const [a, operator, b, expected] of cases) {
    if (expected === null) assert.throws(() => binaries[operator](a, b, world), EvaluationError)
    else assert.equal(binaries[operator](a, b, world), expected)
  }
  assert.equal(Object.is(unary('neg', 0), 0), true)
  assert.equal(unary('neg', 2n ** 53n), -(2n ** 53n))
  assert.equal(unary('neg', 5), -5)
  assert.throws(() => unary('neg', -MOST - 1n), EvaluationError)
})

const pattern = (text: string) => Array.from(text, (one) => (one === '*' ? null : one))

test('patterns', () => {
  const cases: readonly (readonly [text: string, pattern: string, boolean])[] = [
    ['', '', true],
    ['', '*', true],
    ['', 'a', false],
    ['a', '', false],
    ['abc', 'a*c', true],
    ['abcd', 'a*c', false],
    ['ac', 'a*c', true],
    ['aXcYc', 'a*c', true],
    ['ab', 'a*b*', true],
    ['aab', '*ab', true],
    ['aaab', 'a*a*b', true],
    ['ab', '*a*a*b', false],
    ['\u{1f600}', '*', true],
    ['a\u{1f600}b', 'a\u{1f600}*', true],
    ['abab', '*ab', true],
    ['ab', '**', true],
    ['b', 'a*', false],
    ['undefined', '', false],
  ]
  for (const [text, wanted, expected] of cases)
    assert.equal(matchesPattern(text, pattern(wanted)), expected, `${text} like ${wanted}`)
  const hostile = 'a'.repeat(20_000)
  assert.equal(matchesPattern(hostile, pattern(`${'*a'.repeat(50)}b`)), false)
})

test('values equal those of their own type alone', () => {
  const [a, b] = [new EntityUid('T', 'a'), new EntityUid('T', 'b')]
  const set = (...members: readonly Value[]) => new CedarSet(members)
  const record = (members: Readonly<Record<string, Value>>) => new Map(Object.entries(members))
  const equals: readonly (readonly [Value, Value])[] = [
    [a, new EntityUid('T', 'a')],
    [set(1, 2, 2), set(2, 1)],
    [set(), set()],
    [set(a, a), set(a)],
    [set(set(1), set(1, 1)), set(set(1))],
    [record({ x: 1, y: set(1) }), record({ y: set(1), x: 1 })],
    [set(record({ x: 1 })), set(record({ x: 1 }), record({ x: 1 }))],
    [2n ** 60n, 2n ** 60n],
    [Duration.of(1n), Duration.of(1n)],
  ]
  for (const [one, other] of equals) assert.equal(equal(one, other), true)
  const differ: readonly (readonly [Value, Value])[] = [
    [1, true],
    [1, '1'],
    ['a', a],
    [a, 'a'],
    [a, b],
    [a, new EntityUid('S', 'a')],
    [a, set(a)],
    [set(a), a],
    [set(1), set(2)],
    [set(1), set(1, 2)],
    [set(1, 2), set(1)],
    [set(1), record({})],
    [record({}), set()],
    [record({ x: 1 }), record({ x: 2 })],
    [record({ x: 1 }), record({ y: 1 })],
    [record({ x: 1 }), record({})],
    [record({}), record({ x: 1 })],
    [record({ x: 1 }), a],
    [a, record({})],
    [Duration.of(1n), a],
    [Duration.of(1n), set()],
    [Duration.of(1n), record({})],
    [Duration.of(1n), Datetime.at(1)],
  ]
  for (const [one, other] of differ) assert.equal(equal(one, other), false)
  assert.equal(set(1, 'a', a, set(1), true).members.length, 5)
  assert.equal(set(a).has(b), false)
  assert.equal(set(a, record({ x: 1 })).has(record({ x: 1 })), true)
  assert.equal(set(1).has('1'), false)
  assert.equal(set(1, 2).hasAll(set(1)), true)
  assert.equal(set(1).hasAll(set(1, 2)), false)
  assert.equal(set(1).hasAny(set(1, 2)), true)
  assert.equal(set(1).hasAny(set(2)), false)
})

test('an entity is within itself, and within what is above it', () => {
  const [a, b] = [new EntityUid('T', 'a'), new EntityUid('T', 'b')]
  const entity = { attributes: new Map(), tags: new Map(), ancestors: new Set([b.key]) }
  const world = { entity: ({ key }: EntityUid) => (key === a.key ? entity : null) }
  assert.equal(isWithin(world, a, new EntityUid('T', 'a')), true)
  assert.equal(isWithin(world, a, b), true)
  assert.equal(isWithin(world, b, a), false)
  assert.equal(isWithin(world, b, new EntityUid('S', 'b')), false)
  assert.equal(isWithin(world, a, new EntityUid('S', 'a')), false)
  assert.notEqual(new EntityUid('T', 'a').key, new EntityUid('Ta', '').key)
})

test('an entity that does not exist has no tag, and none can be got', () => {
  const [a, world] = [new EntityUid('T', 'a'), { entity: () => null }]
  assert.equal(binaries.hasTag(a, 't', world), false)
  assert.throws(() => binaries.getTag(a, 't', world), EvaluationError)
})

test('types have names for messages', () => {
  const values: readonly Value[] = [
    true,
    1,
    2n ** 60n,
    'a',
    new EntityUid('T', 'a'),
    new CedarSet([]),
    new Map(),
    Duration.of(1n),
    Datetime.at(1),
    Decimal.parse('1.0'),
    ip('::1'),
  ]
  assert.deepEqual(values.map(typeName), [
    'bool',
    'long',
    'long',
    'string',
    'entity of type T',
    'set',
    'record',
    'duration',
    'datetime',
    'decimal',
    'ipaddr',
  ])
})
