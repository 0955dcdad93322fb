/**
 * Whose the tasks and contexts of one agent are, as far as that was seen. The proof in a name says that it is its caller's;
 * this says that an agent mixes its callers up, and which items of a list are whose. Bounded: what is forgotten is in no list
 * until its caller names it again. Where there is no room, it is the callers with the most names who make some: whoever has
 * one loses it to nobody who has begun thousands.
 */

import type { A2aNameKind } from '@doorward/core'

/** Of one agent: names in all, and of one caller. */
const MOST = 16_384
const MOST_EACH = 2048

export class TaskOwners {
  readonly #owners = new Map<string, string>()
  readonly #each = new Map<string, Set<string>>()
  /** Owners by how many names they have. */
  readonly #having = new Map<number, Set<string>>()
  /** Not less than the most that one owner has. */
  #most = 0

  /** Null where that is not known. */
  ownerOf(kind: A2aNameKind, name: string): string | null {
    return this.#owners.get(keyOf(kind, name)) ?? null
  }

  /** It is this caller's. The caller's oldest is forgotten first. */
  note(kind: A2aNameKind, name: string, owner: string): void {
    const key = keyOf(kind, name)
    this.#forget(key)
    const own = this.#each.get(owner) ?? new Set<string>()
    this.#each.set(owner, own)
    own.add(key)
    this.#owners.set(key, owner)
    this.#counted(owner, own.size - 1, own.size)
    if (own.size > MOST_EACH) this.#forgetFirst(own)
    if (this.#owners.size > MOST) this.#forgetFirst(this.#each.get(this.#richest()) ?? [])
  }

  #richest(): string {
    for (; this.#most > 0; this.#most--) for (const owner of this.#having.get(this.#most) ?? []) return owner
    return ''
  }

  #counted(owner: string, before: number, now: number): void {
    const left = this.#having.get(before)
    left?.delete(owner)
    if (left?.size === 0) this.#having.delete(before)
    if (now === 0) return
    const joined = this.#having.get(now) ?? new Set<string>()
    this.#having.set(now, joined.add(owner))
    this.#most = Math.max(this.#most, now)
  }

  #forgetFirst(keys: Iterable<string>): void {
    for (const key of keys) return this.#forget(key)
  }

  #forget(key: string): void {
    const owner = this.#owners.get(key)
    if (owner === undefined) return
    this.#owners.delete(key)
    const own = this.#each.get(owner)
    if (own === undefined) return
    own.delete(key)
    this.#counted(owner, own.size + 1, own.size)
    if (own.size === 0) this.#each.delete(owner)
  }
}

function keyOf(kind: A2aNameKind, name: string): string {
  return `${kind} ${name}`
}
