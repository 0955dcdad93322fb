/**
 * Which versions a server speaks, learned by asking it: a request of the gateway's own, of fixed bytes, on the record before
 * it is sent, never one of a caller's. What was learned is kept for a while, then asked for anew beside the calls that go on
 * with it; one question at a time.
 */

import { LEGACY_VERSIONS, MODERN_VERSIONS, readDiscovery, scanJson } from '@doorward/core'
import type { Discovered, JsonObject } from '@doorward/core'
import { deny } from '@doorward/enforcement'
import type { Denial, DenialCode, Permit, McpCall } from '@doorward/enforcement'
import { CredentialError } from './server-credential.ts'

/** What the server answered: the HTTP status, and the message that was in the body. */
export interface DiscoveryAnswer {
  readonly status: number
  /** Null when there was none. */
  readonly message: Uint8Array | null
}

export interface ServerVersionsParts {
  readonly server: string
  /** Sends the question. Rejects when there was no complete answer. */
  readonly ask: () => Promise<DiscoveryAnswer>
  /** Writes an entry about an act of the gateway's own. Rejects when it is not durable. */
  readonly recordAct: (body: JsonObject) => Promise<void>
  readonly monotonic: () => number
}

/** As much of a reply as is needed where nothing is sent. */
interface Refusable {
  readonly closed: boolean
  fail(code: DenialCode, explanation: string): void
  refuse(denial: Denial): void
}

/** Newest first; the legacy versions, of which servers say nothing here, of one that is not of the modern era. */
export type KnownVersions = readonly string[]

const KEPT_MILLISECONDS = { modern: 5 * 60_000, legacy: 60_000, failed: 5000, unasked: 0 } as const

export class ServerVersions {
  readonly #parts: ServerVersionsParts
  #known: KnownVersions | null = null
  #taskless = false
  /** Whether the newest `initialize` that reached the server opened a session; null before the first. */
  #opens: boolean | null = null
  #failure: Denial | null = null
  #freshUntil = Number.NEGATIVE_INFINITY
  #asking: Promise<KnownVersions | Denial> | null = null

  constructor(parts: ServerVersionsParts) {
    this.#parts = parts
  }

  /** What is known; null when the server has never answered. */
  get known(): KnownVersions | null {
    return this.#known
  }

  /** True once the server has said that it knows no tasks: then no task id can be anybody's. */
  get taskless(): boolean {
    return this.#taskless
  }

  /** The server has opened a session, or has refused to know of any. */
  tried(opened: boolean): void {
    this.#opens = opened
  }

  /**
   * True when GET and DELETE can mean nothing there: the server has refused the handshake of sessions, or it speaks the modern
   * era, nobody has opened a session since the start, and none is `named`. Discoveries do not tell of the legacy era.
   */
  knowsPostAlone(named: boolean): boolean {
    if (this.#opens !== null) return !this.#opens
    return !named && this.#known?.some((version) => MODERN_VERSIONS.includes(version)) === true
  }

  /** What is known, at once where something is. Denials: `upstream_unavailable`, `record_unavailable`. */
  current(): KnownVersions | Promise<KnownVersions | Denial> | Denial {
    const fresh = this.#parts.monotonic() < this.#freshUntil
    if (this.#known === null) return fresh && this.#failure !== null ? this.#failure : this.#ask()
    if (!fresh) void this.#ask()
    return this.#known
  }

  /** Has a permitted request sent by `send` where the server speaks its version; nobody translates. */
  forward(permit: Permit<McpCall>, reply: Refusable, send: () => void): void {
    const known = this.current()
    if (!(known instanceof Promise)) return forwardKnown(permit, { reply, send, known })
    known.then(
      (learned) => forwardKnown(permit, { reply, send, known: learned }),
      (error: unknown) => reply.fail('internal', `the versions of the server could not be learned: ${String(error)}`),
    )
  }

  /** The server has contradicted what is known: the next call asks again. */
  doubt(): void {
    this.#freshUntil = Number.NEGATIVE_INFINITY
  }

  #ask(): Promise<KnownVersions | Denial> {
    this.#asking ??= this.#learn().finally(() => (this.#asking = null))
    return this.#asking
  }

  async #learn(): Promise<KnownVersions | Denial> {
    const { server, ask, recordAct } = this.#parts
    try {
      await recordAct({ event: 'server.discover', server })
    } catch (error) {
      return this.#failed(deny('record_unavailable', `the question could not be recorded: ${String(error)}`))
    }
    let discovered: Discovered | null
    try {
      discovered = discoveryOf(await ask())
    } catch (error) {
      if (error instanceof CredentialError) return this.#failed(deny(error.denial, error.message), 'unasked')
      return this.#failed(deny('upstream_unavailable', `its versions are not known: ${String(error)}`))
    }
    if (discovered === null)
      return this.#failed(deny('upstream_unavailable', 'its versions are not known: it failed to say'))
    const { versions, taskless } = discovered
    const changed = versions.join() !== this.#known?.join()
    this.#known = versions
    this.#taskless = taskless
    this.#failure = null
    this.#keepFor(versions === LEGACY_VERSIONS ? 'legacy' : 'modern')
    // That it is told is for whoever reads the record: what was learned is no permission.
    if (changed) await recordAct({ event: 'server.versions', server, versions: [...versions] }).catch(() => undefined)
    return versions
  }

  #failed(denial: Denial, how: 'failed' | 'unasked' = 'failed'): KnownVersions | Denial {
    this.#failure = denial
    this.#keepFor(how)
    return this.#known ?? denial
  }

  #keepFor(what: keyof typeof KEPT_MILLISECONDS): void {
    this.#freshUntil = this.#parts.monotonic() + KEPT_MILLISECONDS[what]
  }
}

const LEGACY: Discovered = { versions: LEGACY_VERSIONS, taskless: false }

/** Null for a server that could not say: overloaded, or behind something that could not reach it. */
function discoveryOf({ status, message }: DiscoveryAnswer): Discovered | null {
  const scan = message === null ? null : scanJson(message)
  const discovered = scan?.ok === true ? readDiscovery(scan.value) : null
  if (discovered !== null) return discovered.versions.length > 0 ? discovered : LEGACY
  const silent = status === 429 || status === 502 || status === 503 || status === 504
  return silent ? null : LEGACY
}

interface Forwarded {
  readonly reply: Refusable
  readonly send: () => void
  readonly known: KnownVersions | Denial
}

function forwardKnown(permit: Permit<McpCall>, { reply, send, known }: Forwarded): void {
  if (reply.closed) return
  if ('denied' in known) return reply.refuse(known)
  const { version } = permit.admitted.authorized.classified.call.detail.scope.revision
  if (known.includes(version)) return send()
  const rpcData = { supported: known, requested: version }
  reply.refuse(deny('protocol_version', 'the server does not speak the version of the request', { rpcData }))
}
