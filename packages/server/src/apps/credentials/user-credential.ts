/** A person's own access token towards a server: for calls in their name, and for nobody else's. */

import type {
  CredentialFields,
  CredentialWish,
  ServerCredential,
  UpstreamFailure,
} from '../../transports/server-credential.ts'
import type { Consents } from './consents.ts'
import type { GrantClient } from './grant-client.ts'
import type { GatewaySecrets } from './gateway-secrets.ts'
import type { KnownValues } from './known-values.ts'
import { ownFields } from './own-fields.ts'
import type { UserGrants } from './user-grants.ts'

export interface UserCredentialParts {
  readonly client: GrantClient
  readonly grants: UserGrants
  readonly consents: Pick<Consents, 'linkFor'>
  readonly secrets: GatewaySecrets
  /** Of this server. */
  readonly known: KnownValues
}

export function userCredential(parts: UserCredentialParts): ServerCredential {
  const { client, grants, consents, secrets, known } = parts
  return {
    async fields({ principal, refused }: CredentialWish): Promise<CredentialFields | UpstreamFailure> {
      if (principal === null) return ownFields({ own: client.settings.own, server: client.name, secrets, known })
      const { subject } = principal
      if (subject.kind !== 'user')
        return { code: 'credential_user_needed', explanation: `${client.name} is called for people alone` }
      const name = `${subject.issuer}#${subject.subject}`
      const version = refused?.use['version']
      const grant = await grants.tokens(name, client, typeof version === 'string' ? version : null)
      if (grant !== null && 'code' in grant) return grant
      if (grant !== null) {
        known.remember(`${grant.id} ${grant.version}`, grant.access)
        const use = { grant: grant.id, version: grant.version }
        return { fields: { authorization: `Bearer ${grant.access.reveal()}` }, use }
      }
      const consent = consents.linkFor(subject, client.name)
      if (consent === null)
        return {
          code: 'credential_unavailable',
          explanation: `nobody of ${subject.issuer} can be asked to grant anything now`,
        }
      return { code: 'consent_needed', explanation: `${name} has granted nothing for ${client.name}`, consent }
    },
  }
}
