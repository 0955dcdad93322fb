/** Arguments of a call as Cedar values, made from parsed JSON: nothing in them is read as an entity or a function. */

import { Decimal } from './cedar/decimal.ts'
import { Unfit } from './cedar/unfit.ts'
import { CedarSet } from './cedar/value.ts'
import type { CedarRecord, Value } from './cedar/value.ts'
import type { ArgumentType } from './argument-type.ts'

/** Deeper values are unfit. A message that is classified is not deeper than 64. */
const MAX_DEPTH = 64

/** Arrays and objects in one array: each is compared with each. */
const MAX_COMPARED = 64

const none: CedarRecord = new Map()

/**
 * The members that policies look at (`names`; null for all) of an object. Strings and booleans are themselves, integers
 * up to 2^53 longs, other numbers with at most four digits after the point decimals (whole ones too where the tool says
 * `number`), arrays sets, objects records. All else is there and unfit: null, other numbers, arrays with something unfit.
 */
export function argumentRecord(
  args: unknown,
  type: ArgumentType | null,
  names: ReadonlySet<string> | null,
): CedarRecord {
  if (typeof args !== 'object' || args === null || Array.isArray(args)) return none
  return recordOf(args as Readonly<Record<string, unknown>>, { type, names, depth: 0 })
}

interface Reading {
  readonly type: ArgumentType | null
  readonly names: ReadonlySet<string> | null
  readonly depth: number
}

function recordOf(object: Readonly<Record<string, unknown>>, { type, names, depth }: Reading): CedarRecord {
  const members = type?.kind === 'record' ? type.members : null
  const record = new Map<string, Value>()
  for (const name of names ?? Object.keys(object)) {
    if (!Object.hasOwn(object, name) || object[name] === undefined) continue
    record.set(name, valueOf(object[name], members?.get(name)?.type ?? null, depth + 1))
  }
  return record
}

function valueOf(json: unknown, type: ArgumentType | null, depth: number): Value {
  if (typeof json === 'string' || typeof json === 'boolean') return json
  if (typeof json === 'number') return numberOf(json, type)
  if (depth > MAX_DEPTH) return new Unfit(`a value in more than ${MAX_DEPTH} others`)
  if (Array.isArray(json)) return setOf(json, type, depth)
  if (typeof json === 'object' && json !== null)
    return recordOf(json as Readonly<Record<string, unknown>>, { type, names: null, depth })
  return new Unfit('null')
}

function numberOf(json: number, type: ArgumentType | null): Value {
  if (Number.isSafeInteger(json) && type?.kind !== 'decimal') return json + 0
  if (!Number.isSafeInteger(json) && Number.isInteger(json)) return new Unfit('a number beyond 2^53')
  const text = String(json)
  if (!/^-?\d{1,14}(?:\.\d{1,4})?$/.test(text)) return new Unfit('a number that is no decimal of 14 and 4 digits')
  return Decimal.parse(text.includes('.') ? text : `${text}.0`)
}

/** A set with something unfit in it could not be asked for it, so it is unfit as a whole. */
function setOf(json: readonly unknown[], type: ArgumentType | null, depth: number): Value {
  const of = type?.kind === 'set' ? type.of : null
  const members: Value[] = []
  let compared = 0
  for (const one of json) {
    if (typeof one === 'object' && ++compared > MAX_COMPARED)
      return new Unfit(`an array of more than ${MAX_COMPARED} arrays and objects`)
    const value = valueOf(one, of, depth + 1)
    if (value instanceof Unfit) return new Unfit(`an array with ${value.typeName}`)
    members.push(value)
  }
  return new CedarSet(members)
}
