/** What the store's facts for trust states are now, kept from one reading to the next: only what is new is read. */

import type { EpochSeconds, Issued, RegisteredWorkload } from '@doorward/core'
import type { TrustMark, TrustMaterial, TrustStateStore } from './ports.ts'

/** The facts as one whole reading gives them. */
export type WholeMaterial = Omit<TrustMaterial, 'mark' | 'workloads'> & {
  readonly workloads: readonly RegisteredWorkload[]
}

/** All of it is read again after so long: a store that was changed behind our back is believed by then. */
const wholeSeconds = 60

interface Held {
  readonly workloads: readonly RegisteredWorkload[]
  readonly issued: readonly Issued[]
  readonly mark: TrustMark
  readonly readWholeAt: EpochSeconds
  readonly readAt: EpochSeconds
}

/** Entries that stay are the same values in every reading. One reading at a time. */
export class TrustMirror {
  readonly #store: Pick<TrustStateStore, 'material'>
  #held: Held | null = null

  constructor(store: Pick<TrustStateStore, 'material'>) {
    this.#store = store
  }

  /** As `material` without a mark gives it, the mirror sorted by the end of its entries. Rejects as that does. */
  async read(now: EpochSeconds): Promise<WholeMaterial> {
    const held = this.#goesOnFrom(now)
    const { mark, workloads, issued, ...rest } = await this.#store.material(now, held?.mark)
    const before = this.#held
    const next = {
      workloads: workloads === null ? (held?.workloads ?? []) : sameWorkloads(workloads, before?.workloads ?? []),
      issued: mergeIssued(before?.issued ?? [], issued, { now, keeps: held !== null }),
    }
    this.#held = { ...next, mark, readAt: now, readWholeAt: held?.readWholeAt ?? now }
    return { ...rest, ...next }
  }

  /** The next reading is a whole one. */
  forget(): void {
    if (this.#held !== null) this.#held = { ...this.#held, readWholeAt: NEVER }
  }

  /** A clock that was stepped back brings entries to life that have left the mirror. */
  #goesOnFrom(now: EpochSeconds): Held | null {
    const held = this.#held
    return held !== null && now >= held.readAt && now - held.readWholeAt < wholeSeconds ? held : null
  }
}

const NEVER = Number.NEGATIVE_INFINITY as EpochSeconds

function order(a: Issued, b: Issued): number {
  if (a.notAfter !== b.notAfter) return a.notAfter - b.notAfter
  return a.fingerprint < b.fingerprint ? -1 : a.fingerprint > b.fingerprint ? 1 : 0
}

/** Sorted, with the values that were held for entries that are in both; what is held alone stays when `keeps`. */
export function mergeIssued(
  held: readonly Issued[],
  read: readonly Issued[],
  { now, keeps }: { readonly now: EpochSeconds; readonly keeps: boolean },
): readonly Issued[] {
  const merged: Issued[] = []
  const fresh = read.toSorted(order)
  let at = 0
  for (const one of held) {
    while (at < fresh.length && order(fresh[at]!, one) < 0) merged.push(fresh[at++]!)
    const again = at < fresh.length && order(fresh[at]!, one) === 0
    if (again) at += 1
    if ((again || keeps) && one.notAfter > now) merged.push(one)
  }
  return merged.concat(fresh.slice(at))
}

function sameWorkloads(
  read: readonly RegisteredWorkload[],
  held: readonly RegisteredWorkload[],
): readonly RegisteredWorkload[] {
  const known = new Map(held.map((workload) => [workload.id, workload]))
  return read.map((workload) => {
    const before = known.get(workload.id)
    const same = before?.roles.length === workload.roles.length
    return same && before.roles.every((role, index) => role === workload.roles[index]) ? before : workload
  })
}
