/**
 * Trust states of one trust domain as payload bytes, one after another. What most of a state consists of stays from one
 * to the next: those entries are written once and read back once, however many states they are in.
 */

import { fromUtf8, utf8 } from '../bytes.ts'
import type { Sha256 } from '../primitives.ts'
import { distinct } from './strict-members.ts'
import type { Issued, RegisteredWorkload, TrustState } from './trust-state.ts'
import {
  decodeTrustState,
  encodeTrustState,
  issuedDocument,
  readsBackAsIssued,
  readsBackAsWorkload,
  trustStateLimits,
  workloadDocument,
} from './trust-state-codec.ts'

/** In every payload, once: within a text its quotation marks would be escaped. */
const EMPTY_LISTS = '"workloads":[],"issued":[],'

/** Entries are known by identity: whoever wants them to be cheap hands in the same values again. */
export class TrustStateEncoder {
  readonly #trustDomain: string
  readonly #sha256: Sha256
  /** Text of each entry; null for one that no receiver would read. */
  readonly #texts = new WeakMap<Issued | RegisteredWorkload, string | null>()

  constructor(trustDomain: string, sha256: Sha256) {
    this.#trustDomain = trustDomain
    this.#sha256 = sha256
  }

  /** The bytes that `encodeTrustState` gives; null exactly when `decodeTrustState` would refuse them. */
  encode(state: TrustState): Uint8Array | null {
    const { workloads, issued } = state
    const frame = this.#frame(state)
    const unambiguous =
      workloads.length <= trustStateLimits.workloads &&
      issued.length <= trustStateLimits.issued &&
      distinct(workloads, ({ id }) => id) &&
      distinct(issued, ({ fingerprint }) => fingerprint)
    const listed = unambiguous ? this.#list(workloads, (one) => this.#workload(one)) : null
    const mirrored = listed === null ? null : this.#list(issued, (one) => this.#issued(one))
    if (frame === null || listed === null || mirrored === null) return null
    const payload = utf8(`${frame[0]}"workloads":[${listed}],"issued":[${mirrored}],${frame[1]}`)
    return payload.length <= trustStateLimits.payloadBytes ? payload : null
  }

  /** What stands before and after the long lists. With lists of full length the whole has fewer keys than a reader allows. */
  #frame(state: TrustState): readonly [string, string] | null {
    if (state.trustDomain !== this.#trustDomain) return null
    const payload = encodeTrustState({ ...state, workloads: [], issued: [] })
    if (decodeTrustState(payload, this.#sha256) === null) return null
    const [before, after] = fromUtf8(payload).split(EMPTY_LISTS)
    return before === undefined || after === undefined ? null : [before, after]
  }

  #list<Entry extends Issued | RegisteredWorkload>(
    entries: readonly Entry[],
    write: (entry: Entry) => string | null,
  ): string | null {
    const texts: string[] = []
    for (const entry of entries) {
      let text = this.#texts.get(entry)
      if (text === undefined) this.#texts.set(entry, (text = write(entry)))
      if (text === null) return null
      texts.push(text)
    }
    return texts.join(',')
  }

  #workload(entry: RegisteredWorkload): string | null {
    const text = JSON.stringify(workloadDocument(entry))
    return readsBackAsWorkload(text, this.#trustDomain) ? text : null
  }

  #issued(entry: Issued): string | null {
    const text = JSON.stringify(issuedDocument(entry))
    return readsBackAsIssued(text, this.#trustDomain) ? text : null
  }
}
