/** The decision port of a program that protects itself: roles and bindings, without a reader of Cedar. */

import { compilePolicy, DoorwardError, PolicyJudge, rolePolicies, toBase64url, utf8 } from '@doorward/core'
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

const MEMBERS = new Set(['roles', 'bindings'])
const BINDING_MEMBERS = new Set(['role', 'workloads', 'issuer', 'users', 'groups'])

/** What would be left unenforced is refused: a policy that was read from a file may hold more than the type says. */
function requireKnown(value: object, known: ReadonlySet<string>, where: string): void {
  const unknown = Object.keys(value).filter((name) => !known.has(name))
  if (unknown.length === 0) return
  throw new DoorwardError('policy_unsupported', 'the policy of this program says what nothing here enforces', {
    where,
    expected: [...known].join(', '),
    got: unknown.join(', ').slice(0, 200),
  })
}

/**
 * Decides as a gateway does under the same roles. Policies in Cedar are not taken: the official build that checks them is no
 * part of the SDK. Throws an `AggregateError` with everything that is wrong, each with the codes of
 * `compilePolicy`, and `policy_unsupported`.
 */
export function roleDecisions(policy: ProtectPolicy, service: string, trustDomain: TrustDomain): DecisionPort {
  requireKnown(policy, MEMBERS, 'policy')
  for (const binding of policy.bindings ?? []) requireKnown(binding, BINDING_MEMBERS, 'policy.bindings')
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
