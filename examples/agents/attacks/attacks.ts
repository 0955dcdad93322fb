/** All attacks, in the order in which they are shown. */

import type { Attack } from './attack.ts'
import { gatewayExchanges, gatewayReplaysToken } from './compromised-gateway.ts'
import { forgedHeader, gatewayAsserts } from './forged-header.ts'
import { lateralMove } from './lateral-move.ts'
import { replay } from './replay.ts'
import { stolenCertificate } from './stolen-certificate.ts'
import { stolenToken } from './stolen-token.ts'
import { widenedDelegation } from './widened-delegation.ts'

export const attacks: readonly Attack[] = [
  stolenToken,
  stolenCertificate,
  replay,
  lateralMove,
  widenedDelegation,
  forgedHeader,
  gatewayReplaysToken,
  gatewayExchanges,
  gatewayAsserts,
]
