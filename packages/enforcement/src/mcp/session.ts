/**
 * Legacy MCP sessions: state, never authentication. An id is ours, random, and good for its owner and server alone;
 * to everybody else it does not exist (reference mcp.md §2).
 */

import { LEGACY_VERSIONS, REVISIONS, toBase64url } from '@doorward/core'
import type { JsonValue, RandomBytes, RequestId, Revision } from '@doorward/core'
import { ownerOf } from '../owner.ts'
import type { TrustView } from '../ports.ts'
import { personalWithdrawal } from '../withdrawal.ts'
import type { Identified } from '../identify.ts'
import { EventNames } from './event-names.ts'
import type { CallScope, PendingRequest } from './call-scope.ts'

export interface SessionLimits {
  /** Sessions per owner; 8 by default. The one idle for longest makes room. */
  readonly perOwner: number
  /** Sessions of the gateway; 10,000 by default. */
  readonly total: number
  /** A session without request or stream ends after this; 30 minutes by default. */
  readonly idleMilliseconds: number
  /** Requests of one session that wait for an answer, per direction; 256 by default. */
  readonly pending: number
  /** Streams of one session (GET) that are open at once; 4 by default, so that one can be resumed while it dies. */
  readonly streams: number
}

export const defaultSessionLimits: SessionLimits = {
  perOwner: 8,
  total: 10_000,
  idleMilliseconds: 30 * 60_000,
  pending: 256,
  streams: 4,
}

/** What a session does at its server's end. */
export interface SessionEnd {
  end(): void
}

/** Ids of either type without collisions: 1 and "1" are two ids. */
export function idKey(id: RequestId): string {
  return typeof id === 'number' ? `n${id}` : `s${id}`
}

/** Before the handshake ends only the methods of the newest legacy revision can be meant. */
const unsettled = legacy(LEGACY_VERSIONS[0] ?? '')

function legacy(version: string): Revision {
  const revision = REVISIONS.get(version)
  if (revision === undefined) throw new TypeError(`expected a revision that is known, got ${version}`)
  return revision
}

export class McpSession implements CallScope {
  readonly id: string
  readonly server: string
  readonly owner: string
  /** The version that `initialize` settled on; null before its result. */
  version: string | null = null
  /** `capabilities` of the client's `initialize`. */
  clientCapabilities: JsonValue | undefined
  /** The caller who opened it: the session ends with those credentials' denial, whatever its owner has shown since. */
  readonly openedBy: Identified
  /** The caller of the newest request, with roles as they are now. */
  identified: Identified
  usedAt: number
  /** Requests and streams that are open now. */
  open = 0
  /** Sessions keep the server's names apart themselves. */
  readonly handles = null
  readonly events = new EventNames()
  /** Streams of the session (GET) among them. */
  streams = 0
  readonly toServer = new Map<string, PendingRequest>()
  /** The server's requests that the client has not answered. */
  readonly toClient = new Set<string>()
  /** Requests that wait before they are forwarded, and how they cease to. */
  readonly #held = new Map<string, () => void>()
  #upstream: SessionEnd | null = null
  #ended = false
  #withholds = false
  readonly #limits: SessionLimits

  constructor(parts: { id: string; server: string; identified: Identified; now: number; limits: SessionLimits }) {
    this.id = parts.id
    this.server = parts.server
    this.owner = ownerOf(parts.identified.principal)
    this.openedBy = parts.identified
    this.identified = parts.identified
    this.usedAt = parts.now
    this.#limits = parts.limits
  }

  get ended(): boolean {
    return this.#ended
  }

  get revision(): Revision {
    return this.version === null ? unsettled : legacy(this.version)
  }

  settle(version: string): void {
    this.version = version
  }

  waits(id: RequestId): boolean {
    return this.toServer.has(idKey(id))
  }

  unasked(id: RequestId): void {
    this.toClient.delete(idKey(id))
  }

