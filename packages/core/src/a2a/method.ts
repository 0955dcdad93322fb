/** What a revision of A2A says of a method. */

import type { A2aShape } from './names.ts'

/** As `A2A-Version` spells them; a request without the header means 0.3 (A2A 1.0 §3.6). */
export type A2aVersion = '0.3' | '1.0'

/** One set of words for every revision: what permissions name. */
export type A2aActionName =
  | 'message/send'
  | 'message/stream'
  | 'tasks/get'
  | 'tasks/list'
  | 'tasks/cancel'
  | 'tasks/resubscribe'

export interface A2aMethod {
  /** As the body spells it. */
  readonly method: string
  readonly action: A2aActionName
  readonly group: 'read' | 'write'
  /** Of `params`. */
  readonly params: A2aShape
  /** Members of `params` that lead to the name of the task that it is about; null where it is about none. */
  readonly task: { readonly path: readonly string[]; readonly required: boolean } | null
  /** Of the result. Exactly one of `oneOf` is there where that is said. */
  readonly result: A2aShape
  readonly oneOf: readonly string[] | null
  /** The result is a list of tasks, of which each caller sees its own. */
  readonly lists: boolean
  /** The answer may be a stream of events, each with a result. */
  readonly streams: boolean
}

export interface A2aRevision {
  readonly version: A2aVersion
  readonly methods: ReadonlyMap<string, A2aMethod>
  /** Methods by which agents are told to send notifications to a URL of the caller's. */
  readonly push: ReadonlySet<string>
  /** The one that asks for a card beside the public one. */
  readonly extendedCard: string
}

export function revisionOf(
  version: A2aVersion,
  rows: readonly A2aMethod[],
  others: Pick<A2aRevision, 'extendedCard'> & { readonly push: readonly string[] },
): A2aRevision {
  const methods = new Map(rows.map((row) => [row.method, row]))
  return { version, methods, push: new Set(others.push), extendedCard: others.extendedCard }
}
