/** A person's own access token towards a server: for calls in their name, and for nobody else's. */

import { userName } from '@doorward/core'
import type { UserSubject } from '@doorward/core'
import type {
  CredentialFields,
  CredentialWish,
  ServerCredential,
  UpstreamFailure,
  WiderWish,
} from '../../transports/server-credential.ts'
import type { Consents } from './consents.ts'
import type { GrantClient } from './grant-client.ts'
import type { GatewaySecrets } from './gateway-secrets.ts'
import type { KnownValues } from './known-values.ts'
import { ownFields } from './own-fields.ts'
import type { Grant } from '../../secrets/grant-store.ts'
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
  const { client, grants, secrets, known } = parts
  return {
    async fields({ principal, refused }: CredentialWish): Promise<CredentialFields | UpstreamFailure> {
      if (principal === null) return ownFields({ own: client.settings.own, server: client.name, secrets, known })
      const { subject } = principal
      if (subject.kind !== 'user')
        return { code: 'credential_user_needed', explanation: `${client.name} is called for people alone` }
      const name = userName(subject)
      const version = refused?.use['version']
      const grant = await grants.tokens(name, client, typeof version === 'string' ? version : null)
      if (grant !== null && 'code' in grant) return grant
      if (grant !== null) {
        known.remember(`${grant.id} ${grant.version}`, grant.access)
        const use = { grant: grant.id, version: grant.version }
        return { fields: { authorization: `Bearer ${grant.access.reveal()}` }, use }
      }
      return asked(parts, subject, { why: `${name} has granted nothing for ${client.name}`, wider: [] })
    },

    async widen({ principal: { subject }, given, scopes }: WiderWish): Promise<UpstreamFailure | null> {
      const { stepUp, issuer } = client.settings
      if (stepUp.length === 0 || subject.kind !== 'user') return null
      const name = userName(subject)
      const grant = grants.find({ user: name, server: client.name, issuer })
      // Granted anew, or taken away, while the server thought about it: the next call finds that.
      if (grant === null || grant.version !== given.use['version']) return null
      return (
        notAskedFor(parts, grant, scopes) ?? asked(parts, subject, { why: wants(client.name, scopes), wider: scopes })
      )
    },
  }
}

/** The same is asked of a person once an hour: a server that demands what it was given would have them asked forever. */
const PAUSE_SECONDS = 3600

/** Why the person is not asked for what a server demands, or null. */
function notAskedFor(
  { client, grants }: UserCredentialParts,
  grant: Grant,
  scopes: readonly string[],
): UpstreamFailure | null {
  const { settings, name } = client
  const allowed = new Set([...(settings.scopes ?? []), ...settings.stepUp, ...grant.asked])
  if (!scopes.every((scope) => allowed.has(scope)))
    return { code: 'credential_withheld', explanation: `${wants(name, scopes)}, more than step_up allows` }
  if (grants.age(grant) >= PAUSE_SECONDS || !scopes.every((scope) => grant.asked.includes(scope))) return null
  return { code: 'credential_refused', explanation: `${wants(name, scopes)}, for which the person was just asked` }
}

function wants(server: string, scopes: readonly string[]): string {
  return `${server} wants the scopes ${scopes.join(' ')}`
}

function asked(
  { client, consents }: UserCredentialParts,
  subject: UserSubject,
  { why, wider }: { readonly why: string; readonly wider: readonly string[] },
): UpstreamFailure {
  const consent = consents.linkFor(subject, client.name, wider)
  if (consent !== null) return { code: 'consent_needed', explanation: why, consent }
  const explanation = `nobody of ${subject.issuer} can be asked to grant anything now`
  return { code: 'credential_unavailable', explanation }
}