  attach(upstream: SessionEnd): void {
    if (this.#ended) upstream.end()
    else this.#upstream = upstream
  }

  /** False when the id waits already or too many do. What its caller has left makes room. */
  expect(request: PendingRequest): boolean {
    const key = idKey(request.id)
    if (this.toServer.has(key)) return false
    if (this.toServer.size >= this.#limits.pending && !this.#forgetLeft()) return false
    this.toServer.set(key, request)
    return true
  }

  #forgetLeft(): boolean {
    for (const [key, { left, state }] of this.toServer)
      if (left && state !== 'withheld') return this.toServer.delete(key)
    return false
  }

  /** True once an answer, or the session's own stream, is not allowed any more: no stream may bring it back. */
  get withholds(): boolean {
    return this.#withholds
  }

  /** The caller may have no answer to the request any more; null for the session's own stream. */
  withhold(request: PendingRequest | null): void {
    this.#withholds = true
    if (request !== null) request.state = 'withheld'
  }

  /** True for the progress token of a request of which nothing passes any more. */
  isWithheld(progressToken: RequestId): boolean {
    if (!this.#withholds) return false
    const key = idKey(progressToken)
    for (const { state, progressToken: own } of this.toServer.values())
      if (state === 'withheld' && own !== undefined && idKey(own) === key) return true
    return false
  }

  /** The caller wants no answer any more; one that comes all the same still passes while its exchange lasts. */
  /** A request waits before it is forwarded; what is returned ends that. */
  hold(id: RequestId, onCancel: () => void): () => void {
    const key = idKey(id)
    this.#held.set(key, onCancel)
    return () => {
      if (this.#held.get(key) === onCancel) this.#held.delete(key)
    }
  }

  /** Cancels a request that its server has not heard of; false when there is none. */
  cancelHeld(id: RequestId): boolean {
    const onCancel = this.#held.get(idKey(id))
    onCancel?.()
    return onCancel !== undefined
  }

  cancel(id: RequestId): void {
    const request = this.toServer.get(idKey(id))
    if (request === undefined || request.state === 'withheld') return
    request.state = 'cancelled'
    if (request.left) this.toServer.delete(idKey(id))
  }

  /** The exchange of a request that it expected is over, answered or not. */
  leave(request: PendingRequest): void {
    request.left = true
    const key = idKey(request.id)
    if (request.state === 'cancelled' && this.toServer.get(key) === request) this.toServer.delete(key)
  }

  /** The request that this id answers, which then waits no longer. */
  answered(id: RequestId): PendingRequest | null {
    const key = idKey(id)
    const request = this.toServer.get(key)
    if (request === undefined || request.state === 'withheld') return null
    request.state = 'answered'
    this.toServer.delete(key)
    return request
  }

  /** Remembers a request of the server; false when too many wait. */
  asked(id: RequestId): boolean {
    if (this.toClient.size >= this.#limits.pending) return false
    this.toClient.add(idKey(id))
    return true
  }

  /** False when the session has as many streams open as it may. */
  mayStream(): boolean {
    return this.streams < this.#limits.streams
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#upstream?.end()
    this.#upstream = null
    this.toServer.clear()
    this.toClient.clear()
  }
}

const ID_BYTES = 16

export interface SessionTableOptions {
  readonly limits: SessionLimits
  readonly random: RandomBytes
  /** Milliseconds that never go back. */
  readonly monotonic: () => number
}

export class SessionTable {
  readonly #options: SessionTableOptions
  readonly #sessions = new Map<string, McpSession>()
  readonly #owners = new Map<string, Set<McpSession>>()

  constructor(options: SessionTableOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#sessions.size
  }

  /** Streams of all sessions that are open. */
  get streams(): number {
    let open = 0
    for (const { streams } of this.#sessions.values()) open += streams
    return open
  }

  /** The owner's session of that id on that server; null for every other id, for whatever reason. */
  find(id: string, server: string, owner: string): McpSession | null {
    const session = this.#sessions.get(id)
    if (session === undefined || session.server !== server || session.owner !== owner) return null
    if (session.version === null || session.ended) return null
    return session
  }

  /** A new session that nobody can find before its version is settled; null when there is no room. */
  open(server: string, identified: Identified): McpSession | null {
    const { limits, random, monotonic } = this.#options
    const owner = ownerOf(identified.principal)
    const mine = this.#owners.get(owner) ?? new Set()
    if (mine.size >= limits.perOwner && !this.#endIdlest(mine)) return null
    if (this.#sessions.size >= limits.total && !this.#endIdlest(this.#sessions.values())) return null
    const session = new McpSession({ id: toBase64url(random(ID_BYTES)), server, identified, now: monotonic(), limits })
    this.#sessions.set(session.id, session)
    mine.add(session)
    this.#owners.set(owner, mine)
    return session
  }

  touch(session: McpSession): void {
    session.usedAt = this.#options.monotonic()
  }

  remove(session: McpSession): void {
    session.end()
    this.#sessions.delete(session.id)
    const mine = this.#owners.get(session.owner)
    mine?.delete(session)
    if (mine?.size === 0) this.#owners.delete(session.owner)
  }

  /** Ends the sessions that match; how many. */
  endWhere(which: (session: McpSession) => boolean): number {
    const ending = [...this.#sessions.values()].filter(which)
    for (const session of ending) this.remove(session)
    return ending.length
  }

  /** Ends what has been idle for too long. */
  sweep(): number {
    const oldest = this.#options.monotonic() - this.#options.limits.idleMilliseconds
    return this.endWhere((session) => session.ended || (session.open === 0 && session.usedAt < oldest))
  }

  #endIdlest(sessions: Iterable<McpSession>): boolean {
    let idlest: McpSession | null = null
    for (const session of sessions) {
      if (
        (session.ended || (session.open === 0 && session.version !== null)) &&
        (idlest === null || session.usedAt < idlest.usedAt)
      )
        idlest = session
    }
    if (idlest !== null) this.remove(idlest)
    return idlest !== null
  }
}

/**
 * True when the session's owner may not go on. Neither expiry nor the replaced keys of an authority end it: the owner comes
 * back with the next certificate, and every request is judged by what it shows.
 */
export function sessionMustEnd({ openedBy, identified }: McpSession, view: TrustView): boolean {
  return personalWithdrawal(openedBy, view) !== null || personalWithdrawal(identified, view) !== null
}
