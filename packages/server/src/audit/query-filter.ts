/** What entries can be looked for by, and what an entry has to be found by. Pure. */

import { matchesSpiffeId, readSpiffeId, readUserName } from '@doorward/core'
import type { EntryEnvelope, EntryKind, EpochMillis, SpiffeIdPattern } from '@doorward/core'
import type { EntryContent } from './log-set.ts'

/** Null: whatever it is. All that are given must hold. */
export interface QueryFilter {
  /** Who called, for whom, who stands between, or who or what an entry is about. */
  readonly principal: SpiffeIdPattern | null
  /** The person on whose behalf, or whom an entry is about: `<issuer>#<subject>`. */
  readonly user: string | null
  /** An actor anywhere in the chain of a delegated call. */
  readonly delegation: string | null
  readonly server: string | null
  readonly tool: string | null
  readonly action: string | null
  readonly decision: 'allow' | 'deny' | null
  readonly reason: string | null
  readonly kind: EntryKind | null
  /** Inclusive. */
  readonly since: EpochMillis | null
  /** Exclusive. */
  readonly until: EpochMillis | null
  readonly id: { readonly origin: string; readonly index: number } | null
}

export const everyEntry: QueryFilter = {
  principal: null,
  user: null,
  delegation: null,
  server: null,
  tool: null,
  action: null,
  decision: null,
  reason: null,
  kind: null,
  since: null,
  until: null,
  id: null,
}

/** What an entry says of what filters ask. Null: nothing. */
export interface EntryFacts {
  readonly kind: EntryKind
  readonly decision: 'allow' | 'deny' | null
  readonly reason: string | null
  readonly server: string | null
  readonly tool: string | null
  readonly action: string | null
  /** The decision of which this is the outcome. */
  readonly of: number | null
  /** SPIFFE IDs and names of users, each once and in order. */
  readonly principals: readonly string[]
  readonly actors: readonly string[]
}

type Fields = Readonly<Record<string, unknown>>

export function factsOf({ kind, body }: EntryEnvelope): EntryFacts {
  const resource = fieldsIn(body['resource'])
  const chain = chainOf(body)
  return {
    kind,
    decision: kind === 'refusals' ? 'deny' : decisionIn(body['decision']),
    reason: textIn(body[kind === 'refusals' ? 'reason' : 'code']),
    server: textIn(resource['server']),
    tool: resource['kind'] === 'tool' ? textIn(resource['name']) : null,
    action: textIn(body['action']) ?? textIn(body['change']),
    of: kind === 'outcome' && Number.isSafeInteger(body['of']) ? Number(body['of']) : null,
    principals: idsIn(PARTIES.map((name) => body[name])),
    actors: idsIn(chain),
  }
}

/** Members that name a party: of decisions, and of what operators and authorities do. `caller` says both of a delegated call. */
const PARTIES = ['caller', 'presenter', 'subject', 'user', 'by', 'id', 'source']

/** Whoever acts for somebody else: the presenter, and those between it and the subject (RFC 8693 §4.1). */
function chainOf(body: Fields): readonly unknown[] {
  const { presenter, subject, act } = body
  const between: readonly unknown[] = Array.isArray(act) ? act : []
  return presenter === subject && between.length === 0 ? [] : [presenter, ...between]
}

function idsIn(values: readonly unknown[]): readonly string[] {
  const ids = values.filter(
    (value) => typeof value === 'string' && (!('problem' in readSpiffeId(value)) || readUserName(value) !== null),
  )
  return [...new Set(ids as readonly string[])].toSorted()
}

function textIn(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

function decisionIn(value: unknown): 'allow' | 'deny' | null {
  return value === 'allow' || value === 'deny' ? value : null
}

function fieldsIn(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {}
}

/** Two descriptions of one entry agree. */
export function sameFacts(a: EntryFacts | null, b: EntryFacts | null): boolean {
  return JSON.stringify(a === null ? null : ordered(a)) === JSON.stringify(b === null ? null : ordered(b))
}

function ordered({
  kind,
  decision,
  reason,
  server,
  tool,
  action,
  of,
  principals,
  actors,
}: EntryFacts): readonly unknown[] {
  return [kind, decision, reason, server, tool, action, of, principals, actors]
}

export interface Candidate {
  readonly origin: string
  readonly index: number
  readonly time: EpochMillis
  readonly content: EntryContent
}

/**
 * Whether an entry is what is looked for. Of an entry whose payload is absent only place and time are known: it is found by
 * these, and by nothing else. Outcomes are told with their decisions: on their own only where their kind is asked for.
 */
export function matchesFilter({ origin, index, time, content }: Candidate, filter: QueryFilter): boolean {
  const { id, since, until } = filter
  if (id !== null && (id.origin !== origin || id.index !== index)) return false
  if ((since !== null && time < since) || (until !== null && time >= until)) return false
  if (content.state === 'absent') return !asksForContent(filter)
  const facts = factsOf(content.entry)
  if (filter.kind === null && id === null && facts.kind === 'outcome') return false
  return matchesFacts(facts, filter)
}

/** Whether anything but place and time is asked for. */
export function asksForContent(filter: QueryFilter): boolean {
  const { principal, user, delegation, server, tool, action, decision, reason, kind } = filter
  return [principal, user, delegation, server, tool, action, decision, reason, kind].some((asked) => asked !== null)
}

const EQUAL = ['kind', 'decision', 'reason', 'server', 'tool', 'action'] as const

function matchesFacts(facts: EntryFacts, filter: QueryFilter): boolean {
  if (EQUAL.some((name) => filter[name] !== null && filter[name] !== facts[name])) return false
  const { principal, user, delegation } = filter
  if (user !== null && !facts.principals.includes(user)) return false
  if (delegation !== null && !facts.actors.includes(delegation)) return false
  return principal === null || [...facts.principals, ...facts.actors].some((id) => matchesId(principal, id))
}

/** Whether a text is an ID under the pattern. */
export function matchesId(pattern: SpiffeIdPattern, text: string): boolean {
  const id = readSpiffeId(text)
  return !('problem' in id) && matchesSpiffeId(pattern, id)
}
