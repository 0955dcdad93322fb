/**
 * What one server has shown of itself, beside what is approved of it. What was once shown otherwise than approved stays
 * refused until an operator approves, whatever the server shows meanwhile. Everything is bounded: what finds no room is
 * not approved.
 */

import { definitionDigest, definitionFlags, definitionKey, isGrave } from '@doorward/core'
import type { Definition, DefinitionKind, JsonObject, Sha256 } from '@doorward/core'

/**
 * `required`: nothing is used before an operator has approved it. `on-first-use`: what is seen for the first time, and is
 * not flagged, is approved; what changes afterwards is not.
 */
export type ApprovalMode = 'required' | 'on-first-use'

/**
 * `unknown`: approved, but the server has not shown since the start, or since it said that something has changed, that it
 * still defines the same. `unapproved`: never approved, or shown otherwise.
 */
export type DefinitionStanding = 'approved' | 'unknown' | 'unapproved'

/** Of one server. */
export const maxDefinitions = 4096
/** Characters of a name. */
const MAX_NAME = 1024
/** Definitions that differ and are kept whole, for those who compare: so many, and so many characters of JSON in all. */
const MAX_KEPT = 256
const MAX_KEPT_TEXT = 1_048_576
/** What is approved without anybody having looked: characters of one, and of all. */
const MAX_FIRST_TEXT = 65_536
const MAX_ALL_FIRST_TEXT = 2_097_152

export interface KnownDefinitionsParts {
  readonly mode: ApprovalMode
  /** From before. */
  readonly approved: readonly Definition[]
  readonly sha256: Sha256
  /** Something was approved on first use. Never throws. */
  readonly onFirstUse?: (definition: Definition) => void
}

interface Approved {
  readonly definition: Definition
  readonly digest: string
  /** As JSON, in the order in which it was shown last: the same text needs no digest. */
  shown: string | null
}

export class KnownDefinitions {
  readonly mode: ApprovalMode
  readonly #parts: KnownDefinitionsParts
  readonly #approved = new Map<string, Approved>()
  /** By kind: names of what the server has shown as approved since it was last stale. */
  readonly #current: Readonly<Record<DefinitionKind, Set<string>>> = {
    server: new Set(),
    tool: new Set(),
    prompt: new Set(),
    resource_template: new Set(),
  }
  /** What was shown otherwise than approved, by key: whole as long as there is room. */
  readonly #differing = new Map<string, Definition | null>()
  #kept = { count: 0, text: 0, grave: false }
  #firstText = 0
  /** More was shown than can be told apart. */
  #overflowed = false

  constructor(parts: KnownDefinitionsParts) {
    this.#parts = parts
    this.mode = parts.mode
    this.#replace(parts.approved)
  }

  /** Whether a use of the definition may pass: one look-up where it is approved and known. */
  standing(kind: DefinitionKind, name: string): DefinitionStanding {
    if (this.#current[kind].has(name)) return 'approved'
    const key = definitionKey({ kind, name })
    if (this.#differing.has(key)) return 'unapproved'
    if (this.#approved.has(key)) return this.mode === 'required' ? 'unknown' : 'approved'
    return this.mode === 'on-first-use' && !this.#overflowed ? 'approved' : 'unapproved'
  }

  /** The server shows this, to whomever: whether it is as approved. */
  see(definition: Definition): boolean {
    const key = definitionKey(definition)
    const { kind, name } = definition
    if (this.#differing.has(key)) return false
    const approved = this.#approved.get(key)
    const same = approved === undefined ? this.#seeFirst(definition, key) : this.#isSame(definition, approved)
    if (same) this.#current[kind].add(name)
    else this.#differ(definition, key)
    return same
  }

  /** The server may show something else from now on. */
  stale(kind: DefinitionKind): void {
    this.#current[kind].clear()
  }

  /** An operator has approved exactly these: what was shown before counts no more. */
  approve(definitions: readonly Definition[]): void {
    this.#replace(definitions)
  }

  /** These were approved on first use elsewhere: what is known of them here stays. */
  learn(definitions: readonly Definition[]): void {
    for (const definition of definitions) {
      const key = definitionKey(definition)
      if (this.#approved.has(key) || this.#differing.has(key) || !this.#fits(definition)) continue
      this.#approved.set(key, { definition, digest: definitionDigest(definition, this.#parts.sha256), shown: null })
    }
  }

  /** As it was approved; null where it was not. */
  value(kind: DefinitionKind, name: string): JsonObject | null {
    return this.#approved.get(definitionKey({ kind, name }))?.definition.value ?? null
  }

  approved(): readonly Definition[] {
    return Array.from(this.#approved.values(), ({ definition }) => definition)
  }

  get approvedCount(): number {
    return this.#approved.size
  }

  /** Keys of what was shown otherwise than approved, and whether there was more than can be told apart. */
  differing(): { readonly keys: readonly string[]; readonly more: boolean } {
    return { keys: [...this.#differing.keys()], more: this.#overflowed }
  }

  /** Whether something of what differs is meant for models alone. */
  get isGrave(): boolean {
    return this.#kept.grave
  }

  /** Those of them that are kept whole. */
  differingDefinitions(): readonly Definition[] {
    return [...this.#differing.values()].filter((one) => one !== null)
  }

  #isSame(definition: Definition, approved: Approved): boolean {
    const shown = JSON.stringify(definition.value)
    if (approved.shown === shown) return true
    if (approved.digest !== definitionDigest(definition, this.#parts.sha256)) return false
    approved.shown = shown
    return true
  }

  #seeFirst(definition: Definition, key: string): boolean {
    if (this.mode !== 'on-first-use' || !this.#fits(definition)) return false
    if (definitionFlags(definition).some((flag) => isGrave(flag))) return false
    this.#approved.set(key, { definition, digest: definitionDigest(definition, this.#parts.sha256), shown: null })
    this.#parts.onFirstUse?.(definition)
    return true
  }

  #fits({ name, value }: Definition): boolean {
    if (this.#approved.size >= maxDefinitions || name.length > MAX_NAME) return false
    const { length } = JSON.stringify(value)
    if (length > MAX_FIRST_TEXT || this.#firstText + length > MAX_ALL_FIRST_TEXT) return false
    this.#firstText += length
    return true
  }

  #differ(definition: Definition, key: string): void {
    this.#current[definition.kind].delete(definition.name)
    if (this.#differing.size >= maxDefinitions || definition.name.length > MAX_NAME) {
      this.#overflowed = true
      return
    }
    this.#differing.set(key, this.#keep(definition) ? definition : null)
  }

  #keep(definition: Definition): boolean {
    const { count, text, grave } = this.#kept
    const whole = text + JSON.stringify(definition.value).length
    if (count >= MAX_KEPT || whole > MAX_KEPT_TEXT) return false
    const flagged = grave || definitionFlags(definition).some((flag) => isGrave(flag))
    this.#kept = { count: count + 1, text: whole, grave: flagged }
    return true
  }

  #replace(definitions: readonly Definition[]): void {
    this.#approved.clear()
    for (const definition of definitions.slice(0, maxDefinitions))
      this.#approved.set(definitionKey(definition), {
        definition,
        digest: definitionDigest(definition, this.#parts.sha256),
        shown: null,
      })
    for (const names of Object.values(this.#current)) names.clear()
    this.#differing.clear()
    this.#kept = { count: 0, text: 0, grave: false }
    this.#firstText = definitions.reduce((sum, { value }) => sum + JSON.stringify(value).length, 0)
    this.#overflowed = false
  }
}
