/** The small things that generated policies and entities are made of; few enough to meet each other often. */

import { EntityUid, longOf } from '../../packages/core/src/policy/cedar/value.ts'
import type { Long } from '../../packages/core/src/policy/cedar/value.ts'
import type { Chance } from './chance.ts'

export type Kind =
  | 'bool'
  | 'long'
  | 'string'
  | 'entity'
  | 'record'
  | 'ip'
  | 'decimal'
  | 'datetime'
  | 'duration'
  | 'longs'
  | 'strings'
  | 'entities'
  | 'sets'

export const kinds: readonly Kind[] = [
  'bool',
  'long',
  'string',
  'entity',
  'record',
  'ip',
  'decimal',
  'datetime',
  'duration',
  'longs',
  'strings',
  'entities',
  'sets',
]

/** What the members of a set are. */
export const memberOf = { longs: 'long', strings: 'string', entities: 'entity', sets: 'longs' } as const

/** Attributes, members of records and tags that usually have a value of that kind. */
export const namesOf: Readonly<Record<Kind, readonly [string, ...string[]]>> = {
  bool: ['b', ''],
  long: ['n', '__proto__', 'constructor'],
  string: ['s', 'a b', '__entity'],
  entity: ['e', 'name'],
  record: ['r', 'args'],
  ip: ['address'],
  decimal: ['dec'],
  datetime: ['dt'],
  duration: ['dur'],
  longs: ['ns'],
  strings: ['ss', 'a"b\\'],
  entities: ['es'],
  sets: ['nns'],
}

export const types: readonly string[] = ['User', 'Group', 'Thing', 'N::Box']
const ids = ['a', 'b', '', 'q"\\*\n', '\u{1f600}']

export function uidOf(chance: Chance, type = chance.of(types)): EntityUid {
  return new EntityUid(type, chance.next() < 0.85 ? chance.of(ids.slice(0, 2)) : chance.of(ids))
}

export const actions: readonly EntityUid[] = ['read', 'write', 'all', 'none'].map((id) => new EntityUid('Action', id))

const MOST = 2n ** 63n - 1n

const longs: readonly bigint[] = [
  0n,
  1n,
  -1n,
  2n,
  3n,
  -3n,
  7n,
  10n,
  60n,
  1000n,
  2n ** 31n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 53n + 1n,
  -(2n ** 53n) - 1n,
  3_037_000_500n,
  -3_037_000_500n,
  MOST,
  MOST - 1n,
  -MOST,
  -MOST - 1n,
  MOST / 2n + 1n,
]

export function longBy(chance: Chance): Long {
  if (chance.next() < 0.5) return chance.below(4)
  if (chance.next() < 0.1) return longOf((BigInt(chance.below(2 ** 31)) << 32n) * (chance.next() < 0.5 ? 1n : -1n))
  return longOf(chance.of(longs))
}

function words(...lines: readonly string[]): readonly string[] {
  return lines.flatMap((line) => line.split('|'))
}

const strings = words(
  '|a|ab|abc|b|aab|a*c|*|\\|"|\n|\u0000|\u{1f600}|a\u{1f600}c|\u00e9|e\u0301|__proto__|__entity',
  'User::"a"|1|\ufffd|\ue000',
)

export function stringBy(chance: Chance): string {
  return chance.next() < 0.6 ? chance.of(strings.slice(0, 6)) : chance.of(strings)
}

const addresses = words(
  '1.2.3.4|1.2.3.0/24|0.0.0.0/0|127.0.0.1|127.0.0.0/8|127.0.0.1/7|224.0.0.1|239.1.1.1/4|255.255.255.255',
  '10.0.0.0/8|10.1.2.3/32|224.0.0.0/3|::|::1|::1/128|::1/127|::/0|2001:db8::1|2001:db8::/32',
  '2001:0DB8:0:0:0:0:0:1|ff02::1|ff00::/8|fe00::/7|1:2:3:4:5:6:7:8|1:2:3:4:5:6:7::|::2:3:4:5:6:7:8|1::8',
  '127::|7f00::1|::7f00:1|::ffff:102:304',
)
const badAddresses = words(
  '|1.2.3|1.2.3.4.5|01.2.3.4|1.2.3.256|1.2.3.4/33|1.2.3.4/|1.2.3.4/08|1.2.3.4/-1| 1.2.3.4',
  '::ffff:1.2.3.4|1.2.3.4/24/24|:::|1::2::3|:1|1:|12345::|g::|::1/129|::1/1280|1.2.3.4/+8|1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9|1::2:3:4:5:6:7:8|fe80::1%eth0|[::1]|::/00|1.2.3.4\n|0x1.2.3.4',
)

