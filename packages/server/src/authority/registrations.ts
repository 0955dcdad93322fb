/** Registered workloads: what may be registered, and what removing one does. */

import { isIP } from 'node:net'
import { epochSeconds, readSpiffeId, trustStateLimits } from '@doorward/core'
import type { TrustDomain } from '@doorward/core'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import type { AttestationRule } from './attest/rule.ts'
import type { Registration } from './ports.ts'
import { refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'

export interface NewRegistration {
  /** SPIFFE ID with a path, of our trust domain. */
  readonly id: string
  readonly roles: readonly string[]
  /** 300 to 86,400; 3600 by default. */
  readonly ttlSeconds?: number
  readonly dnsNames?: readonly string[]
  readonly ipAddresses?: readonly string[]
  readonly sharedNames?: boolean
  /** A join token by default. */
  readonly attestation?: readonly AttestationRule[]
  readonly singleInstance?: boolean
  readonly canary?: boolean
}

export interface Change {
  /** Who does it, for the record. */
  readonly by: string
  /** Publishes the trust state; resolves when it is out. */
  readonly publish: () => Promise<void>
}

const defaultTtlSeconds = 3600
const ttl = { least: 300, most: 86_400 }
const MAX_NAMES = 16
const ROLE = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const DNS_NAME = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/
/** Room is kept in the trust state. */
const MAX_WORKLOADS = trustStateLimits.workloads - 1000
/** Nothing that we issue lives longer than a day, leeway and backdating included. */
const denialSeconds = ttl.most + 600

/** What is wrong with the registration, or null. */
export function registrationProblem(registration: NewRegistration, trustDomain: TrustDomain): string | null {
  const id = readSpiffeId(registration.id)
  if ('problem' in id) return `the id is ${id.problem}`
  if (id.trustDomain !== trustDomain || id.segments.length === 0) return `expected an id below spiffe://${trustDomain}/`
  const { roles, ttlSeconds = defaultTtlSeconds, dnsNames = [], ipAddresses = [] } = registration
  if (roles.length > trustStateLimits.rolesPerWorkload || new Set(roles).size !== roles.length)
    return 'expected at most 64 distinct roles'
  if (!roles.every((role) => ROLE.test(role))) return 'expected role names of A-Z a-z 0-9 . _ -'
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < ttl.least || ttlSeconds > ttl.most)
    return `expected a lifetime of ${ttl.least} to ${ttl.most} s`
  if (dnsNames.length > MAX_NAMES || !dnsNames.every((name) => DNS_NAME.test(name)))
    return 'expected at most 16 lowercase DNS names'
  if (ipAddresses.length > MAX_NAMES || !ipAddresses.every((address) => isIP(address) !== 0))
    return 'expected at most 16 IP addresses'
  return null
}

function complete(context: AuthorityContext, registration: NewRegistration): Registration {
  return {
    id: registration.id,
    roles: registration.roles,
    ttlSeconds: registration.ttlSeconds ?? defaultTtlSeconds,
    dnsNames: registration.dnsNames ?? [],
    ipAddresses: registration.ipAddresses ?? [],
    attestation: registration.attestation ?? [{ kind: 'join_token' }],
    sharedNames: registration.sharedNames ?? false,
    singleInstance: registration.singleInstance ?? false,
    canary: registration.canary ?? false,
    createdAt: nowSeconds(context),
    updatedAt: nowSeconds(context),
    revision: 1,
  }
}

/** Registers a workload. Refusals: `request_invalid`, `conflict` when the id is taken or no room is left. */
export async function addRegistration(
  context: AuthorityContext,
  registration: NewRegistration,
  change: Change,
): Promise<Registration | AuthorityRefusal> {
  const problem = registrationProblem(registration, context.trustDomain)
  if (problem !== null) return refuse('request_invalid', problem)
  const full = complete(context, registration)
  await context.log.append({
    kind: 'admin',
    body: { change: 'workload.add', id: full.id, roles: full.roles, by: change.by },
  })
  const added = await context.store.registrations.add(full, MAX_WORKLOADS, true)
  if (added !== 'added') return refuse('conflict', `${full.id} cannot be registered: ${added}`)
  await change.publish()
  return full
}

/** Registers the workload or brings the registration that is there in line; for identities that configuration defines. */
export async function ensureRegistration(
  context: AuthorityContext,
  registration: NewRegistration,
  change: Change,
): Promise<Registration | AuthorityRefusal> {
  const held = await context.store.registrations.find(registration.id)
  if (held === null) return addRegistration(context, registration, change)
  const problem = registrationProblem(registration, context.trustDomain)
  if (problem !== null) return refuse('request_invalid', problem)
  const full = { ...complete(context, registration), createdAt: held.createdAt, revision: held.revision }
  if (JSON.stringify({ ...full, updatedAt: held.updatedAt }) === JSON.stringify(held)) return held
  await context.log.append({
    kind: 'admin',
    body: { change: 'workload.update', id: full.id, roles: full.roles, by: change.by },
  })
  const updated = await context.store.registrations.update(full, held.revision)
  if (updated !== 'updated') return refuse('conflict', `${full.id} cannot be brought in line: ${updated}`)
  await change.publish()
  return { ...full, revision: held.revision + 1 }
}

/** Removes a workload and denies everything that was issued to it. Refusals: `resource_unknown`, `conflict` for our own identity. */
export async function removeRegistration(
  context: AuthorityContext,
  id: string,
  change: Change,
): Promise<null | AuthorityRefusal> {
  if (id === context.id.uri) return refuse('conflict', 'the authority cannot remove itself')
  if ((await context.store.registrations.find(id)) === null)
    return refuse('resource_unknown', `${id} is not registered`)
  const now = nowSeconds(context)
  await context.log.append({ kind: 'admin', body: { change: 'workload.remove', id, by: change.by } })
  // What was issued within the running second is denied too; what follows is dated after it.
  const denial = {
    kind: 'identity',
    value: id,
    issuedBefore: epochSeconds(now + 1),
    lapsesAt: epochSeconds(now + denialSeconds),
    reason: 'workload removed',
  } as const
  if (!(await context.store.registrations.remove(id, denial)))
    return refuse('resource_unknown', `${id} is not registered`)
  await change.publish()
  return null
}
