/**
 * What a refresh token is made of: the family that all tokens of one grant have in common, a secret that is new each time, and a
 * mark by which one that was issued is told from one that was not. Only what was issued once can end a grant: neither the record
 * nor the store has what it takes to make one, so that who reads them cannot take people's access away.
 */

import type { Secret } from '@doorward/core'
import { hashOf } from './context.ts'
import type { FrontContext } from './context.ts'
import type { FrontGrant } from './store.ts'

const GRANT_LENGTH = 22
const MARK_LENGTH = 22
const TEXT = /^([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{22})$/

type Hashing = Pick<FrontContext, 'sha256'>

interface Made {
  readonly family: string
  readonly secret: string
}

/** The client has it by its code, and nobody keeps it. */
export function familyOf(context: Hashing, code: string): string {
  return hashOf(context, `family ${code}`)
}

/** What the store and the record call the grant. */
export function grantId(context: Hashing, family: string): string {
  return hashOf(context, `grant ${family}`).slice(0, GRANT_LENGTH)
}

/** The text of a refresh token. */
export function refreshText(context: Hashing, { seal }: Pick<FrontGrant, 'seal'>, made: Made): string {
  return `${made.family}.${made.secret}.${markOf(context, seal, made)}`
}

function markOf(context: Hashing, seal: string, { family, secret }: Made): string {
  return hashOf(context, `mark ${seal} ${family} ${secret}`).slice(0, MARK_LENGTH)
}

export interface ReadRefresh {
  readonly family: string
  /** Of the grant. */
  readonly id: string
  /** Of the secret: what the store has of the newest one. */
  readonly hash: string
  /** Whether a token of this grant with this secret was ever issued. */
  issuedBy(grant: Pick<FrontGrant, 'seal'>): boolean
}

/** Null for what has not even the form of one. */
export function readRefresh(context: Hashing, token: Secret): ReadRefresh | null {
  const [, family, secret, mark] = TEXT.exec(token.reveal()) ?? []
  if (family === undefined || secret === undefined || mark === undefined) return null
  return {
    family,
    id: grantId(context, family),
    hash: hashOf(context, secret),
    // Of digests, so that the time it takes says nothing of what is expected.
    issuedBy: ({ seal }) => hashOf(context, mark) === hashOf(context, markOf(context, seal, { family, secret })),
  }
}
