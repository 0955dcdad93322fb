/**
 * Values of Cedar. A long is a JavaScript number where that is exact and a bigint beyond, so that equal longs are `===`;
 * booleans and strings are those of JavaScript.
 */

import { int64 } from './int64.ts'

export type Long = number | bigint

export type Value = boolean | Long | string | EntityUid | CedarSet | CedarRecord | Extension

/** A value of an extension type: `decimal`, `ipaddr`, `datetime` or `duration`. */
export interface Extension {
  readonly typeName: string
  readonly equals: (other: unknown) => boolean
}

export class EntityUid {
  readonly type: string
  readonly id: string
  #key: string | null = null

  constructor(type: string, id: string) {
    this.type = type
    this.id = id
  }

  /** Unique to type and id: a type has no zero character. Made when it is first asked for. */
  get key(): string {
    return (this.#key ??= `${this.type}\0${this.id}`)
  }
}

export type CedarRecord = ReadonlyMap<string, Value>

/** Members in any order, none twice. */
export class CedarSet {
  readonly members: readonly Value[]
  /** Those that are compared by identity alone. */
  #plain: Set<Value> | null = null
  #entities: Set<string> | null = null
  readonly #others: readonly Value[]

  constructor(values: Iterable<Value>) {
    const members: Value[] = []
    const others: Value[] = []
    for (const value of values) {
      if (value instanceof EntityUid) {
        if (this.#entities?.has(value.key) === true) continue
        ;(this.#entities ??= new Set()).add(value.key)
      } else if (typeof value === 'object') {
        if (others.some((other) => equal(other, value))) continue
        others.push(value)
      } else {
        if (this.#plain?.has(value) === true) continue
        ;(this.#plain ??= new Set()).add(value)
      }
      members.push(value)
    }
    this.members = members
    this.#others = others
  }

  has(value: Value): boolean {
    if (value instanceof EntityUid) return this.#entities?.has(value.key) === true
    if (typeof value !== 'object') return this.#plain?.has(value) === true
    return this.#others.some((other) => equal(other, value))
  }

  hasAll({ members }: CedarSet): boolean {
    return members.every((member) => this.has(member))
  }

  hasAny({ members }: CedarSet): boolean {
    return members.some((member) => this.has(member))
  }
}

/** Values of different types are different, never an error. */
export function equal(a: Value, b: Value): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object') return false
  if (a instanceof EntityUid) return b instanceof EntityUid && a.type === b.type && a.id === b.id
  if (a instanceof CedarSet) return b instanceof CedarSet && a.members.length === b.members.length && a.hasAll(b)
  if (a instanceof Map) return b instanceof Map && equalRecords(a, b)
  if (b instanceof EntityUid || b instanceof CedarSet || b instanceof Map) return false
  return (a as Extension).equals(b)
}

function equalRecords(a: CedarRecord, b: CedarRecord): boolean {
  if (a.size !== b.size) return false
  for (const [name, value] of a) {
    const other = b.get(name)
    if (other === undefined || !equal(value, other)) return false
  }
  return true
}

/** The long of that value. Throws `EvaluationError` outside 64 bits. */
export function longOf(value: bigint): Long {
  const number = Number(int64(value))
  return Number.isSafeInteger(number) ? number : value
}

export function isLong(value: Value): value is Long {
  return typeof value === 'number' || typeof value === 'bigint'
}

/** The type's name in messages. */
export function typeName(value: Value): string {
  if (typeof value === 'boolean') return 'bool'
  if (isLong(value)) return 'long'
  if (typeof value === 'string') return 'string'
  if (value instanceof EntityUid) return `entity of type ${value.type}`
  if (value instanceof CedarSet) return 'set'
  return value instanceof Map ? 'record' : (value as Extension).typeName
}
