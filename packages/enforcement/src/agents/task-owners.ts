/**
 * Whose the tasks and contexts of one agent are, as far as that was seen. The proof in a name says that it is its caller's;
 * this says that an agent mixes its callers up, and which items of a list are whose. Bounded: what is forgotten is in no list
 * until its caller names it again.
 */

import type { A2aNameKind } from '@doorward/core'

/** Of one agent: names in all, and of one caller. */
const MOST = 16_384
const MOST_EACH = 2048

export class TaskOwners {
  readonly #owners = new Map<string, string>()
  readonly #each = new Map<string, Set<string>>()

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
    if (own.size > MOST_EACH) this.#forgetFirst(own)
    if (this.#owners.size > MOST) this.#forgetFirst(this.#owners.keys())
  }

  #forgetFirst(keys: Iterable<string>): void {
    for (const key of keys) return this.#forget(key)
  }

  #forget(key: string): void {
    const owner = this.#owners.get(key)
    if (owner === undefined) return
    this.#owners.delete(key)
    const own = this.#each.get(owner)
    own?.delete(key)
    if (own?.size === 0) this.#each.delete(owner)
  }
}

function keyOf(kind: A2aNameKind, name: string): string {
  return `${kind} ${name}`
}
