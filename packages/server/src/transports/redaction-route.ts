/** `POST /v1/redactions`: an operator takes away what one entry of our own log says. */

import { DoorwardError, exactObject, isText } from '@doorward/core'
import type { JsonValue } from '@doorward/core'
import { deny } from '@doorward/enforcement'
import type { Denial, Permit } from '@doorward/enforcement'
import { byOf, forOperators } from './admin-caller.ts'
import { requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRequest, ApiRoute } from './api-routes.ts'

export interface RedactionPort {
  /** Of the log. */
  readonly origin: string
  /** Resolves when the payload is gone: index of the entry that says so, and the digest that stays, in base64. */
  redact(request: { readonly index: number; readonly reason: string; readonly by: string }): Promise<{
    readonly entry: number
    readonly digest: string
  }>
}

const MAX_REASON = 200

/**
 * The body names `entry`, as answers do (`<origin>#<index>`), and a `reason`. Refuses with `resource_unknown` what is no
 * entry of this log, and with `conflict` and a `reason` in its details what no checkpoint covers yet (`entry_unsigned`), what
 * is gone already (`payload_absent`) and entries of a kind that must stay (`entry_protected`).
 */
export function redactionRoute(port: RedactionPort): ApiRoute {
  return {
    ...forOperators,
    method: 'POST',
    path: '/v1/redactions',
    body: 'json',
    handle: (permit) => redact(port, permit),
  }
}

async function redact(port: RedactionPort, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const body = exactObject(requestOf(permit).json ?? {}, ['entry', 'reason'], [])
  const index = indexIn(body?.['entry'], port.origin)
  const reason = body?.['reason']
  if (!isText(reason, MAX_REASON))
    return deny('request_invalid', `expected entry, and a reason of 1 to ${MAX_REASON} characters`)
  if (index === null) return deny('resource_unknown', `expected an entry of ${port.origin}`)
  try {
    const { entry, digest } = await port.redact({ index, reason, by: byOf(permit) })
    const redacted = `${port.origin}#${index}`
    return { kind: 'json', status: 200, value: { redacted, by_entry: `${port.origin}#${entry}`, digest } }
  } catch (error) {
    if (error instanceof DoorwardError) return refusalOf(error)
    throw error
  }
}

const conflicts: readonly string[] = ['entry_unsigned', 'payload_absent', 'entry_protected']

/** Throws what is no answer to the request. */
function refusalOf(error: DoorwardError): Denial {
  if (error.code === 'entry_unknown') return deny('resource_unknown', error.message)
  if (!conflicts.includes(error.code)) throw error
  return deny('conflict', error.message, { details: { reason: error.code } })
}

function indexIn(entry: JsonValue | undefined, origin: string): number | null {
  const digits = typeof entry === 'string' && entry.startsWith(`${origin}#`) ? entry.slice(origin.length + 1) : ''
  return /^(0|[1-9]\d{0,15})$/.test(digits) && Number.isSafeInteger(Number(digits)) ? Number(digits) : null
}
