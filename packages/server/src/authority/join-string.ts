/** Join strings (reference ids BS-3, BS-4): what the operator hands to a workload that is to join. */

import { encodeJoinString, epochSeconds, Secret, toBase64url, trustStateLimits } from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import { joinTokenHash } from './attest/join-token.ts'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import { isAuthorityRefusal, refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'

export const joinTokenSeconds = 600
/** Unused live tokens at once. */
const MAX_TOKENS = 10_000
const TOKEN_BYTES = 32
/** That a join string may name. */
const MAX_OTHERS = trustStateLimits.authorities - 1

/** What a join string says beside the token. */
export interface JoinPlace {
  /** `host:port` of the enrolment listener. */
  readonly address: string
  /** `host:port` of the enrolment listeners of all authorities, this one perhaps among them. */
  readonly all: readonly string[]
  readonly rootFingerprint: string
  readonly trustStateDigest: string
}

export interface NewJoinString {
  readonly joinString: Secret
  /** When its token ends; null for one without a token, which is no secret and does not end. */
  readonly expiresAt: EpochSeconds | null
}

export interface Invitation {
  readonly id: string
  readonly place: JoinPlace
  /** For the record. */
  readonly by: string
  /**
   * Whether it has a single-use token. By default it has one where the registration lists join tokens; without one it
   * only says where the authority is and how it is known.
   */
  readonly withToken?: boolean
}

/**
 * Makes a join string for a registered workload; one with a token is good once and for ten minutes. Refusals:
 * `resource_unknown`, and `conflict` where too many tokens wait or the registration lists no join tokens.
 */
export async function createJoinString(
  context: AuthorityContext,
  { id, place, by, withToken }: Invitation,
): Promise<NewJoinString | AuthorityRefusal> {
  const registration = await context.store.registrations.find(id)
  if (registration === null) return refuse('resource_unknown', `${id} is not registered`)
  const listed = registration.attestation.some(({ kind }) => kind === 'join_token')
  if (withToken === true && !listed) return refuse('conflict', `${id} is not attested by join tokens`)
  const made = (withToken ?? listed) ? await newToken(context, id, by) : null
  if (made !== null && isAuthorityRefusal(made)) return made
  const others = [...new Set(place.all)].filter((address) => address !== place.address).slice(0, MAX_OTHERS)
  const joinString = encodeJoinString({
    version: 1,
    trustDomain: context.trustDomain,
    address: place.address,
    ...(others.length === 0 ? {} : { otherAddresses: others }),
    trustStateFingerprint: place.trustStateDigest,
    rootFingerprint: place.rootFingerprint,
    ...(made === null ? {} : { token: made.token }),
    spiffeId: id,
  })
  return { joinString: new Secret(joinString), expiresAt: made?.expiresAt ?? null }
}

async function newToken(
  context: AuthorityContext,
  id: string,
  by: string,
): Promise<{ readonly token: Secret; readonly expiresAt: EpochSeconds } | AuthorityRefusal> {
  const token = new Secret(toBase64url(context.random(TOKEN_BYTES)))
  const createdAt = nowSeconds(context)
  const expiresAt = epochSeconds(createdAt + joinTokenSeconds)
  await context.log.append({ kind: 'admin', body: { change: 'join-string.create', id, by, expires_at: expiresAt } })
  const added = await context.store.joins.addToken(
    { hash: joinTokenHash(context, token), id, createdAt, expiresAt },
    MAX_TOKENS,
  )
  if (added === 'unregistered') return refuse('resource_unknown', `${id} is not registered`)
  if (added === 'full') return refuse('conflict', 'too many join tokens wait to be used')
  return { token, expiresAt }
}
