/** One request of the modern era: it has no session, and everything that its answer is judged by came with it. */

import { REVISIONS } from '@doorward/core'
import type { ClassifiedRequest, JsonObject, RequestId, Revision } from '@doorward/core'
import type { Identified } from '../identify.ts'
import { pendingRequest } from './call-scope.ts'
import type { CallScope, PendingRequest, ScopedHandles } from './call-scope.ts'
import { ownerOf } from '../owner.ts'

export interface ModernRequestParts {
  readonly server: string
  readonly identified: Identified
  readonly message: ClassifiedRequest
  readonly handles: ScopedHandles
}

export class ModernRequest implements CallScope {
  readonly server: string
  readonly owner: string
  readonly identified: Identified
  readonly revision: Revision
  readonly clientCapabilities: JsonObject | undefined
  readonly handles: ScopedHandles
  readonly pending: PendingRequest
  /** No stream of this era is taken up again. */
  readonly events = null

  constructor({ server, identified, message, handles }: ModernRequestParts) {
    const { revision, capabilities } = message
    const known = REVISIONS.get(revision)
    if (known === undefined) throw new TypeError(`expected a revision that is known, got ${revision}`)
    this.server = server
    this.identified = identified
    this.owner = ownerOf(identified.principal)
    this.revision = known
    this.clientCapabilities = capabilities
    this.handles = handles
    this.pending = pendingRequest(message, identified)
  }

  waits(id: RequestId): boolean {
    return this.pending.state === 'waiting' && this.pending.id === id
  }

  answered(id: RequestId): PendingRequest | null {
    if (!this.waits(id)) return null
    this.pending.state = 'answered'
    return this.pending
  }

  /** Servers of this era have no requests of their own. */
  asked(): boolean {
    return false
  }

  unasked(): void {
    // Nothing has been asked.
  }

  withhold(): void {
    this.pending.state = 'withheld'
  }

  isWithheld(): boolean {
    return this.pending.state === 'withheld'
  }

  settle(): void {
    throw new TypeError('a request of the modern era settles nothing')
  }
}
