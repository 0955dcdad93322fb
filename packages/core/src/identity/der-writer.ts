/** Writes DER (X.690 §10): the few forms of which certificates and revocation lists are made. */

import { concat, utf8 } from '../bytes.ts'
import type { EpochSeconds } from '../time.ts'
import { TAG } from './der.ts'

type Bytes = Uint8Array<ArrayBuffer>

/** One value of the tag: the length in its shortest form. */
export function derValue(tag: number, ...content: readonly Uint8Array[]): Bytes {
  let length = 0
  for (const part of content) length += part.length
  return concat(Uint8Array.of(tag, ...lengthOctets(length)), ...content)
}

function lengthOctets(length: number): readonly number[] {
  if (length < 0x80) return [length]
  const octets: number[] = []
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256)
  return [0x80 | octets.length, ...octets]
}

export function derSequence(...parts: readonly Uint8Array[]): Bytes {
  return derValue(TAG.sequence, ...parts)
}

/** Explicitly or implicitly tagged, context-specific: `[number]`. */
export function derTagged(number: number, how: 'constructed' | 'primitive', ...content: readonly Uint8Array[]): Bytes {
  return derValue((how === 'constructed' ? 0xa0 : 0x80) | number, ...content)
}

/** The non-negative integer whose magnitude these octets are. */
export function derInteger(magnitude: Uint8Array): Bytes {
  let start = 0
  while (start < magnitude.length - 1 && magnitude[start] === 0) start++
  const octets = magnitude.subarray(start)
  return (octets[0] ?? 0) >= 0x80 ? derValue(TAG.integer, Uint8Array.of(0), octets) : derValue(TAG.integer, octets)
}

export function derOctets(content: Uint8Array): Bytes {
  return derValue(TAG.octetString, content)
}

export function derBoolean(value: boolean): Bytes {
  return Uint8Array.of(TAG.boolean, 1, value ? 0xff : 0)
}

/** Whole octets. */
export function derBits(content: Uint8Array): Bytes {
  return derValue(TAG.bitString, Uint8Array.of(0), content)
}

/** A named list of bits of one octet, the first named bit in the highest place; trailing zeros are left out (X.690 §11.2.2). */
export function derNamedBits(octet: number): Bytes {
  let unused = 0
  while (unused < 7 && ((octet >> unused) & 1) === 0) unused++
  return Uint8Array.of(TAG.bitString, 2, unused, octet)
}

export function derUtf8(text: string): Bytes {
  return derValue(TAG.utf8String, utf8(text))
}

const oids = new Map<string, Bytes>()

/** An object identifier in dotted form. The program's own, so that each is encoded once. */
export function derOid(dotted: string): Bytes {
  let encoded = oids.get(dotted)
  if (encoded === undefined) {
    const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
    encoded = derValue(TAG.oid, Uint8Array.from([first * 40 + second, ...rest].flatMap(base128)))
    oids.set(dotted, encoded)
  }
  return encoded
}

function base128(arc: number): readonly number[] {
  const octets = [arc & 0x7f]
  for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) octets.unshift((rest & 0x7f) | 0x80)
  return octets
}

const FIRST_GENERALIZED_YEAR = 2050

/** UTCTime through 2049, GeneralizedTime from 2050 on (RFC 5280 §4.1.2.5). */
export function derTime(time: EpochSeconds): Bytes {
  const date = new Date(time * 1000)
  const text = `${date.toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}Z`
  return date.getUTCFullYear() < FIRST_GENERALIZED_YEAR
    ? derValue(TAG.utcTime, utf8(text.slice(2)))
    : derValue(TAG.generalizedTime, utf8(text))
}
