/** Approvals of one gateway, opened with it: what waited when it stopped waits on. */

import type { Clock } from '@doorward/core'
import { ApprovalDesk } from '@doorward/enforcement'
import type { ApprovalSettings } from '@doorward/enforcement'
import { aesGcmSealer, randomBytes } from '@doorward/sdk'
import { ApprovalWebhooks } from './approval-webhooks.ts'
import type { ApprovalNotices } from './approval-webhooks.ts'
import { approvalFiles } from './approval-files.ts'
import type { GatewaySettings } from './gateway-settings.ts'
import type { GatewayState } from './gateway-state.ts'
import type { LiveSettings } from './live-settings.ts'

export interface GatewayApprovalsParts {
  readonly live: LiveSettings
  readonly state: Pick<GatewayState, 'folder' | 'record' | 'witnessed' | 'identity'>
  readonly clock: Clock
  readonly warn: (code: string, text: string) => void
  readonly onProblem: (error: unknown) => void
}

/** Nobody approves. */
const noApprovals: ApprovalSettings = { groups: new Map(), waitMilliseconds: 0, expiresMilliseconds: 1 }

const noNotices: ApprovalNotices = { webhooks: new Map(), linksAt: null }

function approvalsOf({ approvals = noApprovals }: GatewaySettings): ApprovalSettings {
  return approvals
}

/** Says loudly which requests are lost. */
export async function openApprovals(parts: GatewayApprovalsParts, stack: AsyncDisposableStack): Promise<ApprovalDesk> {
  const { live, state, clock, warn, onProblem } = parts
  const store = approvalFiles(live.current.stateDir, aesGcmSealer(state.folder.key, randomBytes))
  const { requests, lost } = await store.readAll()
  if (lost.length > 0)
    warn('approvals_lost', `requests for approvals cannot be read and are gone, call again: ${lost.join(', ')}`)
  const { trust } = state.identity
  const webhooks = new ApprovalWebhooks({
    notices: () => live.current.approvalNotices ?? noNotices,
    origin: state.record.stats().origin,
    clock,
    warn,
  })
  stack.defer(() => webhooks.close())
  const desk = new ApprovalDesk(
    {
      store,
      log: state.witnessed,
      clock,
      random: randomBytes,
      settings: () => approvalsOf(live.current),
      isDenied: (id) => trust.current()?.deniedIdentities.has(id) !== false,
      onRequested: (request, links) => webhooks.tell(request, links, desk),
      onProblem,
    },
    requests,
  )
  return desk
}
