/**
 * Whether a value has the structure that a JSON Schema (2020-12, and what older drafts share with it) says: the part of the
 * language that can be decided in bounded time without running anything of the schema's author. Regular expressions
 * (`pattern`, `patternProperties`) and formats are not evaluated, references leave the schema never.
 */

import { isJsonObject, member } from '../json/object.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'
import { canonicalJson } from '../kept/canonical-json.ts'

export type SchemaVerdict =
  | { readonly ok: true }
  /** Where in the value, and which keyword is not fulfilled. Never what stands there. */
  | { readonly ok: false; readonly where: string; readonly keyword: string }
  /** The schema cannot be decided by: a reference out of it, keywords that are not known to be harmless, too much work. */
  | { readonly ok: false; readonly undecided: string }

const MAX_STEPS = 200_000
const MAX_DEPTH = 64
const OK: SchemaVerdict = { ok: true }
const TOO_MUCH: SchemaVerdict = { ok: false, undecided: 'it takes too many steps' }

export function checkSchema(schema: JsonValue, value: JsonValue): SchemaVerdict {
  return new Check(schema).value(schema, value, '', 0)
}

type Rule = (check: Check, at: Place) => SchemaVerdict

interface Place {
  readonly schema: JsonObject
  /** Of the keyword. */
  readonly wanted: JsonValue
  readonly value: JsonValue
  readonly where: string
  readonly depth: number
}

class Check {
  readonly #root: JsonValue
  #steps = 0

  constructor(root: JsonValue) {
    this.#root = root
  }

  value(schema: JsonValue, value: JsonValue, where: string, depth: number): SchemaVerdict {
    if (++this.#steps > MAX_STEPS || depth > MAX_DEPTH) return TOO_MUCH
    if (schema === true) return OK
    if (schema === false) return { ok: false, where, keyword: 'false' }
    if (!isJsonObject(schema)) return { ok: false, undecided: 'a schema is an object or true or false' }
    const keywords = Object.entries(schema)
    if (!this.opens(keywords.length)) return TOO_MUCH
    for (const [keyword, wanted] of keywords) {
      const rule = rules.get(keyword)
      if (rule === undefined) continue
      const verdict = rule(this, { schema, wanted, value, where, depth })
      if (!verdict.ok) return 'keyword' in verdict && verdict.keyword === '' ? { ok: false, where, keyword } : verdict
    }
    return OK
  }

  get isOver(): boolean {
    return this.#steps > MAX_STEPS
  }

  /** Counts work that is not a schema of its own. */
  spend(steps: number): boolean {
    this.#steps += steps
    return this.#steps <= MAX_STEPS
  }

  /** Counts what a rule goes through besides schemas, such as items: what a few schemas have many of would else cost nothing. */
  looks(items: number): boolean {
    return this.spend(items >> 4)
  }

  /** As `looks`, for the members of an object. */
  opens(members: number): boolean {
    return this.spend(members >> 2)
  }

  /** As `looks`, for the letters of a text. */
  reads(letters: number): boolean {
    return this.spend(letters >> 6)
  }

  /** What a reference within the schema names: `#`, a JSON Pointer (RFC 6901) after it, or an `$anchor` of the top definitions. */
  resolve(reference: string): JsonValue | undefined {
    if (reference === '#') return this.#root
    if (!reference.startsWith('#/')) return undefined
    let at: JsonValue | undefined = this.#root
    for (const part of reference.slice(2).split('/')) {
      const name = decoded(part)
      if (Array.isArray(at))
        at = /^(?:0|[1-9]\d{0,5})$/.test(name) ? (at as readonly JsonValue[])[Number(name)] : undefined
      else at = isJsonObject(at) ? member(at, name) : undefined
    }
    return at
  }
}

function decoded(part: string): string {
  let text = part
  try {
    text = decodeURIComponent(part)
  } catch {
    // As it stands, then.
  }
  return text.replaceAll('~1', '/').replaceAll('~0', '~')
}

const FAILED: SchemaVerdict = { ok: false, where: '', keyword: '' }
const fits = (holds: boolean): SchemaVerdict => (holds ? OK : FAILED)
const undecided = (why: string): SchemaVerdict => ({ ok: false, undecided: why })
const badly = (keyword: string): SchemaVerdict => undecided(`${keyword} is not what it should be`)

function typeOf(value: JsonValue): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return typeof value
}

function isType(value: JsonValue, type: JsonValue): boolean {
  if (type === 'integer') return typeof value === 'number' && Number.isInteger(value)
  return typeOf(value) === type
}

/** One of them is the value. */
function same(check: Check, wanted: readonly JsonValue[], value: JsonValue): SchemaVerdict {
  for (const one of wanted) {
    const equal = isSame(check, one, value)
    if (equal === null) return TOO_MUCH
    if (equal) return OK
  }
  return FAILED
}

