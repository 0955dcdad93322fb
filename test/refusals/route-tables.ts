/** The routes of every API listener, read from the code's own tables. */

import { sha256 } from '@doorward/sdk'
import type { Authority } from '../../packages/server/src/authority/authority.ts'
import { adminRoutes } from '../../packages/server/src/transports/admin-api.ts'
import type { ApiRoute } from '../../packages/server/src/transports/api-routes.ts'
import { authorityRoutes } from '../../packages/server/src/transports/authority-api.ts'
import { gatewayCallerRoutes, gatewayRoutes } from '../../packages/server/src/transports/gateway-api.ts'

export type ApiName = 'authority main' | 'authority admin' | 'gateway main' | 'gateway admin'

// Only read here, never run.
const { signal: stopping } = new AbortController()
const record = { recordFolder: '', stopping }
const nobody = () => Promise.reject(new TypeError('only read here'))
const witness = { submit: nobody, ownLog: nobody, takeCosignature: nobody, takeEvidence: nobody }
const redactions = { origin: '', redact: nobody }
const policy = { standing: () => ({}), reload: () => Promise.resolve(null) }
const configuration = policy

const definitions = { standing: () => [], find: () => null, others: () => [] }
const metrics = () => Promise.resolve({ type: '', text: '' })
const verifier = { name: '', keyId: new Uint8Array(4), key: { verify: () => false } }
const receipts = { recordFolder: '', verifier, sha256, sizes: () => ({ size: 0, checkpointSize: 0 }) }

export const tables: Readonly<Record<ApiName, readonly ApiRoute[]>> = {
  'authority main': authorityRoutes({} as Authority, stopping, witness),
  'authority admin': adminRoutes({} as Authority, { ...record, policy, redactions, metrics }),
  'gateway main': gatewayCallerRoutes(receipts),
  'gateway admin': gatewayRoutes({
    ...record,
    status: () => ({}),
    policy,
    definitions,
    configuration,
    redactions,
    metrics,
    hmac: nobody,
    grants: { list: nobody, revoke: nobody },
    secrets: { list: nobody, put: nobody, rotate: nobody, remove: nobody },
    approvals: { groupsOf: () => new Set(), listFor: () => [], decide: nobody },
  }),
}

export const apiNames = Object.keys(tables) as ApiName[]

/** Every path of every API, each once. */
export const apiPaths: readonly string[] = [
  ...new Set(apiNames.flatMap((name) => tables[name].map(({ path }) => path))),
]
