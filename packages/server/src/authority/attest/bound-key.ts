/** A machine key that the operator registered beforehand (reference id BS-2): no secret is ever handed over. */

import { jwkThumbprint } from '@doorward/core'
import type { AuthorityContext } from '../context.ts'
import { unattested } from './attestor.ts'
import type { Attestor } from './attestor.ts'
import { isRefused, rulesOf } from './rules-of.ts'

/** The machine key has proven itself over the connection; what is judged here is whether it is one that the registration names. */
export function boundKeyAttestor({ store, sha256 }: AuthorityContext): Attestor<'bound_key'> {
  return {
    attest: async (_, { id, machineKey }) => {
      const rules = await rulesOf(store, id, 'bound_key')
      if (isRefused(rules)) return rules
      const thumbprint = jwkThumbprint(machineKey, sha256)
      if (id === null || !rules.some((rule) => rule.thumbprint === thumbprint))
        return unattested(`the machine key ${thumbprint} is not registered for ${id}`)
      return { id, kind: 'bound_key', proven: { thumbprint }, consumes: null }
    },
  }
}
