/** A message of a legacy revision outside of any session: its server keeps none, and everything that it is judged by came with it. */

import { REVISIONS } from '@doorward/core'
import type { Classified, RequestId, Revision } from '@doorward/core'
import type { Identified } from '../identify.ts'
import { ownerOf } from '../owner.ts'
import { pendingRequest } from './call-scope.ts'
import type { CallScope, PendingRequest } from './call-scope.ts'

export interface LoneMessageParts {
  readonly server: string
  readonly identified: Identified
  readonly message: Extract<Classified, { kind: 'request' | 'notification' }>
}

export class LoneMessage implements CallScope {
  readonly server: string
  readonly owner: string
  readonly identified: Identified
  readonly revision: Revision
  /** They were said to nobody who is still there. */
  readonly clientCapabilities = undefined
  readonly handles = null
  readonly events = null
  /** Null for what is no request. */
  readonly pending: PendingRequest | null

  constructor({ server, identified, message }: LoneMessageParts) {
    const known = REVISIONS.get(message.revision)
    if (known === undefined) throw new TypeError(`expected a revision that is known, got ${message.revision}`)
    this.server = server
    this.identified = identified
    this.owner = ownerOf(identified.principal)
    this.revision = known
    this.pending = message.kind === 'request' ? pendingRequest(message, identified) : null
  }

  waits(id: RequestId): boolean {
    return this.pending?.state === 'waiting' && this.pending.id === id
  }

  answered(id: RequestId): PendingRequest | null {
    if (this.pending === null || !this.waits(id)) return null
    this.pending.state = 'answered'
    return this.pending
  }

  /** The answer to it would come outside of a session, and belong to nothing. */
  asked(): boolean {
    return false
  }

  unasked(): void {
    // Nothing has been asked.
  }

  withhold(): void {
    if (this.pending !== null) this.pending.state = 'withheld'
  }

  isWithheld(): boolean {
    return this.pending?.state === 'withheld'
  }

  settle(): void {
    throw new TypeError('a message outside of a session settles nothing')
  }
}
