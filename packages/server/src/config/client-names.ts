/** What clients of the front are called, on both sides: where they are given tokens, and where they show them. */

import { unlistedClient } from '@doorward/core'
import type { Configuration } from './schema.ts'

/**
 * By its id, as the front or the edge lists it. Whoever is known by a document alone has the name of those that nobody lists;
 * null for a client that is not let in.
 */
export function frontClientNames({
  edge,
  authority: { front },
}: Pick<Configuration, 'edge' | 'authority'>): (clientId: string) => string | null {
  const listed = Object.entries(edge?.clients ?? {}).flatMap(([name, ids]) => ids.map((id) => [id, name] as const))
  const own = Object.entries(front?.clients ?? {}).map(([name, { client_id }]) => [client_id, name] as const)
  const names = new Map([...listed, ...own])
  const others = front?.cimd === undefined ? null : unlistedClient
  return (clientId) => names.get(clientId) ?? others
}
