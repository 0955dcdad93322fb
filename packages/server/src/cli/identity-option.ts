/** What commands that call as a workload have in common: whose identity, and how a refusal ends them. */

import { DoorwardError, isDoorwardError, userName } from '@doorward/core'
import type { Identity } from '@doorward/sdk'
import type { OnBehalf } from '../apps/local-identities.ts'
import { CallDenied, CheckFailed } from './failure.ts'
import type { CliContext } from './context.ts'

export const asOption = [
  '--as <name>',
  'identity to call as, by its path: operator/alice; the operator of this user by default',
] as const

/** `--as-user` and `--no-user`, for commands that call servers. */
export interface UserOptions {
  readonly asUser?: boolean
  readonly user?: boolean
}

export const asUserOption = ['--as-user', 'call for the person who is signed in, or not at all', false] as const
export const noUserOption = ['--no-user', 'call for the identity itself, whoever is signed in'] as const

/** Whoever is signed in by default. */
export function onBehalfOf({ asUser = false, user = true }: UserOptions): OnBehalf {
  if (!asUser) return user ? 'whoever' : 'itself'
  if (user) return 'person'
  throw new DoorwardError('options_contradict', '--as-user and --no-user say different things', {
    expected: 'one of the two, or none',
  })
}

/** Who calls, for people: the identity, and the person whom it calls for. Throws when that person has to sign in again. */
export async function callerText({ id, person }: Identity): Promise<string> {
  return person === null ? id.uri : `${id.uri} for ${userName((await person.current()).user)}`
}

/** `user` for JSON: whom it calls for; nothing for itself. */
export async function userOf({ person }: Identity): Promise<{ readonly user?: string }> {
  return person === null ? {} : { user: userName((await person.current()).user) }
}

/** Hears of problems that were survived. */
export type Warn = (error: unknown) => void

function warningOf(context: CliContext): Warn {
  return (error) => context.err(`warning: ${error instanceof Error ? error.message : String(error)}`)
}

/** Which identity, and for whom it calls: for itself by default. */
export interface WhoCalls {
  readonly as: string | undefined
  readonly onBehalf?: OnBehalf
}

/** Opens the identity and brings it up to date. Survived problems are told on standard error by default. */
export async function readyIdentity(
  context: CliContext,
  who: string | WhoCalls | undefined,
  warn: Warn = warningOf(context),
): Promise<Identity> {
  const { as: name, onBehalf } = typeof who === 'object' ? who : { as: who }
  const { openLocalIdentity } = await import('../apps/local-identities.ts')
  const place = { deployment: await context.deployment(), environment: context.environment }
  const identity = await openLocalIdentity(place, name, warn, onBehalf)
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
  name: string | WhoCalls | undefined,
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
    if (isDoorwardError(error) && signInAgain.has(error.code)) throw failedCheck(error)
    throw error
  }
}

/** Nothing is wrong with the command: whoever it calls for has to sign in. */
const signInAgain: ReadonlySet<string> = new Set(['login_missing', 'login_expired', 'login_ended'])

function failedCheck({ code, message, where = '', next = 'doorward login', cause }: DoorwardError): CheckFailed {
  return new CheckFailed(code, message, { where, next, cause })
}

/** Who uses a command line sits, as a rule, beside what it calls. */
function unreachable({ code, message, where = '', got = '', next, cause }: DoorwardError): DoorwardError {
  return new DoorwardError(code, message, { where, got, next: next ?? 'check that it runs: doorward up', cause })
}
