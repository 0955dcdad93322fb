/** `GET` and `POST /v1/policy`: what decides here, and its change, for operators. */

import { deny } from '@doorward/enforcement'
import { byOf, forOperators } from './admin-caller.ts'
import type { ApiRoute } from './api-routes.ts'

export interface PolicyPort {
  /** Values that JSON can hold. */
  standing(): object
  /** Reads the policy anew in the name of that caller; what became of it, or null when another reading waits already. */
  reload(by: string): Promise<object | null>
}

/**
 * `GET` tells digest, sequence, since when, counts, warnings and the newest reload if that failed. `POST` reads the policy
 * anew: a policy that is refused is an answer like others, for the one before goes on.
 */
export function policyRoutes(policy: PolicyPort): readonly ApiRoute[] {
  const path = '/v1/policy'
  return [
    {
      ...forOperators,
      method: 'GET',
      path,
      body: 'none',
      handle: async () => ({ kind: 'json', status: 200, value: policy.standing() }),
    },
    {
      ...forOperators,
      method: 'POST',
      path,
      body: 'none',
      handle: async (permit) => {
        const value = await policy.reload(byOf(permit))
        if (value === null) return deny('conflict', 'another reading of the policy waits already')
        return { kind: 'json', status: 200, value }
      },
    },
  ]
}
