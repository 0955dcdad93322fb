/** Identities that were authorised while the trust state was fresh: the only ones served while it is not. */

const CAPACITY = 10_000

export class KnownIdentities {
  readonly #ids = new Set<string>()

  add(id: string): void {
    if (this.#ids.has(id)) return
    if (this.#ids.size >= CAPACITY) this.#ids.delete(this.#ids.values().next().value as string)
    this.#ids.add(id)
  }

  has(id: string): boolean {
    return this.#ids.has(id)
  }
}
