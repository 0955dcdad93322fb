/** What has to happen so that the registrations are as declared. Pure; asks nobody. */

import { isReservedId, parseSpiffeId, workloadChanges } from '@doorward/core'
import type { WorkloadChange, WorkloadDocument } from '@doorward/core'
import type { Workload } from '@doorward/sdk'

export type PlannedStep =
  | { readonly action: 'add'; readonly document: WorkloadDocument }
  | {
      readonly action: 'change'
      readonly document: WorkloadDocument
      readonly before: WorkloadDocument
      /** The one that the plan was made for. */
      readonly revision: number
      readonly changes: readonly WorkloadChange[]
    }
  | { readonly action: 'remove'; readonly document: WorkloadDocument; readonly revision: number }

export interface Plan {
  /** Removals, then changes, then additions, each sorted by id: a name is free before somebody else gets it. */
  readonly steps: readonly PlannedStep[]
  readonly unchanged: number
  /** Registered and not declared, and not to be removed; sorted. */
  readonly undeclared: readonly string[]
}

export interface PlanOptions {
  /** Remove what is not declared. */
  readonly prune: boolean
  /** Who carries it out: never removed. */
  readonly self: string
}

/** Parts of Doorward are left alone, whatever is declared. The order of what comes in means nothing. */
export function planOf(
  declared: readonly WorkloadDocument[],
  registered: readonly Workload[],
  { prune, self }: PlanOptions,
): Plan {
  const own = registered.filter(({ document }) => !isReservedId(parseSpiffeId(document.id)))
  const held = new Map(own.map((workload) => [workload.document.id, workload]))
  const wanted = new Set(declared.map(({ id }) => id))
  const steps = declared.flatMap((document) => stepFor(document, held.get(document.id)))
  const surplus = own.filter(({ document }) => !wanted.has(document.id))
  const removed = surplus.filter(({ document }) => prune && document.id !== self)
  const removals = removed.map(({ document, revision }) => ({ action: 'remove', document, revision }) as const)
  return {
    steps: [...removals, ...steps].toSorted(byActionAndId),
    unchanged: declared.length - steps.length,
    undeclared: surplus
      .filter((workload) => !removed.includes(workload))
      .map(({ document }) => document.id)
      .toSorted(),
  }
}

function stepFor(document: WorkloadDocument, held: Workload | undefined): readonly PlannedStep[] {
  if (held === undefined) return [{ action: 'add', document }]
  const { document: before, revision } = held
  const changes = workloadChanges(before, document)
  return changes.length === 0 ? [] : [{ action: 'change', document, before, revision, changes }]
}

const order: Readonly<Record<PlannedStep['action'], number>> = { remove: 0, change: 1, add: 2 }

function byActionAndId(a: PlannedStep, b: PlannedStep): number {
  return order[a.action] - order[b.action] || (a.document.id < b.document.id ? -1 : 1)
}
