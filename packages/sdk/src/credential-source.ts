/** The SVID in use now. Whoever renews replaces it; whoever connects asks each time. */

import { DoorwardError } from '@doorward/core'
import type { Svid } from './svid.ts'

export class CredentialSource {
  readonly #listeners = new Set<(svid: Svid) => void>()
  #svid: Svid | null

  constructor(initial: Svid | null) {
    this.#svid = initial
  }

  /** Throws `identity_without_certificate` before the first one. Expiry is not judged here. */
  current(): Svid {
    if (this.#svid !== null) return this.#svid
    throw new DoorwardError('identity_without_certificate', 'this identity holds no certificate yet', {
      next: 'wait until it has joined again, or look why renewal fails',
    })
  }

  /** The current SVID, or null. */
  peek(): Svid | null {
    return this.#svid
  }

  /** Uses this SVID from now on. Calls under way keep the one that they began with. */
  replace(svid: Svid): void {
    if (this.#svid?.fingerprint === svid.fingerprint) return
    this.#svid = svid
    for (const listener of this.#listeners) listener(svid)
  }

  /** Calls back after every replacement; returns the way to stop. */
  onChange(listener: (svid: Svid) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