const decimals = words(
  '0.0|1.5|-1.5|1.50|1.51|0.0001|-0.0001|12345.6789|922337203685477.5807|00.10|-922337203685477.5808',
  '-0.0|3.0|7.0',
)
const badDecimals = words(
  '|1|1.|.5|1.00000|+1.0|1e3|1,0|922337203685477.5808|-922337203685477.5809| 1.0|- 1.0|1.0.0|--1.0',
  '\u0661.0|99999999999999999999.0|1.-5',
)

const datetimes = words(
  '1970-01-01|2024-02-29|2024-02-29T12:34:56Z|2024-02-29T12:34:56.789Z|2024-02-29T12:34:56+0130',
  '2024-02-29T12:34:56.001-2359|1969-12-31T23:59:59.999Z|0001-01-01|9999-12-31T23:59:59.999Z|0000-01-01',
  '0000-01-01T00:00:00+2359|9999-12-31T23:59:59-2359|1900-02-28|2000-02-29|1969-12-31|0004-02-29',
)
const badDatetimes = words(
  '|2023-02-29|1900-02-29|2024-13-01|2024-00-01|2024-01-00|2024-1-1|24-01-01|2024-01-01T',
  '2024-01-01T24:00:00Z|2024-01-01T23:60:00Z|2024-01-01T23:59:60Z|2024-01-01T23:59:59',
  '2024-01-01 00:00:00Z|2024-01-01T00:00:00+2400|2024-01-01T00:00:00+0060|2024-01-01T00:00:00+01:00',
  '2024-01-01T00:00:00.1Z|2024-01-01T00:00:00.1234Z|2024-01-01T00:00:00z|+2024-01-01|-2024-01-01',
  '12024-01-01|2024-01-01\n|2024-04-31|2024-01-01Z|2024-01-01T00:00Z',
)

const durations = words(
  '1d|1h|1m|1s|1ms|0ms|1d2h3m4s5ms|-1d2h|90m|24h|86400s|86400000ms|01d|-0s|9223372036854775807ms',
  '-9223372036854775808ms|106751991167d|-106751991167d|1d1ms|36h|-1ms',
)
const badDurations = words(
  '|-|1|d|1h1d|1d1d|1ms1s|+1d|1.5h|9223372036854775808ms|106751991168d|1D| 1d|1d |--1d|1d-2h|1d 2h',
  '-9223372036854775809ms|99999999999999999999d|1us|1d\n',
)

const forms = {
  ip: { good: addresses, bad: badAddresses },
  decimal: { good: decimals, bad: badDecimals },
  datetime: { good: datetimes, bad: badDatetimes },
  duration: { good: durations, bad: badDurations },
} as const
export type ExtensionKind = keyof typeof forms

/** Text for a constructor; one in twelve is wrong, and one in twelve bent by chance. */
export function formBy(chance: Chance, kind: ExtensionKind): string {
  const { good, bad } = forms[kind]
  const at = chance.below(12)
  if (at === 0) return chance.of(bad)
  return at === 1 ? bent(chance, chance.of(good)) : chance.of(good)
}

/** One character replaced, removed, doubled or added. */
function bent(chance: Chance, text: string): string {
  const at = chance.below(text.length + 1)
  const [before, one, after] = [text.slice(0, at), text.slice(at, at + 1), text.slice(at + 1)]
  const other = chance.of(Array.from('0123456789.:/-+TZdhms\u0661 '))
  return chance.of([before + other + after, before + after, before + one + one + after, before + other + one + after])
}

/** A right one. */
export function goodForm(chance: Chance, kind: ExtensionKind): string {
  return chance.of(forms[kind].good)
}
