/** A value that was there and that Cedar has no type for: `has` sees it, reading it is an error, and it equals nothing. */

import type { Extension } from './value.ts'

export class Unfit implements Extension {
  readonly typeName: string

  /** `typeName` in messages: `null`, `a number with 7 digits after the point`. */
  constructor(typeName: string) {
    this.typeName = typeName
  }

  equals(): boolean {
    return false
  }
}
