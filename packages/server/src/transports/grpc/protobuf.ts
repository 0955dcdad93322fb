/** The part of Protocol Buffers that our messages need: texts, bytes, messages within messages, whole numbers, and those of a Struct. */

import { concat, fromUtf8, isJsonObject, utf8 } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'

export interface Field {
  readonly number: number
  readonly value: Uint8Array
}

const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const FIXED32 = 5
const MAX_FIELDS = 64
const MAX_VARINT_BYTES = 10

export function bytesField(number: number, value: Uint8Array): Uint8Array {
  return concat(varint(number * 8 + BYTES), varint(value.length), value)
}

export function textField(number: number, text: string): Uint8Array {
  return bytesField(number, utf8(text))
}

/** Of a whole number from 0 to below 2^31: `int32`, `uint32` or an enum. */
export function numberField(number: number, value: number): Uint8Array {
  return concat(varint(number * 8 + VARINT), varint(value))
}

/** An entry of a map is a message of its key, 1, and its value, 2. */
export function mapEntry(number: number, key: string, value: Uint8Array): Uint8Array {
  return bytesField(number, concat(textField(1, key), bytesField(2, value)))
}

/** `google.protobuf.Struct`. */
export function structOf(object: JsonObject): Uint8Array {
  return concat(...Object.entries(object).map(([name, value]) => mapEntry(1, name, valueOf(value))))
}

/** `google.protobuf.Value`: which of its fields is there says what it is, so none is left out. */
function valueOf(value: JsonValue): Uint8Array {
  if (value === null) return concat(varint(8 + VARINT), varint(0))
  if (typeof value === 'number') return concat(varint(2 * 8 + FIXED64), double(value))
  if (typeof value === 'string') return textField(3, value)
  if (typeof value === 'boolean') return concat(varint(4 * 8 + VARINT), varint(value ? 1 : 0))
  if (isJsonObject(value)) return bytesField(5, structOf(value))
  return bytesField(6, concat(...value.map((item) => bytesField(1, valueOf(item)))))
}

function double(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setFloat64(0, value, true)
  return bytes
}

/** Of a whole number below 2^31. */
function varint(value: number): Uint8Array {
  const bytes: number[] = []
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return Uint8Array.from([...bytes, rest])
    bytes.push((rest & 0x7f) | 0x80)
  }
}

/** The fields of a message that have a length, in order; others are passed over. Null for bytes that are no message, or for more fields. */
export function readFields(bytes: Uint8Array, most = MAX_FIELDS): readonly Field[] | null {
  const fields: Field[] = []
  const at = { bytes, offset: 0 }
  for (let count = 0; at.offset < bytes.length; count++) {
    const tag = readVarint(at)
    if (tag === null || tag < 8 || count >= most) return null
    const value = readValue(at, tag % 8)
    if (value === null) return null
    if (value !== 'passed') fields.push({ number: Math.floor(tag / 8), value })
  }
  return fields
}

interface Place {
  readonly bytes: Uint8Array
  offset: number
}

function readValue(at: Place, wireType: number): Uint8Array | 'passed' | null {
  switch (wireType) {
    case VARINT:
      return readVarint(at) === null ? null : 'passed'
    case FIXED64:
      return take(at, 8) === null ? null : 'passed'
    case FIXED32:
      return take(at, 4) === null ? null : 'passed'
    case BYTES: {
      const length = readVarint(at)
      return length === null ? null : take(at, length)
    }
    default:
      return null
  }
}

function take(at: Place, length: number): Uint8Array | null {
  if (length > at.bytes.length - at.offset) return null
  at.offset += length
  return at.bytes.subarray(at.offset - length, at.offset)
}

/** Exact up to 2^53; what is larger is larger than any message here. */
function readVarint(at: Place): number | null {
  let value = 0
  for (let i = 0; i < MAX_VARINT_BYTES; i++) {
    const byte = at.bytes[at.offset++]
    if (byte === undefined) return null
    value += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) return value
  }
  return null
}

/** The texts of a field; null when one is not UTF-8. */
export function textsOf(fields: readonly Field[], number: number): readonly string[] | null {
  try {
    return fields.filter((field) => field.number === number).map(({ value }) => fromUtf8(value))
  } catch {
    return null
  }
}
