/** A value that cannot print or serialise itself. */

const shown = '[secret]'

export class Secret<T = string> {
  readonly #value: T

  constructor(value: T) {
    this.#value = value
  }

  /** The value itself. Call it where the value is used, never where it is passed on. */
  reveal(): T {
    return this.#value
  }

  toString(): string {
    return shown
  }

  toJSON(): string {
    return shown
  }

  [Symbol.toPrimitive](): string {
    return shown
  }

  /** Node's `util.inspect` asks for this symbol; the registry key is its public contract. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return shown
  }
}
