/** Roles that somebody has. Whoever is given one does not change it. */

import { EntityUid } from './cedar/value.ts'

export class RoleSet {
  readonly #names = new Set<string>()
  readonly #keys = new Set<string>()

  static of(names: Iterable<string>): RoleSet {
    const roles = new RoleSet()
    for (const name of names) roles.add(name)
    return roles
  }

  /** Of both; one of the two where the other adds nothing. */
  static joined(one: RoleSet, other: RoleSet): RoleSet {
    if (other.#within(one)) return one
    return one.size === 0 ? other : RoleSet.of([...one, ...other])
  }

  /** While it is made. */
  add(name: string): void {
    this.#names.add(name)
    this.#keys.add(new EntityUid('Role', name).key)
  }

  get size(): number {
    return this.#names.size
  }

  /** Of their entities. */
  get keys(): ReadonlySet<string> {
    return this.#keys
  }

  [Symbol.iterator](): Iterator<string> {
    return this.#names.values()
  }

  #within(other: RoleSet): boolean {
    for (const name of this.#names) if (!other.#names.has(name)) return false
    return true
  }
}

export const noRoles = new RoleSet()
