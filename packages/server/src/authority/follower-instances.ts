/** To which instance of a workload a certificate was issued, for those who follow the trust state. */

import type { IssuanceStore } from './ports.ts'

const MAX_KNOWN = 20_000

/** Asks the store once for each certificate. Bounded: the oldest is forgotten, and asked for again. */
export class FollowerInstances {
  readonly #store: Pick<IssuanceStore, 'findByFingerprint'>
  readonly #known = new Map<string, string>()

  constructor(store: Pick<IssuanceStore, 'findByFingerprint'>) {
    this.#store = store
  }

  /** Empty for a certificate that belongs to none, and while the store cannot tell: who follows is never kept from it. */
  async of(fingerprint: string): Promise<string> {
    const known = this.#known.get(fingerprint)
    if (known !== undefined) return known
    const row = await this.#store.findByFingerprint(fingerprint).catch(() => null)
    if (row === null) return ''
    if (this.#known.size >= MAX_KNOWN) this.#known.delete(this.#known.keys().next().value as string)
    this.#known.set(fingerprint, row.instance ?? '')
    return row.instance ?? ''
  }
}
