/** The decision port of a program that protects itself: roles and bindings, without a reader of Cedar. */

import { compilePolicy, PolicyJudge, rolePolicies, toBase64url, utf8 } from '@doorward/core'
import type { DecisionRequest, ListVerdict, SomeRequest, TrustDomain, Verdict } from '@doorward/core'
import type { DecisionPort } from '@doorward/enforcement'
import { sha256 } from '../platform/hash.ts'

/** In the words of `doorward.yaml`. Roles that the trust state gives count beside those of bindings. */
export interface ProtectPolicy {
  /** Permissions by role: `{ reader: ['read:orders/*'], writer: ['POST:orders/orders'] }`. */
  readonly roles: Readonly<Record<string, readonly string[]>>
  readonly bindings?: readonly {
    readonly role: string
    /** SPIFFE ID patterns of whole segments. */
    readonly workloads?: readonly string[]
    readonly issuer?: string
    readonly users?: readonly string[]
    readonly groups?: readonly string[]
  }[]
}

/**
 * Decides as a gateway does under the same roles. Policies in Cedar are not taken: the official build that checks them is no
 * part of the SDK. Throws an `AggregateError` with everything that is wrong, each with the codes of `compilePolicy`.
 */
export function roleDecisions(policy: ProtectPolicy, service: string, trustDomain: TrustDomain): DecisionPort {
  const roles = Object.entries(policy.roles).map(([role, permissions]) => ({ role, permissions }))
  const source = { trustDomain, rbac: [], roles, bindings: policy.bindings ?? [], servers: [service] }
  const compiled = compilePolicy(source)
  if (!compiled.ok) throw new AggregateError(compiled.problems, 'the policy of this program is not valid')
  const digest = toBase64url(sha256(utf8(compiled.policy.text)))
  const judge = new PolicyJudge(compiled.policy, rolePolicies(source), { digest, sequence: 1 })
  return {
    decide: async (request: DecisionRequest): Promise<Verdict> => judge.decide(request),
    list: async (request: DecisionRequest): Promise<ListVerdict> => judge.list(request),
    some: async (request: SomeRequest): Promise<ListVerdict> => judge.some(request),
  }
}
