/** Looking registrations up: many by what they have in common, one with everything that stands on it. */

import { attestationKinds } from './attest/rule.ts'
import type { AttestationKind } from './attest/rule.ts'
import { nowSeconds } from './context.ts'
import type { Instance, IssuedCertificateRow, JoinToken, Registration } from './ports.ts'
import { refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'
import type { RegistryContext } from './registrations.ts'

export interface RegistrationQuery {
  /** The id itself and what lies below it, by whole segments; null for all. */
  readonly under: string | null
  readonly role: string | null
  readonly attestation: AttestationKind | null
  /** Ids that sort after this one. */
  readonly after: string | null
  /** Registrations that are looked at: an answer may have fewer. */
  readonly limit: number
}

export interface RegistrationPage {
  readonly registrations: readonly Registration[]
  /** Where the next page begins; null when this was the last. */
  readonly next: string | null
}

export const mostPerPage = 500

export function isAttestationKind(text: string): text is AttestationKind {
  return (attestationKinds as readonly string[]).includes(text)
}

/** The work of a page is bounded by `limit`, however few match. */
export async function findRegistrations(
  { store }: RegistryContext,
  { under, role, attestation, after, limit }: RegistrationQuery,
): Promise<RegistrationPage> {
  const seen = await store.registrations.range({ under, after, limit })
  const registrations = seen.filter(
    (one) =>
      (role === null || one.roles.includes(role)) &&
      (attestation === null || one.attestation.some(({ kind }) => kind === attestation)),
  )
  return { registrations, next: seen.length < limit ? null : (seen.at(-1)?.id ?? null) }
}

export interface RegistrationDetail {
  readonly registration: Registration
  readonly instances: readonly Instance[]
  /** Live ones. */
  readonly certificates: readonly IssuedCertificateRow[]
  /** Unused live ones; of a token only its hash is known. */
  readonly joinTokens: readonly JoinToken[]
}

/** Refusal: `resource_unknown`. */
export async function showRegistration(
  context: RegistryContext,
  id: string,
): Promise<RegistrationDetail | AuthorityRefusal> {
  const { store } = context
  const now = nowSeconds(context)
  const registration = await store.registrations.find(id)
  if (registration === null) return refuse('resource_unknown', `${id} is not registered`)
  const [instances, certificates, joinTokens] = await Promise.all([
    store.instances.list(id),
    store.issuance.live(now, id),
    store.joins.pending(id, now),
  ])
  return { registration, instances, certificates, joinTokens }
}
