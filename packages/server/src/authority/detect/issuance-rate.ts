/**
 * DT-4: more certificates, or more new identities, than can be explained.
 *
 * A certificate counts for as much of an hour as it lives, at most one: an instance that renews at half-life needs about
 * 2.2 of them an hour, whatever its lifetime. Counted is what this authority has issued itself.
 */

import { toSeconds } from '@doorward/core'
import type { EpochMillis } from '@doorward/core'
import type { AuthorityContext } from '../context.ts'
import type { IssuedFact, LogFact } from '../log-fact.ts'
import type { Finding } from './finding.ts'

export interface RateThresholds {
  /** Certificates in an hour for each instance of an identity, on top of ten for its restarts; 6 by default. */
  readonly certificatesPerInstance: number
  /** Identities registered in an hour; 500 by default. */
  readonly newIdentitiesPerHour: number
}

export const defaultThresholds: RateThresholds = { certificatesPerInstance: 6, newIdentitiesPerHour: 500 }

const restarts = 10
const restartsOfAll = 100
const sliceMilliseconds = 300_000
const slices = 12
/** So many identities are looked at closely in one look. */
const MAX_CLOSE = 16

interface Slice {
  readonly number: number
  readonly issued: Map<string, number>
  registered: number
}

export class IssuanceRate {
  readonly #thresholds: RateThresholds
  #slices: Slice[] = []
  readonly #totals = new Map<string, number>()

  constructor(thresholds: RateThresholds = defaultThresholds) {
    this.#thresholds = thresholds
  }

  take(fact: LogFact): void {
    if (fact.fact === 'issued') this.#issued(fact)
    else if (fact.fact === 'registered') this.#slice(fact.at).registered += 1
  }

  /** `live` certificates there are of all identities. Throws what the store throws. */
  async findings({ store, clock }: AuthorityContext, live: number): Promise<readonly Finding[]> {
    this.#slice(clock())
    const { certificatesPerInstance: each } = this.#thresholds
    const most = [...this.#totals].filter(([, total]) => total > each + restarts).toSorted(([, a], [, b]) => b - a)
    const found: Finding[] = []
    for (const [id, total] of most.slice(0, MAX_CLOSE)) {
      const instances = (await store.instances.list(id)).filter(({ locked }) => locked === null).length
      const explained = each * Math.max(1, instances) + restarts
      if (total > explained) found.push(tooMany(id, total, explained))
    }
    const all = [...this.#totals.values()].reduce((sum, total) => sum + total, 0)
    const explained = each * live + restartsOfAll
    return [...found, ...(all > explained ? [tooMany('all identities', all, explained)] : []), ...this.#newIdentities()]
  }

  #issued({ id, at, notAfter }: IssuedFact): void {
    const weight = Math.max(0, Math.min(1, (notAfter - toSeconds(at)) / 3600))
    const { issued } = this.#slice(at)
    issued.set(id, (issued.get(id) ?? 0) + weight)
    this.#totals.set(id, (this.#totals.get(id) ?? 0) + weight)
  }

  #newIdentities(): readonly Finding[] {
    const { newIdentitiesPerHour: most } = this.#thresholds
    const registered = this.#slices.reduce((sum, slice) => sum + slice.registered, 0)
    if (registered <= most) return []
    const detail = `${registered} identities were registered within an hour, more than ${most}: see who did it in the record`
    return [{ detector: 'DT-4', subject: 'new identities', detail }]
  }

  /** The slice of that moment; older ones than an hour are forgotten. */
  #slice(at: EpochMillis): Slice {
    const number = Math.floor(at / sliceMilliseconds)
    const held = this.#slices.at(-1)
    if (held !== undefined && held.number >= number) return held
    const slice: Slice = { number, issued: new Map(), registered: 0 }
    this.#slices.push(slice)
    while ((this.#slices[0]?.number ?? number) <= number - slices) this.#forget(this.#slices.shift())
    return slice
  }

  #forget(slice: Slice | undefined): void {
    for (const [id, weight] of slice?.issued ?? []) {
      const left = (this.#totals.get(id) ?? 0) - weight
      // Sums of fractions do not come back to zero.
      if (left > 0.001) this.#totals.set(id, left)
      else this.#totals.delete(id)
    }
  }
}

function tooMany(subject: string, total: number, explained: number): Finding {
  const detail = `certificates for ${total.toFixed(1)} hours of one instance were issued within an hour, where ${explained.toFixed(0)} would be explained: somebody renews without pause, or has its machine key or join token`
  return { detector: 'DT-4', subject, detail }
}
