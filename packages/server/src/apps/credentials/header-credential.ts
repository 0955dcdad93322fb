/** A secret in a header: always the same one, or the one that the roles of a call lead to. */

import { Secret } from '@doorward/core'
import type { Principal } from '@doorward/core'
import type { CredentialSettings, HeaderForm } from '../../config/secret-settings.ts'
import type { CredentialFields, CredentialWish, ServerCredential } from '../../transports/server-credential.ts'
import type { UpstreamFailure } from '../../transports/server-credential.ts'
import type { GatewaySecrets, UsedSecret } from './gateway-secrets.ts'
import type { Denials } from './denials.ts'
import type { KnownValues } from './known-values.ts'

export type HeaderSettings = Extract<CredentialSettings, { kind: 'secret' | 'by' }>

export interface CredentialParts {
  /** Name of the server or service. */
  readonly server: string
  readonly secrets: GatewaySecrets
  /** Of this server. */
  readonly known: KnownValues
}

/** Also for what is kept in the names of callers. */
export interface KeepingParts extends CredentialParts {
  readonly denials: Denials
  /** Called once the way to the server is closed, which waits for it. */
  readonly onClose: (work: () => void | Promise<void>) => void
}

/** Nothing is sent along where the gateway asks for itself and nothing is meant for that. */
const NOTHING: CredentialFields = { fields: {}, use: {} }
/** RFC 9110 §5.5, without what is obsolete. */
const FIELD_VALUE = /^[\x21-\x7e](?:[\t\x20-\x7e]{0,16384}[\x21-\x7e])?$/

export function headerCredential(settings: HeaderSettings, parts: CredentialParts): ServerCredential {
  const choose = chooser(settings, parts.secrets)
  return {
    async fields(wish) {
      const name = choose(wish.principal)
      if (name === null && wish.principal === null) return NOTHING
      if (name === null) return withheld(`no credential of ${parts.server} is meant for this caller`)
      const fresh = wish.refused !== undefined
      const used = await parts.secrets.use({ name, server: parts.server, principal: wish.principal, fresh })
      if ('code' in used) return wish.principal === null && used.code === 'credential_withheld' ? NOTHING : used
      return fieldsOf(used, settings.form, { wish, parts })
    },
  }
}

function withheld(explanation: string): UpstreamFailure {
  return { code: 'credential_withheld', explanation }
}

function chooser(settings: HeaderSettings, secrets: GatewaySecrets): (principal: Principal | null) => string | null {
  if (settings.kind === 'secret') return () => settings.secret
  const rows = settings.by.map(({ roles, secret }) => ({ roles: roles === null ? null : new Set(roles), secret }))
  const ofAll = rows.find(({ roles }) => roles === null)?.secret ?? null
  return (principal) => {
    if (principal === null) return settings.own ?? ofAll
    return rows.find(({ roles }) => roles === null || secrets.haveRole(principal, roles))?.secret ?? null
  }
}

interface Making {
  readonly wish: CredentialWish
  readonly parts: CredentialParts
}

function fieldsOf(
  { name, version, value }: UsedSecret,
  { header, scheme }: HeaderForm,
  { wish, parts }: Making,
): CredentialFields | UpstreamFailure {
  if (wish.refused?.use['secret'] === name && wish.refused.use['version'] === version)
    return { code: 'credential_refused', explanation: `the server refuses the secret ${name}, version ${version}` }
  const text = scheme?.toLowerCase() === 'basic' ? Buffer.from(value.reveal()).toString('base64') : value.reveal()
  if (!FIELD_VALUE.test(text))
    return { code: 'credential_unavailable', explanation: `the secret ${name} has characters that no header can carry` }
  parts.known.remember(`${name} ${version}`, value)
  if (text !== value.reveal()) parts.known.remember(`${name} ${version} ${header}`, new Secret(text))
  return { fields: { [header]: scheme === null ? text : `${scheme} ${text}` }, use: { secret: name, version } }
}
