/** Changes wait until the authority is fit: what it decides by a clock that is wrong could not be put right later. */

import { deny } from '@doorward/enforcement'
import type { ApiRoute } from './api-routes.ts'

/** Routes that change something are refused with `authority_unready` while there is a reason; those that only show go on. */
export function whileFit(routes: readonly ApiRoute[], unfit: () => string | null): readonly ApiRoute[] {
  return routes.map((route) => {
    if (route.method === 'GET') return route
    const handle: ApiRoute['handle'] = async (permit, exchange) => {
      const reason = unfit()
      return reason === null ? route.handle(permit, exchange) : deny('authority_unready', reason)
    }
    return { ...route, handle }
  })
}
