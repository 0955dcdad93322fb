/** To whom belongs what outlasts one call: sessions, handles, tasks. */

import { principalName } from '@doorward/core'
import type { Principal } from '@doorward/core'

/** On whose behalf and by whom: the whole of it. */
export function ownerOf(principal: Principal): string {
  return principalName(principal)
}
