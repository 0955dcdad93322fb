/** While an authority runs: operators can be invited on its machine, and whoever starts the first one hears how. */

import { isDoorwardError } from '@doorward/core'
import { openInvitations } from '../../apps/authority-invitation.ts'
import type { Invitations } from '../../apps/authority-invitation.ts'
import type { AuthorityEvent, RunningAuthority } from '../../apps/authority.ts'
import { stateFolders } from '../../config/settings.ts'
import type { Deployment } from '../../config/settings.ts'

type Report = (event: AuthorityEvent) => void

/** An authority on whose machine nobody can be invited serves all the same, and says so. */
export async function invitingHere(
  { operators }: Pick<RunningAuthority, 'operators'>,
  { stateDir }: Deployment,
  report: Report,
): Promise<Invitations | null> {
  const onProblem = (error: unknown) => report({ type: 'problem', error })
  try {
    return await openInvitations({ stateDir: stateFolders(stateDir).authority, operators, onProblem })
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error)
    const next = isDoorwardError(error) && error.next !== undefined ? `; ${error.next}` : ''
    const text = `operators cannot be invited on this machine: ${said}${next}`
    report({ type: 'warning', code: isDoorwardError(error) ? error.code : 'internal', text })
    return null
  }
}

export async function hintAtFirst(
  { operators }: Pick<RunningAuthority, 'operators'>,
  { file }: Deployment,
  report: Report,
): Promise<void> {
  try {
    if ((await operators.standing()).length > 0) return
    const command = `doorward authority invite operator/NAME --out operator.join --config ${file}`
    const text = `no operator can act yet: invite the first one, on this machine and as this user: ${command}`
    report({ type: 'warning', code: 'operator_missing', text })
  } catch (error) {
    report({ type: 'problem', error })
  }
}
