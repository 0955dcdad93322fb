/** The credential of a server or service, as its settings say. */

import { DoorwardError } from '@doorward/core'
import type { CredentialSettings } from '../../config/secret-settings.ts'
import type { ServerCredential } from '../../transports/server-credential.ts'
import { ClientCredentials } from './client-credentials.ts'
import { headerCredential } from './header-credential.ts'
import type { KeepingParts } from './header-credential.ts'
import { TokenExchange } from './token-exchange.ts'

/** Asks nobody for anything yet. Throws `credential_kind` for people's own grants, which need more than this. */
export function openCredential(settings: CredentialSettings | null, parts: KeepingParts): ServerCredential | null {
  if (settings === null) return null
  if (settings.kind === 'client') return new ClientCredentials(settings, parts)
  if (settings.kind === 'exchange') return new TokenExchange(settings, parts)
  if (settings.kind !== 'user') return headerCredential(settings, parts)
  throw new DoorwardError('credential_kind', 'people grant nothing for this', {
    where: parts.server,
    expected: 'user_oauth at a server of streamable HTTP, beside edge',
  })
}
