/** What goes wrong with an authority: it refused, or it answered something that cannot be used. */

import { DoorwardError } from '@doorward/core'

/** The authority refused (RFC 7807, RFC 8555 §6.7). */
export class AcmeRefusal extends DoorwardError {
  /** Last part of the problem's type, for example `rateLimited`; `unknown` where it has none. */
  readonly type: string
  /** The authority does not want to be asked before; null where it does not say. */
  readonly retryAfterSeconds: number | null

  constructor(parts: {
    readonly where: string
    readonly status: number
    readonly type: string
    readonly detail: string
    readonly retryAfterSeconds: number | null
  }) {
    const { where, status, type, detail, retryAfterSeconds } = parts
    super('acme_refused', 'the authority refuses', {
      where,
      got: `${status} ${type}: ${shown(detail)}`,
      next: advice[type] ?? 'see what it says; it is asked again by itself',
    })
    this.type = type
    this.retryAfterSeconds = retryAfterSeconds
  }
}

const advice: Readonly<Record<string, string>> = {
  rateLimited: 'nothing: it is asked again when the authority permits it',
  externalAccountRequired: 'name an authority that opens accounts without credentials from elsewhere',
  caa: 'let the CAA records of the name permit this authority (RFC 8659)',
  connection: 'let port 443 of the name lead to the listener',
  dns: 'let the name resolve to an address where port 443 leads to the listener',
  tls: 'let port 443 of the name lead to the listener, with TLS passed through',
  unauthorized: 'let port 443 of the name lead to the listener that asks, with TLS passed through',
}

/** An answer that the protocol does not know. */
export function unfit(where: string, expected: string, got: string): DoorwardError {
  return new DoorwardError('acme_answer', 'the authority answers something that cannot be used', {
    where,
    expected,
    got: shown(got),
    next: 'check certificate.acme.directory of the edge, or of authority.front; it is asked again by itself',
  })
}

const MOST = 300

/** Words of somebody else: short, and without anything that a terminal or log would take for more than text. */
export function shown(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, MOST)
}
