/** Mistakes of `edge` that only show beside other keys. */

import { unlistedClient } from '@doorward/core'
import type { EdgeSection } from './edge-schema.ts'
import type { FrontSection } from './front-schema.ts'

interface EdgeProblem {
  readonly keys: readonly (string | number)[]
  readonly message: string
  readonly expected: string | null
  readonly got: string | null
}

export interface EdgeSurroundings {
  readonly edge?: EdgeSection | undefined
  readonly listeners: { readonly edge?: string | undefined }
  readonly servers: Readonly<Record<string, unknown>>
  readonly issuers: Readonly<Record<string, { readonly issuer: string }>>
  readonly authority: {
    readonly public_url?: string | undefined
    readonly front?: Pick<FrontSection, 'public_url' | 'clients' | 'cimd'> | undefined
  }
}

export function edgeProblems(surroundings: EdgeSurroundings): readonly EdgeProblem[] {
  const { edge, listeners, servers, issuers } = surroundings
  if (edge === undefined && listeners.edge === undefined) return []
  if (edge === undefined) {
    return [wrong(['listeners', 'edge'], 'a listener without what it serves', 'edge: beside it', listeners.edge)]
  }
  const addressless =
    listeners.edge === undefined
      ? [wrong(['edge'], 'nothing listens for it', 'listeners.edge: host:port', undefined)]
      : []
  return [
    ...addressless,
    ...unknownNames(['edge', 'issuers'], edge.issuers, issuers),
    ...unknownNames(['edge', 'servers'], edge.servers, servers),
    ...clientProblems(edge, surroundings),
    ...certificateProblems(['edge'], edge),
    ...tokenProblems(edge, surroundings),
  ]
}

/** Whose tokens are accepted: each issuer has one judge, so no two are of one name. */
function tokenProblems(edge: EdgeSection, { issuers, authority }: EdgeSurroundings): readonly EdgeProblem[] {
  const { front, public_url: own } = authority
  const keys = ['edge', 'authorization_server']
  const byFront = edge.authorization_server === 'front'
  if (!byFront && edge.issuers.length === 0)
    return [wrong(['edge', 'issuers'], 'no issuer, hence nobody whose token is accepted', 'at least one', undefined)]
  if (front === undefined)
    return byFront ? [wrong(keys, 'there is no front', 'authority.front beside edge', edge.authorization_server)] : []
  if (!byFront) return [wrong(keys, 'nobody takes the tokens of authority.front', 'front', edge.authorization_server)]
  const place = ['authority', 'front', 'public_url']
  const same = Object.entries(issuers).find(([, { issuer }]) => issuer === front.public_url)
  if (same !== undefined)
    return [wrong(place, `the issuer of issuers.${same[0]}`, 'an origin of its own', front.public_url)]
  if (own === front.public_url) return [wrong(place, 'the issuer of tokens of workloads', 'an origin of its own', own)]
  return []
}

function unknownNames(
  keys: readonly string[],
  names: readonly string[],
  known: Readonly<Record<string, unknown>>,
): readonly EdgeProblem[] {
  const list = Object.keys(known).join(', ')
  const section = keys[1] ?? ''
  return names.flatMap((name, at) => {
    if (!Object.hasOwn(known, name))
      return [wrong([...keys, at], `no such name in ${section}`, list === '' ? `one in ${section}` : list, name)]
    return names.indexOf(name) === at ? [] : [wrong([...keys, at], 'named twice', 'each name once', name)]
  })
}

/** Who is let in, and under one name alone. */
function clientProblems(
  { clients, unlisted_clients: unlisted, authorization_server: server }: EdgeSection,
  { authority: { front } }: EdgeSurroundings,
): readonly EdgeProblem[] {
  const fronts = server === 'front' && front !== undefined
  const problems: EdgeProblem[] = []
  const names = new Map<string, string>()
  if (Object.keys(clients).length === 0 && !unlisted && !fronts)
    problems.push(wrong(['edge'], 'nobody is let in', 'clients, or unlisted_clients: true', undefined))
  for (const [name, ids] of Object.entries(clients)) {
    if (name === unlistedClient)
      problems.push(wrong(['edge', 'clients', name], 'the name of clients that are not listed', 'another name', name))
    for (const [at, id] of ids.entries()) {
      const other = names.get(id)
      if (other !== undefined)
        problems.push(wrong(['edge', 'clients', name, at], `the id is one of ${other}`, 'each id once', id))
      names.set(id, name)
    }
  }
  return problems
}

/** From files or from an authority, never both: nobody would know which is shown. */
export function certificateProblems(
  section: readonly string[],
  { certificate, public_url: publicUrl }: Pick<EdgeSection, 'certificate' | 'public_url'>,
): readonly EdgeProblem[] {
  const keys = [...section, 'certificate']
  const { file, key_file: keyFile, acme } = certificate
  const filed = file !== undefined || keyFile !== undefined
  if (acme === undefined) {
    if (file !== undefined && keyFile !== undefined) return []
    return [wrong(keys, 'no certificate', 'file and key_file, or acme', filed ? 'one of the files' : undefined)]
  }
  if (filed) return [wrong(keys, 'two certificates', 'file and key_file, or acme', 'both')]
  const host = new URL(publicUrl).hostname
  if (!NAME.test(host))
    return [
      wrong(
        [...section, 'public_url'],
        'no authority is asked for it',
        'a DNS name of several labels, with acme',
        host,
      ),
    ]
  return []
}

/** A name that is under a public suffix at least in form; no address. */
const NAME = /^(?!-)(?:[a-z0-9-]{1,63}\.)+[a-z][a-z0-9-]{0,62}$/

function wrong(keys: EdgeProblem['keys'], message: string, expected: string, got: string | undefined): EdgeProblem {
  return { keys, message, expected, got: got ?? null }
}