/** Null when that takes too long. The depth of both is bounded by whoever has parsed them. */
function isSame(check: Check, a: JsonValue, b: JsonValue): boolean | null {
  if (!check.spend(1)) return null
  if (typeof a === 'string' && typeof b === 'string' && a.length === b.length && !check.reads(a.length)) return null
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const names = Object.keys(a)
  const others = Object.keys(b).length
  if (!check.spend(names.length) || !check.opens(others)) return null
  if (names.length !== others) return false
  for (const name of names) {
    if (!Object.hasOwn(b, name)) return false
    const equal = isSame(check, (a as JsonObject)[name] ?? null, (b as JsonObject)[name] ?? null)
    if (equal !== true) return equal
  }
  return true
}

function listOf(value: JsonValue | undefined): readonly JsonValue[] | null {
  return Array.isArray(value) ? (value as readonly JsonValue[]) : null
}

function number(
  keyword: string,
  of: (value: JsonValue, check: Check) => number | null,
  holds: (have: number, want: number) => boolean,
): Rule {
  return (check, { wanted, value }) => {
    if (typeof wanted !== 'number') return badly(keyword)
    const have = of(value, check)
    if (check.isOver) return TOO_MUCH
    return fits(have === null || holds(have, wanted))
  }
}

const ofNumber = (value: JsonValue) => (typeof value === 'number' ? value : null)
const ofItems = (value: JsonValue) => listOf(value)?.length ?? null
const ofMembers = (value: JsonValue, check: Check) => {
  if (!isJsonObject(value)) return null
  const { length } = Object.keys(value)
  check.opens(length)
  return length
}
/** In code points. */
const ofText = (value: JsonValue, check: Check) => {
  if (typeof value !== 'string' || !check.reads(value.length)) return null
  let pairs = 0
  for (let i = 0; i < value.length; i++) if ((value.charCodeAt(i) & 0xfc00) === 0xdc00) pairs++
  return value.length - pairs
}
const atLeast = (have: number, want: number) => have >= want
const atMost = (have: number, want: number) => have <= want

function isMultiple(have: number, want: number): boolean {
  if (want <= 0) return false
  const times = have / want
  return Number.isInteger(times) || Math.abs(times - Math.round(times)) < 1e-9
}

/** The first verdict that is not `ok`. */
function each<T>(items: Iterable<T>, judge: (item: T) => SchemaVerdict): SchemaVerdict {
  for (const item of items) {
    const verdict = judge(item)
    if (!verdict.ok) return verdict
  }
  return OK
}

/** How many of the schemas are fulfilled; what is undecided decides. */
function count(check: Check, { wanted, value, where, depth }: Place): number | SchemaVerdict {
  let fulfilled = 0
  for (const schema of listOf(wanted) ?? []) {
    const verdict = check.value(schema, value, where, depth + 1)
    if ('undecided' in verdict) return verdict
    if (verdict.ok) fulfilled++
  }
  return fulfilled
}

function counting(holds: (fulfilled: number) => boolean): Rule {
  return (check, at) => {
    if ((listOf(at.wanted)?.length ?? 0) === 0) return badly('a list of schemas')
    const fulfilled = count(check, at)
    return typeof fulfilled === 'number' ? fits(holds(fulfilled)) : fulfilled
  }
}

function members(check: Check, { wanted, value, where, depth }: Place): SchemaVerdict {
  if (!isJsonObject(wanted)) return badly('properties')
  if (!isJsonObject(value)) return OK
  const all = Object.entries(wanted)
  if (!check.opens(all.length)) return TOO_MUCH
  return each(all, ([name, schema]) => {
    const inner = member(value, name)
    return inner === undefined ? OK : check.value(schema, inner, `${where}.${name}`, depth + 1)
  })
}

/** With `patternProperties`, which is not evaluated, any member could be one of those. */
function additionalMembers(check: Check, { schema, wanted, value, where, depth }: Place): SchemaVerdict {
  if (!isJsonObject(value)) return OK
  if (Object.hasOwn(schema, 'patternProperties')) return OK
  const known = member(schema, 'properties')
  const all = Object.entries(value)
  if (!check.opens(all.length)) return TOO_MUCH
  const rest = all.filter(([name]) => !isJsonObject(known) || !Object.hasOwn(known, name))
  // Names of members are the server's, and may say anything.
  return each(rest, ([, inner]) => check.value(wanted, inner, `${where}.*`, depth + 1))
}

function items(check: Check, { schema, wanted, value, where, depth }: Place): SchemaVerdict {
  const list = listOf(value)
  if (list === null) return OK
  if (!check.looks(list.length)) return TOO_MUCH
  const tuple = listOf(wanted)
  if (tuple !== null)
    return each(tuple.slice(0, list.length).entries(), ([i, one]) =>
      check.value(one, list[i] ?? null, `${where}[${i}]`, depth + 1),
    )
  const from = listOf(member(schema, 'prefixItems'))?.length ?? 0
  return each(list.slice(from).entries(), ([i, item]) => check.value(wanted, item, `${where}[${from + i}]`, depth + 1))
}

function unique(check: Check, { wanted, value }: Place): SchemaVerdict {
  const list = listOf(value)
  if (wanted !== true || list === null) return OK
  const texts = new Set<string>()
  for (const item of list) {
    const text = canonicalJson(item)
    if (!check.spend(1) || !check.reads(text.length)) return TOO_MUCH
    texts.add(text)
  }
  return fits(texts.size === list.length)
}

