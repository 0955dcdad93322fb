/** What commands that call as a workload have in common: whose identity, and how a refusal ends them. */

import { DoorwardError, isDoorwardError } from '@doorward/core'
import type { Identity } from '@doorward/sdk'
import { CallDenied } from './failure.ts'
import type { CliContext } from './context.ts'

export const asOption = [
  '--as <name>',
  'identity to call as, by its path: operator/alice; the operator of this user by default',
] as const

/** Hears of problems that were survived. */
export type Warn = (error: unknown) => void

function warningOf(context: CliContext): Warn {
  return (error) => context.err(`warning: ${error instanceof Error ? error.message : String(error)}`)
}

/** Opens the identity and brings it up to date. Survived problems are told on standard error by default. */
export async function readyIdentity(
  context: CliContext,
  name: string | undefined,
  warn: Warn = warningOf(context),
): Promise<Identity> {
  const { openLocalIdentity } = await import('../apps/local-identities.ts')
  const place = { deployment: await context.deployment(), environment: context.environment }
  const identity = await openLocalIdentity(place, name, warn)
  try {
    await identity.prepare(context.signal)
    return identity
  } catch (error) {
    identity.close()
    throw error
  }
}

/** Runs the work as this identity; a refusal by a server becomes a failed check (exit 1) that names code, decision and permission. */
export async function asIdentity<T>(
  context: CliContext,
  name: string | undefined,
  work: (identity: Identity) => Promise<T>,
  warn?: Warn,
): Promise<T> {
  const { ServerRefused } = await import('@doorward/sdk')
  try {
    const identity = await readyIdentity(context, name, warn)
    try {
      return await work(identity)
    } finally {
      identity.close()
    }
  } catch (error) {
    if (isDoorwardError(error, 'server_unreachable')) throw unreachable(error)
    if (error instanceof ServerRefused) throw new CallDenied(error)
    throw error
  }
}

/** Who uses a command line sits, as a rule, beside what it calls. */
function unreachable({ code, message, where = '', got = '', next, cause }: DoorwardError): DoorwardError {
  return new DoorwardError(code, message, { where, got, next: next ?? 'check that it runs: doorward up', cause })
}
