/** The credential of a server or service, as its settings say. */

import type { CredentialSettings } from '../../config/secret-settings.ts'
import type { ServerCredential } from '../../transports/server-credential.ts'
import { ClientCredentials } from './client-credentials.ts'
import { headerCredential } from './header-credential.ts'
import type { CredentialParts } from './header-credential.ts'

/** Asks nobody for anything yet. */
export function openCredential(settings: CredentialSettings | null, parts: CredentialParts): ServerCredential | null {
  if (settings === null) return null
  return settings.kind === 'client' ? new ClientCredentials(settings, parts) : headerCredential(settings, parts)
}
