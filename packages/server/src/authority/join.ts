/**
 * How a workload gets a certificate without having one: by evidence that its registration lists the first time, by its
 * bound machine key and its join state ever after (reference ids BS-1 … BS-3).
 */

import { jwkThumbprint } from '@doorward/core'
import type { P256Jwk, Secret, TrustScope } from '@doorward/core'
import { attest } from './attest/attestor.ts'
import type { Attested, Evidence } from './attest/attestor.ts'
import { attestorsOf } from './attest/attestors.ts'
import type { AuthorityContext } from './context.ts'
import { lockedRefusal, newBinding, reportReplaced } from './instances.ts'
import type { IssueDependencies } from './issue.ts'
import { issueWithState, presentJoinState } from './join-state.ts'
import type { IssuedWithState } from './join-state.ts'
import type { Binding, Bound } from './ports.ts'
import { proves } from './possession.ts'
import { isAuthorityRefusal, refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'

/** TLS exporter label (RFC 8446 §7.5) over which the machine key proves itself. */
export const enrolLabel = 'EXPORTER-doorward-enrol'
/** One-time proofs that are remembered until nobody would accept them. */
const MAX_USED_PROOFS = 100_000

export interface EnrolRequest {
  /** Null for a workload that returns with its machine key. */
  readonly evidence: Evidence | null
  /** Required without a join token; with one it must agree when given. */
  readonly id: string | null
  readonly machineKey: P256Jwk
  /** ES256 by the machine key over `exported`. */
  readonly machineProof: Uint8Array
  /** What of the trust state it follows; `callers` when it does not say. */
  readonly scope: TrustScope
  /** What it was given with its last certificate; null when it has none. */
  readonly joinState: Secret | null
  /** Keying material of this connection under `enrolLabel`. */
  readonly exported: Uint8Array
  /** Key of the client certificate of this connection: DER SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array
}

/** An enrolment that may succeed: whose it is, before anything is consumed. */
export interface ExaminedEnrolment {
  readonly id: string
  readonly request: EnrolRequest
  /** Null for a return. */
  readonly attested: Attested | null
  /** The instance that has the machine key already; null for a new one. */
  readonly instance: string | null
}

export interface EnrolmentRefusal extends AuthorityRefusal {
  /** Whose bound key has proven itself all the same; null for strangers. */
  readonly proven?: string
}

/** Judges without consuming anything. Strangers are refused with `join_refused`, whatever the reason; who has a bound key may learn `instance_locked`. */
export async function examineEnrolment(
  context: AuthorityContext,
  request: EnrolRequest,
): Promise<ExaminedEnrolment | EnrolmentRefusal> {
  const { machineKey, exported, machineProof, evidence } = request
  if (!proves(machineKey, exported, machineProof, context.importP256))
    return refuse('join_refused', 'expected a proof by the machine key over this connection')
  const unfit = context.unfit()
  if (unfit !== null) return refuse('authority_unready', unfit)
  const attested = evidence === null ? null : await attest(attestorsOf(context), evidence, request)
  if (attested !== null && isAuthorityRefusal(attested)) return attested
  const id = attested?.id ?? request.id
  if (id === null) return refuse('join_refused', 'neither evidence nor an id was given')
  const held = await context.store.instances.findByKey(id, machineKey)
  if (held === null && attested === null) return refuse('join_refused', `the machine key is not bound to ${id}`)
  if (held !== null && held.locked !== null) return { ...(await lockedRefusal(context, held)), proven: id }
  return { id, request, attested, instance: held?.instance ?? null }
}

/**
 * Judges the join state of a key that is known, consumes the evidence, binds a key that is new, and issues. Of concurrent
 * callers with evidence that is good once, one gets past the store.
 */
export async function completeEnrolment(
  dependencies: IssueDependencies,
  examined: ExaminedEnrolment,
): Promise<IssuedWithState | AuthorityRefusal> {
  const { context, publish } = dependencies
  const { id, request, attested } = examined
  if (examined.instance !== null) {
    const contact = { id, instance: examined.instance, joinState: request.joinState }
    const refusal = await presentJoinState(context, contact, publish)
    if (refusal !== null) return refusal
  }
  const instance = attested === null ? examined.instance : await admit(context, attested, request.machineKey)
  if (instance === null) return refuse('join_refused', `the machine key is not bound to ${id}`)
  if (typeof instance !== 'string') return instance
  const { publicKey } = request
  const occasion = attested === null ? 'return' : 'join'
  return issueWithState(dependencies, { id, publicKey, occasion, instance, predecessor: null })
}

/** What was proven is on record before it is used up. The instance that has the key now. */
async function admit(
  context: AuthorityContext,
  attested: Attested,
  machineKey: P256Jwk,
): Promise<string | AuthorityRefusal> {
  const { id, kind, proven } = attested
  const registration = await context.store.registrations.find(id)
  if (registration === null) return refuse('join_refused', `${id} is not registered`)
  const thumbprint = jwkThumbprint(machineKey, context.sha256)
  await context.log.append({
    kind: 'issuance',
    body: { phase: 'attested', id, by: kind, proven, machine_key: thumbprint },
  })
  const earlier = await context.store.instances.list(id)
  const bound = await consume(context, attested, newBinding(context, machineKey, kind))
  if (isAuthorityRefusal(bound)) return bound
  await reportReplaced(context, registration, { bound, earlier })
  return bound.instance
}

async function consume(
  { store }: AuthorityContext,
  { id, consumes }: Attested,
  binding: Binding,
): Promise<Bound | AuthorityRefusal> {
  if (consumes === null) {
    const bound = await store.instances.bind(id, binding)
    if (bound === null || bound === 'bound_elsewhere')
      return refuse('join_refused', `the machine key of ${id} is ${bound ?? 'unregistered'}`)
    return bound
  }
  if (consumes.kind === 'join_token') {
    const redeemed = await store.joins.redeem({ hash: consumes.hash, binding })
    return redeemed.outcome === 'redeemed'
      ? redeemed.bound
      : refuse('join_refused', `the token for ${id} is ${redeemed.outcome}`)
  }
  const admitted = await store.joins.admit(id, { proof: consumes.proof, binding }, MAX_USED_PROOFS)
  switch (admitted.outcome) {
    case 'admitted':
      return admitted.bound
    case 'full':
      return refuse('authority_unready', 'no more proofs can be remembered as used')
    case 'used':
    case 'unregistered':
    case 'bound_elsewhere':
      return refuse('join_refused', `the proof for ${id} is ${admitted.outcome}`)
  }
}
