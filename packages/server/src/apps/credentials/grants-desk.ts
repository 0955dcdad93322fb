/** What operators do with what people have granted: see that it is there, and take it away. */

import type { GrantsPort } from '../../transports/grants-routes.ts'
import { grantDocument } from './user-grants.ts'
import type { UserGrants } from './user-grants.ts'

/** Null: the gateway keeps no grants. */
export function grantsDesk(grants: UserGrants | null): GrantsPort {
  return {
    list: async () => (grants?.list() ?? []).map(grantDocument),
    revoke: async (what, by) => (grants === null ? [] : grants.revoke(what, by)),
  }
}
