/** The policy of a part that runs, read anew from the files that it was started with. */

import { resolve } from 'node:path'
import type { CompiledPolicy } from '@doorward/core'
import type { IssuerSettings } from './issuer-settings.ts'
import { loadConfiguration } from './load.ts'
import { compiledPolicy } from './policy-source.ts'
import { ConfigurationError } from './problem.ts'
import { changedKeys } from './changed-keys.ts'
import type { Configuration } from './schema.ts'
import { allowedAudiences, deploymentOf, issuerSettings } from './settings.ts'
import type { Deployment } from './settings.ts'
import { dotted } from './yaml-place.ts'

export interface PolicyReading {
  readonly policy: CompiledPolicy
  /** Of `policy.shadow`, to compare with: null where there is none, an error where it cannot be read. */
  readonly candidate: CompiledPolicy | Error | null
  /** What tokens may be asked for; as at the start by default. */
  readonly audiences?: ReadonlySet<string>
  /** Where people sign in; as at the start by default. */
  readonly issuers?: readonly IssuerSettings[]
  /** Roles that may do whatever the admin API offers. */
  readonly operatorRoles: readonly string[]
  /** Keys of the part beside the policy that say something else than it goes by, which it has not taken up; bounded. */
  readonly restart: readonly string[]
}

const MAX_KEYS = 50

/** The policy of a deployment as it is started. Throws as `compiledPolicy`. */
export async function readPolicy(deployment: Deployment): Promise<PolicyReading> {
  const policy = await compiledPolicy(deployment)
  return {
    policy,
    candidate: await candidateOf(deployment),
    audiences: allowedAudiences(deployment),
    issuers: issuerSettings(deployment),
    operatorRoles: operatorRoles(deployment),
    restart: [],
  }
}

/** Nothing that is wrong with a candidate stands in the way of what is enforced. */
async function candidateOf(deployment: Deployment): Promise<CompiledPolicy | Error | null> {
  const { shadow } = deployment.configuration.policy
  if (shadow === undefined) return null
  try {
    return await compiledPolicy(await candidateDeployment(deployment, resolve(deployment.folder, shadow)))
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

/**
 * Another configuration of the same trust domain, for its policy alone. Throws the codes of `loadConfiguration`, and a
 * ConfigurationError for another trust domain.
 */
export async function candidateDeployment(started: Deployment, file: string): Promise<Deployment> {
  const candidate = deploymentOf(await loadConfiguration(file))
  refuseTrustDomain(candidate, started, 'a candidate is of the same trust domain')
  return candidate
}

/** Throws a ConfigurationError for another trust domain than that of the start. */
export function refuseTrustDomain(
  { trustDomain, lineOf, file }: Deployment,
  started: Deployment,
  message: string,
): void {
  if (trustDomain === started.trustDomain) return
  const place = { line: lineOf(['trust_domain']), path: 'trust_domain' }
  throw new ConfigurationError(file, [{ ...place, message, expected: started.trustDomain, got: trustDomain }])
}

/**
 * `isOwn` says whether the part goes by a key that is not of the policy, and has not taken it up. Throws the codes of
 * `loadConfiguration` and `compiledPolicy`, and a ConfigurationError for another trust domain.
 */
export async function rereadPolicy(
  started: Deployment,
  isOwn: (keys: readonly string[], now: Configuration) => boolean,
): Promise<PolicyReading> {
  const now = deploymentOf(await loadConfiguration(started.file))
  refuseTrustDomain(now, started, 'a trust domain is never renamed')
  const reading = await readPolicy(now)
  const all = changedKeys(started.configuration, now.configuration)
  const changed = all.filter((keys) => !isPolicy(keys) && isOwn(keys, now.configuration))
  return { ...reading, restart: changed.slice(0, MAX_KEYS).map(dotted) }
}

/** Without a server, these words open the admin API as a whole. */
function operatorRoles({ configuration: { security, roles } }: Deployment): readonly string[] {
  const given = Object.entries(roles).map(([role, permissions]) => ({ role, permissions }))
  return [...security.rbac.policies, ...given]
    .filter(({ permissions }) => permissions.includes('*') || permissions.includes('admin'))
    .map(({ role }) => role)
}

/** Keys of the policy, which is read anew by itself. */
export function isPolicy([first = '', second, third, ...rest]: readonly string[]): boolean {
  if (first === 'servers') return third === 'tools' && rest.length === 0
  if (first === 'security') return second === 'rbac'
  if (first === 'approvals') return second === 'rules'
  return ['roles', 'bindings', 'policy'].includes(first)
}