function contains(check: Check, { schema, wanted, value, where, depth }: Place): SchemaVerdict {
  const list = listOf(value)
  if (list === null) return OK
  let found = 0
  for (const item of list) {
    const verdict = check.value(wanted, item, where, depth + 1)
    if ('undecided' in verdict) return verdict
    if (verdict.ok) found++
  }
  const [least, most] = [member(schema, 'minContains') ?? 1, member(schema, 'maxContains') ?? list.length]
  return fits(typeof least === 'number' && typeof most === 'number' && found >= least && found <= most)
}

function condition(check: Check, { schema, wanted, value, where, depth }: Place): SchemaVerdict {
  const verdict = check.value(wanted, value, where, depth + 1)
  if ('undecided' in verdict) return verdict
  const next = member(schema, verdict.ok ? 'then' : 'else')
  return next === undefined ? OK : check.value(next, value, where, depth + 1)
}

function hasMember(value: JsonObject, name: JsonValue): boolean {
  return typeof name === 'string' && Object.hasOwn(value, name)
}

function required(check: Check, wanted: JsonValue, value: JsonObject): SchemaVerdict {
  const names = listOf(wanted) ?? []
  return check.looks(names.length) ? fits(names.every((name) => hasMember(value, name))) : TOO_MUCH
}

function dependentRequired(check: Check, { wanted, value }: Place): SchemaVerdict {
  if (!isJsonObject(wanted)) return badly('dependentRequired')
  if (!isJsonObject(value)) return OK
  const all = Object.entries(wanted)
  if (!check.opens(all.length)) return TOO_MUCH
  return each(all, ([name, names]) => (Object.hasOwn(value, name) ? required(check, names, value) : OK))
}

function ofType(check: Check, { wanted, value }: Place): SchemaVerdict {
  const types = listOf(wanted) ?? [wanted]
  return check.looks(types.length) ? fits(types.some((type) => isType(value, type))) : TOO_MUCH
}

function memberNames(check: Check, { wanted, value, where, depth }: Place): SchemaVerdict {
  if (!isJsonObject(value)) return OK
  const names = Object.keys(value)
  if (!check.opens(names.length)) return TOO_MUCH
  return each(names, (name) => check.value(wanted, name, `${where}.*`, depth + 1))
}

function reference(check: Check, { wanted, value, where, depth }: Place): SchemaVerdict {
  if (typeof wanted === 'string' && !check.looks(wanted.length)) return TOO_MUCH
  const target = typeof wanted === 'string' ? check.resolve(wanted) : undefined
  if (target === undefined) return undecided('a reference that does not lead to a part of the schema')
  return check.value(target, value, where, depth + 1)
}

const notKnown = (keyword: string): readonly [string, Rule] => [keyword, () => undecided(`${keyword} is not evaluated`)]

/** Every other keyword describes, or is fulfilled by whatever is there. */
const rules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['type', ofType],
  ['enum', (check, { wanted, value }) => same(check, listOf(wanted) ?? [], value)],
  ['const', (check, { wanted, value }) => same(check, [wanted], value)],
  ['required', (check, { wanted, value }) => (isJsonObject(value) ? required(check, wanted, value) : OK)],
  ['properties', members],
  ['additionalProperties', additionalMembers],
  ['propertyNames', memberNames],
  ['items', items],
  ['prefixItems', items],
  ['contains', contains],
  ['uniqueItems', unique],
  ['minItems', number('minItems', ofItems, atLeast)],
  ['maxItems', number('maxItems', ofItems, atMost)],
  ['minProperties', number('minProperties', ofMembers, atLeast)],
  ['maxProperties', number('maxProperties', ofMembers, atMost)],
  ['minLength', number('minLength', ofText, atLeast)],
  ['maxLength', number('maxLength', ofText, atMost)],
  ['minimum', number('minimum', ofNumber, atLeast)],
  ['maximum', number('maximum', ofNumber, atMost)],
  ['exclusiveMinimum', number('exclusiveMinimum', ofNumber, (have, want) => have > want)],
  ['exclusiveMaximum', number('exclusiveMaximum', ofNumber, (have, want) => have < want)],
  ['multipleOf', number('multipleOf', ofNumber, isMultiple)],
  ['dependentRequired', dependentRequired],
  [
    'allOf',
    (check, { wanted, value, where, depth }) =>
      each(listOf(wanted) ?? [], (schema) => check.value(schema, value, where, depth + 1)),
  ],
  ['anyOf', counting((fulfilled) => fulfilled > 0)],
  ['oneOf', counting((fulfilled) => fulfilled === 1)],
  [
    'not',
    (check, { wanted, value, where, depth }) => {
      const verdict = check.value(wanted, value, where, depth + 1)
      return 'undecided' in verdict ? verdict : fits(!verdict.ok)
    },
  ],
  ['if', condition],
  ['$ref', reference],
  notKnown('$dynamicRef'),
  notKnown('$recursiveRef'),
  notKnown('unevaluatedProperties'),
  notKnown('unevaluatedItems'),
  notKnown('dependentSchemas'),
  notKnown('dependencies'),
])
