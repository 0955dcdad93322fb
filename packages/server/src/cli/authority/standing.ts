/** What every command about keys works with: an operator's identity, the admin API, and the deployment. */

import type { AdminClient, Identity } from '@doorward/sdk'
import type { Deployment } from '../../config/settings.ts'
import { authorityAdmin } from '../administration.ts'
import { asIdentity } from '../identity-option.ts'
import type { Warn } from '../identity-option.ts'
import type { CliContext } from '../context.ts'
import { explainingRefusals } from './refusal.ts'

export interface Operating {
  readonly identity: Identity
  readonly admin: AdminClient
  readonly deployment: Deployment
}

/** Runs the work as this identity, the operator's by default. */
export function operating<T>(
  context: CliContext,
  as: string | undefined,
  work: (operating: Operating) => Promise<T>,
  warn?: Warn,
): Promise<T> {
  const explaining = (identity: Identity) =>
    explainingRefusals(async () => {
      const deployment = await context.deployment()
      return work({ identity, admin: authorityAdmin(identity, deployment), deployment })
    })
  return asIdentity(context, as, explaining, warn)
}

/** Where certificates are replaced under our feet, connections break that were good a moment ago: told only when it fails. */
export async function operatingThrough<T>(
  context: CliContext,
  as: string | undefined,
  work: (operating: Operating) => Promise<T>,
): Promise<T> {
  const survived = new Set<string>()
  try {
    return await operating(context, as, work, (error) => {
      if (survived.size < MAX_SURVIVED) survived.add(error instanceof Error ? error.message : String(error))
    })
  } catch (error) {
    for (const text of survived) context.err(`warning: ${text}`)
    throw error
  }
}

const MAX_SURVIVED = 20
