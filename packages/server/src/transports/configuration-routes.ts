/** `GET` and `POST /v1/configuration`: what a gateway goes by, and its change, for operators. */

import { deny } from '@doorward/enforcement'
import { byOf, forOperators } from './admin-caller.ts'
import type { ApiRoute } from './api-routes.ts'

export interface ConfigurationPort {
  /** Values that JSON can hold, without secrets. */
  standing(): object
  /** Reads all of it anew in the name of that caller; what became of it, or null when another reading waits already. */
  reload(by: string): Promise<object | null>
}

/**
 * `GET` tells digest, since when, and the newest reload if that failed. `POST` reads everything anew: a configuration that is
 * refused is an answer like others, for the one before goes on.
 */
export function configurationRoutes(configuration: ConfigurationPort): readonly ApiRoute[] {
  const path = '/v1/configuration'
  return [
    {
      ...forOperators,
      method: 'GET',
      path,
      body: 'none',
      handle: async () => ({ kind: 'json', status: 200, value: configuration.standing() }),
    },
    {
      ...forOperators,
      method: 'POST',
      path,
      body: 'none',
      handle: async (permit) => {
        const value = await configuration.reload(byOf(permit))
        if (value === null) return deny('conflict', 'another reading of the configuration waits already')
        return { kind: 'json', status: 200, value }
      },
    },
  ]
}
