/** What follows when a code or a refresh token comes a second time: its live tokens are denied, and operators hear what was not. */

import { isAuthorityRefusal } from '../refusal.ts'
import type { Revocations } from '../revocations.ts'

export interface DenyingTokens {
  readonly revocations: Pick<Revocations, 'revoke'>
  readonly onProblem: (error: unknown) => void
}

/** As an operator would: on record, published before it returns. All at once: one that fails keeps none of the others alive. */
export async function denyFrontTokens(
  { revocations, onProblem }: DenyingTokens,
  names: readonly string[],
  reason: string,
): Promise<readonly string[]> {
  const by = { name: 'front', id: '', serial: '' }
  const deny = async (tokenId: string): Promise<void> => {
    const revoked = await revocations.revoke({ subject: { kind: 'token', tokenId }, reason, by })
    // One that is denied already, or has ended.
    if (isAuthorityRefusal(revoked) && revoked.code !== 'conflict') throw new Error(revoked.explanation)
  }
  const outcomes = await Promise.allSettled(names.map((name) => deny(name)))
  const failed = outcomes.flatMap((one, at) =>
    one.status === 'rejected' ? [{ name: names[at] ?? '', reason: one.reason as unknown }] : [],
  )
  for (const one of failed) onProblem(one.reason)
  return failed.map(({ name }) => name)
}

/** For operators. What is left to do comes first: details are cut. */
export function reuseDetail(detail: string, undenied: readonly string[]): string {
  return undenied.length === 0
    ? `${detail}: all that came of it has ended, and its live tokens are denied`
    : `live tokens could not be denied, doorward revoke token denies each: ${undenied.join(' ')}; ${detail}, and all else that came of it has ended`
}
