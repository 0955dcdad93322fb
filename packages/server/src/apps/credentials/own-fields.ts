/** For what the gateway asks a server for itself, where calls go with something of people's: a secret of its own, or nothing. */

import { Secret } from '@doorward/core'
import type { CredentialFields, UpstreamFailure } from '../../transports/server-credential.ts'
import type { GatewaySecrets } from './gateway-secrets.ts'
import type { KnownValues } from './known-values.ts'

export interface OwnFieldsParts {
  /** Name of the secret; null sends nothing. */
  readonly own: string | null
  readonly server: string
  readonly secrets: GatewaySecrets
  readonly known: KnownValues
}

export async function ownFields({
  own,
  server,
  secrets,
  known,
}: OwnFieldsParts): Promise<CredentialFields | UpstreamFailure> {
  if (own === null) return { fields: {}, use: {} }
  const used = await secrets.use({ name: own, server, principal: null })
  if ('code' in used) return used
  known.remember(`${own} ${used.version}`, new Secret(used.value.reveal()))
  return { fields: { authorization: `Bearer ${used.value.reveal()}` }, use: { secret: own, version: used.version } }
}
