/** How a workload gets its first certificate: by a join token once, by its bound machine key ever after (reference ids BS-2 … BS-5). */

import { encodeJoinString, epochSeconds, hex, Secret, toBase64url, utf8 } from '@doorward/core'
import type { EpochSeconds, P256Jwk } from '@doorward/core'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import { issueCertificate } from './issue.ts'
import type { IssueDependencies, IssuedCertificate } from './issue.ts'
import { refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'
import { proves } from './renew.ts'

/** TLS exporter label (RFC 8446 §7.5) over which the machine key proves itself. */
export const enrolLabel = 'EXPORTER-doorward-enrol'
export const joinTokenSeconds = 600
/** Unused live tokens at once. */
const MAX_TOKENS = 10_000
/** Copies of one workload. */
const MAX_INSTANCES = 256
const TOKEN_BYTES = 32

/** What a join string says beside the token. */
export interface JoinPlace {
  /** `host:port` of the enrolment listener. */
  readonly address: string
  readonly rootFingerprint: string
  readonly trustStateDigest: string
}

export interface NewJoinString {
  readonly joinString: Secret
  readonly expiresAt: EpochSeconds
}

/** Makes a join string for a registered workload, good once and for ten minutes. `by` is for the record. Refusals: `resource_unknown`, `conflict`. */
export async function createJoinString(
  context: AuthorityContext,
  { id, place, by }: { readonly id: string; readonly place: JoinPlace; readonly by: string },
): Promise<NewJoinString | AuthorityRefusal> {
  const token = toBase64url(context.random(TOKEN_BYTES))
  const createdAt = nowSeconds(context)
  const expiresAt = epochSeconds(createdAt + joinTokenSeconds)
  await context.log.append({ kind: 'admin', body: { change: 'join-string.create', id, by, expires_at: expiresAt } })
  const added = await context.store.joins.addToken(
    { hash: hashOf(context, token), id, createdAt, expiresAt },
    MAX_TOKENS,
  )
  if (added === 'unregistered') return refuse('resource_unknown', `${id} is not registered`)
  if (added === 'full') return refuse('conflict', 'too many join tokens wait to be used')
  const joinString = encodeJoinString({
    version: 1,
    trustDomain: context.trustDomain,
    address: place.address,
    trustStateFingerprint: place.trustStateDigest,
    rootFingerprint: place.rootFingerprint,
    token: new Secret(token),
    spiffeId: id,
  })
  return { joinString: new Secret(joinString), expiresAt }
}

/** Only the hash is kept: the store tells nobody a token. */
function hashOf({ sha256 }: AuthorityContext, token: string): string {
  return toBase64url(sha256(utf8(token)))
}

export interface EnrolRequest {
  /** Null for a workload that returns with its machine key. */
  readonly token: Secret | null
  /** Required without a token; with one it must agree when given. */
  readonly id: string | null
  readonly machineKey: P256Jwk
  /** ES256 by the machine key over `exported`. */
  readonly machineProof: Uint8Array
  /** Keying material of this connection under `enrolLabel`. */
  readonly exported: Uint8Array
  /** Key of the client certificate of this connection: DER SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array
}

/** An enrolment that may succeed: whose it is, before anything is consumed. */
export interface ExaminedEnrolment {
  readonly id: string
  readonly request: EnrolRequest
  readonly tokenHash: string | null
  /** The instance that returns; null for a new one. */
  readonly instance: string | null
}

/** Judges without consuming anything. Every refusal is `join_refused`; only the explanation tells why. */
export async function examineEnrolment(
  context: AuthorityContext,
  request: EnrolRequest,
): Promise<ExaminedEnrolment | AuthorityRefusal> {
  if (!proves(request.machineKey, request.exported, request.machineProof, context.importP256)) {
    return refuse('join_refused', 'expected a proof by the machine key over this connection')
  }
  return request.token === null ? examineReturn(context, request) : examineToken(context, request, request.token)
}

async function examineToken(
  context: AuthorityContext,
  request: EnrolRequest,
  token: Secret,
): Promise<ExaminedEnrolment | AuthorityRefusal> {
  const tokenHash = hashOf(context, token.reveal())
  const known = await context.store.joins.findToken(tokenHash)
  if (known === null) return refuse('join_refused', 'the token is unknown')
  if (known.usedAt !== null) return refuse('join_refused', `the token for ${known.id} was used at ${known.usedAt}`)
  if (known.expiresAt <= nowSeconds(context))
    return refuse('join_refused', `the token for ${known.id} ended at ${known.expiresAt}`)
  if (request.id !== null && request.id !== known.id)
    return refuse('join_refused', `the token is for ${known.id}, not for ${request.id}`)
  return { id: known.id, request, tokenHash, instance: null }
}

async function examineReturn(
  context: AuthorityContext,
  request: EnrolRequest,
): Promise<ExaminedEnrolment | AuthorityRefusal> {
  if (request.id === null) return refuse('join_refused', 'neither a token nor an id was given')
  const bound = await context.store.instances.findByKey(request.id, request.machineKey)
  if (bound === null) return refuse('join_refused', `the machine key is not bound to ${request.id}`)
  if (bound.locked !== null)
    return refuse('join_refused', `instance ${bound.instance} is locked: ${bound.locked.reason}`)
  return { id: request.id, request, tokenHash: null, instance: bound.instance }
}

/** Consumes the token, binds the machine key and issues. Of concurrent callers with one token, one gets here past the store. */
export async function completeEnrolment(
  dependencies: IssueDependencies,
  { id, request, tokenHash, instance: returning }: ExaminedEnrolment,
): Promise<IssuedCertificate | AuthorityRefusal> {
  const { context } = dependencies
  let instance = returning
  if (tokenHash !== null) {
    const binding = {
      instance: hex(context.random(8)),
      machineKey: request.machineKey,
      attestedBy: 'join_token',
      now: nowSeconds(context),
      limit: MAX_INSTANCES,
      reason: 'replaced by a new instance',
    }
    const redeemed = await context.store.joins.redeem({ hash: tokenHash, binding })
    if (redeemed.outcome !== 'redeemed') return refuse('join_refused', `the token for ${id} is ${redeemed.outcome}`)
    instance = redeemed.bound.instance
  }
  return issueCertificate(dependencies, {
    id,
    publicKey: request.publicKey,
    occasion: tokenHash === null ? 'return' : 'join',
    instance,
    predecessor: null,
  })
}
