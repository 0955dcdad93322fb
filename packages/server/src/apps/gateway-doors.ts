/** The listeners of a gateway that are there only where configuration asks for them: what reaches it by other rules than main. */

import type { Listener } from '@doorward/enforcement'
import { openGatewayDecisions } from './gateway-decisions.ts'
import type { GatewayDecisionsParts, RunningDecisions } from './gateway-decisions.ts'
import { openEdge } from './gateway-edge.ts'
import type { EdgeParts, RunningEdge } from './gateway-edge.ts'
import type { GatewayState } from './gateway-state.ts'

export interface GatewayDoors {
  /** For callers without a certificate; null where there is none. */
  readonly edge: RunningEdge | null
  /** For proxies that ask; null where there is none. */
  readonly decisions: RunningDecisions | null
  /** By name, those that there are. */
  readonly listeners: Readonly<Record<string, Listener>>
}

type Parts = Omit<EdgeParts & GatewayDecisionsParts, 'record' | 'material' | 'id'> & {
  readonly state: Pick<GatewayState, 'record' | 'identity'>
}

/** Opens them; what was opened is given to `stack`. Throws the codes of `openListener`. */
export async function openDoors(
  parts: Parts,
  stack: AsyncDisposableStack,
  graceMilliseconds: number,
): Promise<GatewayDoors> {
  const { record, identity } = parts.state
  const edge = await openEdge({ ...parts, record }, stack, graceMilliseconds)
  const own = { record, material: identity.material(), id: identity.id }
  const decisions = await openGatewayDecisions({ ...parts, ...own }, stack, graceMilliseconds)
  const listeners = {
    ...(edge === null ? {} : { edge: edge.listener }),
    ...(decisions === null ? {} : { decisions: decisions.listener }),
  }
  return { edge, decisions, listeners }
}
