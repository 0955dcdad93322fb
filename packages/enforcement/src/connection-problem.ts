/** Whether a connection may stay open, looked at again with each trust state. */

import { standingProblem } from './certificate-standing.ts'
import { isDenial } from './denial.ts'
import type { Denial } from './denial.ts'
import type { Connection } from './inbound.ts'
import type { Pipeline } from './pipeline.ts'
import type { TrustView } from './ports.ts'

/** What the newest trust state has against the holder of a certificate; null when nothing. */
export function connectionProblem(
  { certificate, standing }: Connection,
  view: TrustView,
  { dependencies }: Pipeline,
): Denial | null {
  const now = dependencies.trust.now()
  const leaf = standing.judge(certificate, view, now, dependencies.importP256)
  return isDenial(leaf) ? leaf : standingProblem(leaf, view, now)
}
