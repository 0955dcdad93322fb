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

/** Fewer are compared one by one. */
const INDEXED_MEMBERS = 8

/** Members in any order, none twice. */
export class CedarSet {
  readonly members: readonly Value[]
  readonly #index: MemberIndex | null

  constructor(values: readonly Value[]) {
    this.#index = values.length < INDEXED_MEMBERS ? null : new MemberIndex(values)
    this.members = this.#index?.members ?? distinct(values)
  }

  has(value: Value): boolean {
    return this.#index === null ? this.members.some((member) => equal(member, value)) : this.#index.has(value)
  }

  hasAll({ members }: CedarSet): boolean {
    return members.every((member) => this.has(member))
  }

  hasAny({ members }: CedarSet): boolean {
    return members.some((member) => this.has(member))
  }
}

function distinct(values: readonly Value[]): readonly Value[] {
  const members: Value[] = []
  for (const value of values) if (!members.some((member) => equal(member, value))) members.push(value)
  return members
}

class MemberIndex {
  readonly members: readonly Value[]
  /** Those that are compared by identity alone. */
  readonly #plain = new Set<Value>()
  readonly #entities = new Set<string>()
  readonly #others: Value[] = []

  constructor(values: readonly Value[]) {
    const members: Value[] = []
    for (const value of values) if (this.#add(value)) members.push(value)
    this.members = members
  }

  /** False for one that is there. */
  #add(value: Value): boolean {
    if (this.has(value)) return false
    if (value instanceof EntityUid) this.#entities.add(value.key)
    else if (typeof value === 'object') this.#others.push(value)
    else this.#plain.add(value)
    return true
  }

  has(value: Value): boolean {
    if (value instanceof EntityUid) return this.#entities.has(value.key)
    if (typeof value !== 'object') return this.#plain.has(value)
    return this.#others.some((other) => equal(other, value))
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
