/** Clients of the front: those of the configuration, and those that a document at their id describes, where that is allowed. */

import { DoorwardError } from '@doorward/core'
import { clientDocumentBytes, isClientDocumentUrl, readClientDocument } from '../authority/front/client-document.ts'
import type { FrontClient, FrontClients } from '../authority/front/client.ts'
import { exchangeDocument } from '../transports/fetch-document.ts'
import type { FetchOptions } from '../transports/fetch-document.ts'

export interface FrontClientsOptions {
  readonly configured: readonly FrontClient[]
  /** How documents are fetched; null: such clients are unknown. */
  readonly documents: FetchOptions | null
  /** Milliseconds that only rise. */
  readonly monotonic: () => number
  /** Told why a document is not accepted. */
  readonly onRefused: (clientId: string, why: string) => void
}

const FRESH_MILLISECONDS = 3_600_000
/** Who comes when less is left has it looked at again, and waits for nothing. */
const EARLY_MILLISECONDS = FRESH_MILLISECONDS / 2
/** What is wrong is looked at again sooner, and not at once. */
const REFUSED_MILLISECONDS = 30_000
const MAX_HELD = 1000
/** One host cannot push out the clients of others, nor make us wait for it in every place there is. */
const MAX_HELD_OF_HOST = 16
const MAX_FETCHES = 32
const MAX_FETCHES_OF_HOST = 4
const MAX_FETCHES_FOR_NETWORK = 4

interface Held {
  readonly client: FrontClient
  readonly host: string
  readonly until: number
  /** From when on it is looked at again. */
  readonly lookAt: number
}

interface Fetching {
  readonly host: string
  readonly network: string
  readonly client: Promise<FrontClient | null>
}

export class KnownFrontClients implements FrontClients {
  readonly #options: FrontClientsOptions
  readonly #configured: ReadonlyMap<string, FrontClient>
  /** Least recently used first. */
  readonly #held = new Map<string, Held>()
  /** Until when nobody looks again. Apart, so that what is no client pushes none out. */
  readonly #refused = new Map<string, number>()
  readonly #fetching = new Map<string, Fetching>()

  constructor(options: FrontClientsOptions) {
    this.#options = options
    this.#configured = new Map(options.configured.map((client) => [client.id, client]))
  }

  async find(clientId: string, network: string): Promise<FrontClient | null | 'busy'> {
    const configured = this.#configured.get(clientId)
    if (configured !== undefined) return configured
    const { documents, monotonic } = this.#options
    if (documents === null || !isClientDocumentUrl(clientId)) return null
    const now = monotonic()
    const held = this.#held.get(clientId)
    if (held !== undefined && held.until > now) {
      this.#held.delete(clientId)
      this.#held.set(clientId, held)
      if (held.lookAt <= now && !this.#fetching.has(clientId)) this.#lookAgain(clientId, network, documents)
      return held.client
    }
    if ((this.#refused.get(clientId) ?? 0) > now) return null
    return this.#fetching.get(clientId)?.client ?? this.#begin(clientId, network, documents)
  }

  /** Where there is no place, whoever comes next does it. */
  #lookAgain(clientId: string, network: string, access: FetchOptions): void {
    const begun = this.#begin(clientId, network, access)
    if (begun !== 'busy') begun.catch((error: unknown) => this.#options.onRefused(clientId, String(error)))
  }

  /** Whoever comes while it is fetched waits for the same answer. */
  #begin(clientId: string, network: string, access: FetchOptions): Promise<FrontClient | null> | 'busy' {
    const host = new URL(clientId).hostname
    const fetching = [...this.#fetching.values()]
    const full =
      fetching.length >= MAX_FETCHES ||
      fetching.filter((one) => one.host === host).length >= MAX_FETCHES_OF_HOST ||
      fetching.filter((one) => one.network === network).length >= MAX_FETCHES_FOR_NETWORK
    if (full) return 'busy'
    const client = this.#fetch(clientId, host, access).finally(() => this.#fetching.delete(clientId))
    this.#fetching.set(clientId, { host, network, client })
    return client
  }

  async #fetch(clientId: string, host: string, access: FetchOptions): Promise<FrontClient | null> {
    const read = await documentAt(clientId, access)
    const now = this.#options.monotonic()
    const held = this.#held.get(clientId)
    // A host that is away for a moment changes nothing of what it has said within the hour; what it says now does.
    if ('why' in read && read.unavailable && held !== undefined && held.until > now) {
      this.#held.set(clientId, { ...held, lookAt: now + REFUSED_MILLISECONDS })
      return held.client
    }
    this.#held.delete(clientId)
    this.#refused.delete(clientId)
    if ('why' in read) {
      this.#options.onRefused(clientId, read.why)
      const [oldest] = this.#refused.keys()
      if (this.#refused.size >= MAX_HELD && oldest !== undefined) this.#refused.delete(oldest)
      this.#refused.set(clientId, now + REFUSED_MILLISECONDS)
      return null
    }
    this.#makeWay(host)
    const until = now + FRESH_MILLISECONDS
    this.#held.set(clientId, { client: read, host, until, lookAt: until - EARLY_MILLISECONDS })
    return read
  }

  /** The one of the host that was not asked for longest where it has as many as one may, else of all. */
  #makeWay(host: string): void {
    const ofHost = [...this.#held].filter(([, one]) => one.host === host)
    const [unused] = ofHost.length >= MAX_HELD_OF_HOST ? ofHost.map(([id]) => id) : this.#held.keys()
    const full = ofHost.length >= MAX_HELD_OF_HOST || this.#held.size >= MAX_HELD
    if (full && unused !== undefined) this.#held.delete(unused)
  }
}

interface Unread {
  readonly why: string
  /** Nothing was answered that says anything of the client. */
  readonly unavailable: boolean
}

/** No redirect is followed: the document is at its id and nowhere else. */
async function documentAt(clientId: string, access: FetchOptions): Promise<FrontClient | Unread> {
  const url = new URL(clientId)
  try {
    const { status, body } = await exchangeDocument(url, { method: 'GET', maxBytes: clientDocumentBytes }, access)
    if (status !== 200) return { why: `expected status 200, got ${status}`, unavailable: isAway(status) }
    const read = readClientDocument(clientId, body)
    return typeof read === 'string' ? { why: read, unavailable: false } : read
  } catch (error) {
    if (!(error instanceof DoorwardError)) throw error
    const { code, expected = 'it', got = '' } = error
    return { why: `${code}: expected ${expected}, got ${got}`, unavailable: code === 'document_unavailable' }
  }
}

/** Says nothing of the document. Every other status does: a host that answers 404 or 410 has withdrawn its client. */
function isAway(status: number): boolean {
  return status >= 500 || status === 429
}
