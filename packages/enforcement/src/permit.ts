/** The value without which nothing goes upstream: it exists only after its decision is durable. */

import type { Admitted } from './limit.ts'
import type { EntryReference } from './record/reference.ts'

/**
 * Permission to carry out one judged call. `upstream` accepts nothing else. The constructor is private and
 * `afterRecord` asks for the reference of a durable entry, which only the record can make.
 */
export class Permit<Detail = unknown> {
  readonly admitted: Admitted<Detail>
  /** The decision's entry in the record; its text is the decision id. */
  readonly entry: EntryReference
  #used = false

  private constructor(admitted: Admitted<Detail>, entry: EntryReference) {
    this.admitted = admitted
    this.entry = entry
  }

  static afterRecord<Detail>(admitted: Admitted<Detail>, entry: EntryReference): Permit<Detail> {
    return new Permit(admitted, entry)
  }

  /** A permit forwards one call, once. Throws on the second use. */
  use(): Admitted<Detail> {
    if (this.#used) throw new TypeError('a permit was used twice')
    this.#used = true
    return this.admitted
  }
}
