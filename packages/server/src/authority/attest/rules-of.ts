/** The rules by which an identity can be reached: those that its registration lists, and no others. */

import { isAuthorityRefusal } from '../refusal.ts'
import type { AuthorityRefusal } from '../refusal.ts'
import type { AuthorityStore } from '../ports.ts'
import { unattested } from './attestor.ts'
import type { AttestationKind, AttestationRule } from './rule.ts'

export type RuleOf<K extends AttestationKind> = Extract<AttestationRule, { readonly kind: K }>

/** At least one rule of the kind. Refusal: `join_refused`. */
export async function rulesOf<K extends AttestationKind>(
  { registrations }: Pick<AuthorityStore, 'registrations'>,
  id: string | null,
  kind: K,
): Promise<readonly RuleOf<K>[] | AuthorityRefusal> {
  if (id === null) return unattested(`${kind} does not say for whom: expected an id`)
  const registration = await registrations.find(id)
  if (registration === null) return unattested(`${id} is not registered`)
  const rules = registration.attestation.filter((rule): rule is RuleOf<K> => rule.kind === kind)
  const listed = registration.attestation.map((rule) => rule.kind)
  return rules.length > 0
    ? rules
    : unattested(`expected ${id} to be attested by ${listed.join(' or ') || 'nothing'}, got ${kind}`)
}

export function isRefused(value: readonly unknown[] | AuthorityRefusal): value is AuthorityRefusal {
  return !Array.isArray(value) && isAuthorityRefusal(value)
}
