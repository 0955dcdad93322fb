/** Mistakes of `authority.front` that only show when several keys are read together. */

import { isRedirectUri, unlistedClient } from '@doorward/core'
import { certificateProblems } from './edge-check.ts'
import type { CrossProblem } from './problem.ts'
import type { Configuration } from './schema.ts'

const FRONT = ['authority', 'front'] as const

export function frontProblems({ authority, edge, issuers, security }: Configuration): readonly CrossProblem[] {
  const { front, listeners } = authority
  if (front === undefined && listeners.front === undefined) return []
  if (front === undefined)
    return [
      wrong(['authority', 'listeners', 'front'], 'a listener without what it serves', 'authority.front beside it'),
    ]
  const problems: CrossProblem[] = []
  if (listeners.front === undefined)
    problems.push(wrong(FRONT, 'nothing listens for it', 'authority.listeners.front: host:port'))
  if (edge === undefined) problems.push(wrong(FRONT, 'tokens for nothing', 'edge: with the servers that they are for'))
  else if (edge.public_url === front.public_url)
    problems.push(wrong([...FRONT, 'public_url'], 'the origin of the edge', 'an origin of its own', edge.public_url))
  if (!Object.hasOwn(issuers, front.provider))
    problems.push(wrong([...FRONT, 'provider'], 'no such name in issuers', 'one of issuers', front.provider))
  if (!security.auth.methods.includes('oauth2'))
    problems.push(
      wrong(FRONT, 'people sign in and tokens for them are not admitted', 'oauth2 among security.auth.methods'),
    )
  if (Object.keys(front.clients).length === 0 && front.cimd === undefined)
    problems.push(wrong(FRONT, 'no client, hence nobody to give a token to', 'clients, or cimd: {}'))
  return [
    ...problems,
    ...certificateProblems(FRONT, front),
    ...proofProblems(front, { edge, authority }),
    ...clientProblems(front.clients),
  ]
}

type FrontSection = NonNullable<Configuration['authority']['front']>

/** The proof of a name comes to port 443 of the name: what answers there has to be who has asked. */
function proofProblems(
  { certificate, public_url: publicUrl }: FrontSection,
  { edge, authority }: Pick<Configuration, 'edge' | 'authority'>,
): readonly CrossProblem[] {
  if (certificate.acme === undefined) return []
  const keys = [...FRONT, 'certificate', 'acme']
  const { hostname } = new URL(publicUrl)
  const problems: CrossProblem[] = []
  if (authority.database !== undefined)
    problems.push(
      wrong(
        keys,
        'authorities that share a database share the name, and the proof may come to one that has not asked',
        'file and key_file beside authority.database',
        'acme',
      ),
    )
  if (edge?.certificate.acme !== undefined && new URL(edge.public_url).hostname === hostname)
    problems.push(
      wrong(
        [...FRONT, 'public_url'],
        'the name of the edge: proofs for both would come to one of them',
        'a name of its own, or files for one of the two',
        hostname,
      ),
    )
  return problems
}

function clientProblems(clients: FrontSection['clients']): readonly CrossProblem[] {
  const problems: CrossProblem[] = []
  const names = new Map<string, string>()
  for (const [name, { client_id: id, redirect_uris: uris }] of Object.entries(clients)) {
    const keys = [...FRONT, 'clients', name]
    if (name === unlistedClient)
      problems.push(wrong(keys, 'the name of clients that are not listed', 'another name', name))
    const other = names.get(id)
    if (other !== undefined)
      problems.push(wrong([...keys, 'client_id'], `the id is one of ${other}`, 'each id once', id))
    names.set(id, name)
    for (const [at, uri] of uris.entries()) {
      const expected = 'https, http of the own machine, or a scheme of an application; no fragment'
      if (!isRedirectUri(uri))
        problems.push(wrong([...keys, 'redirect_uris', at], 'nobody is answered there', expected, uri))
    }
  }
  return problems
}

function wrong(keys: CrossProblem['keys'], message: string, expected: string, got: string | null = null): CrossProblem {
  return { keys, message, expected, got }
}
