/** Objects of OCSF 1.3.0 that are made from members of entries. Pure; what an entry does not say is left out. */

import { isIP } from 'node:net'
import type { JsonObject, JsonValue } from '@doorward/core'

export type Body = Readonly<Record<string, unknown>>

export function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

export function whole(value: unknown): number | undefined {
  return Number.isSafeInteger(value) ? (value as number) : undefined
}

export function object(value: unknown): Body {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Body) : {}
}

export function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : []
}

/** Without the members that are undefined. */
export function given(members: Readonly<Record<string, JsonValue | undefined>>): JsonObject {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as JsonObject
}

const otherType = 99
const userType = 1

/** `user`: a workload by its SPIFFE ID, a user by issuer and subject, or a mere name. The schema wants one even where nobody is known. */
export function userOf(name: string | undefined): JsonObject {
  if (name === undefined) return { name: 'unknown', type_id: 0 }
  if (name.startsWith('spiffe://')) return { uid: name, name, type_id: otherType, type: 'Workload' }
  return name.includes('#') ? { uid: name, name, type_id: userType } : { name, type_id: 0 }
}

/** `src_endpoint`: where it came from, as far as the entry knows. */
export function endpointOf(address: string | undefined): JsonObject {
  if (address === undefined) return { name: 'unknown' }
  return isIP(address) === 0 ? { name: address } : { ip: address }
}

/** `actor`: who acted, and for a decision by which policies. */
export function actorOf(body: Body): JsonObject {
  const subject = text(body['subject']) ?? text(body['caller'])
  const decision = text(body['decision'])
  return given({
    user: userOf(subject),
    app_uid: text(body['presenter']),
    authorizations: decision === undefined ? undefined : authorizationsOf(body, decision),
  })
}

/** `enrichments`: of a call for somebody else, everybody whom it hangs on, from who called to whom it began with, and the tokens between. */
export function delegationOf(body: Body): JsonObject[] | undefined {
  const [presenter, subject] = [text(body['presenter']), text(body['subject'])]
  if (presenter === undefined || subject === undefined || presenter === subject) return undefined
  const links = [presenter, ...texts(body['act']), subject]
  const chain = Array.isArray(body['chain']) ? { chain: body['chain'] as JsonValue } : {}
  return [{ name: 'actor.user', type: 'delegation', value: links.join(' for '), data: { links, ...chain } }]
}

/** Each policy that decided; one without a policy where none did. */
function authorizationsOf(body: Body, decision: string): JsonObject[] {
  const version = text(object(body['policy'])['digest'])
  const policies = texts(body['policies'])
  if (policies.length === 0) return [{ decision }]
  return policies.map((uid) => ({ decision, policy: given({ uid, name: uid, version }) }))
}

/** `http_request`: method and path. */
export function requestOf(body: Body): JsonObject | undefined {
  const { method, path } = object(body['request'])
  const verb = text(method)
  return verb === undefined ? undefined : given({ http_method: verb, url: given({ path: text(path) }) })
}
