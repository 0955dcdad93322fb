/** The name of an entry that is durable. */

let make: (origin: string, index: number) => EntryReference

/** (origin, index) of an acknowledged entry. Nothing outside this folder can make one: a permit is built from it. */
export class EntryReference {
  readonly origin: string
  readonly index: number
  // Makes the type nominal: an object of the same shape is not a reference.
  readonly #durable = true

  private constructor(origin: string, index: number) {
    this.origin = origin
    this.index = index
  }

  static {
    make = (origin, index) => new EntryReference(origin, index)
  }

  /** True for a reference that this module made. */
  static isReference(value: unknown): value is EntryReference {
    return typeof value === 'object' && value !== null && #durable in value && value.#durable
  }

  /** `<origin>#<index>`, the decision id that people see. */
  toString(): string {
    return `${this.origin}#${this.index}`
  }

  toJSON(): { readonly origin: string; readonly index: number } {
    return { origin: this.origin, index: this.index }
  }
}

/** Names an entry that has just become durable. Only the record calls this; it is not exported from the package. */
export function acknowledge(origin: string, index: number): EntryReference {
  return make(origin, index)
}
