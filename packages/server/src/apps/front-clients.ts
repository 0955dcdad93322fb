/** Clients of the front: those of the configuration, and those that a document at their id describes, where that is allowed. */

import { DoorwardError } from '@doorward/core'
import { clientDocumentBytes, isClientDocumentUrl, readClientDocument } from '../authority/front/client-document.ts'
import type { FrontClient, FrontClients } from '../authority/front/client.ts'
import { exchangeDocument, ownBody } from '../transports/fetch-document.ts'
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
/** What is wrong is looked at again sooner, and not at once. */
const REFUSED_MILLISECONDS = 30_000
const MAX_HELD = 1000
const MAX_FETCHES = 16

interface Held {
  readonly client: FrontClient | null
  readonly until: number
}

export class KnownFrontClients implements FrontClients {
  readonly #options: FrontClientsOptions
  readonly #configured: ReadonlyMap<string, FrontClient>
  readonly #held = new Map<string, Held>()
  readonly #fetching = new Map<string, Promise<FrontClient | null>>()

  constructor(options: FrontClientsOptions) {
    this.#options = options
    this.#configured = new Map(options.configured.map((client) => [client.id, client]))
  }

  async find(clientId: string): Promise<FrontClient | null> {
    const configured = this.#configured.get(clientId)
    if (configured !== undefined) return configured
    if (this.#options.documents === null || !isClientDocumentUrl(clientId)) return null
    const held = this.#held.get(clientId)
    if (held !== undefined && held.until > this.#options.monotonic()) return held.client
    return this.#fetching.get(clientId) ?? this.#begin(clientId, this.#options.documents)
  }

  /** Whoever comes while it is fetched waits for the same answer; others than those are refused when too many are. */
  #begin(clientId: string, access: FetchOptions): Promise<FrontClient | null> {
    if (this.#fetching.size >= MAX_FETCHES) return Promise.resolve(null)
    const fetching = this.#fetch(clientId, access).finally(() => this.#fetching.delete(clientId))
    this.#fetching.set(clientId, fetching)
    return fetching
  }

  async #fetch(clientId: string, access: FetchOptions): Promise<FrontClient | null> {
    const read = await documentAt(clientId, access)
    const client = typeof read === 'string' ? null : read
    if (typeof read === 'string') this.#options.onRefused(clientId, read)
    const [oldest] = this.#held.keys()
    this.#held.delete(clientId)
    if (this.#held.size >= MAX_HELD && oldest !== undefined) this.#held.delete(oldest)
    const lasts = client === null ? REFUSED_MILLISECONDS : FRESH_MILLISECONDS
    this.#held.set(clientId, { client, until: this.#options.monotonic() + lasts })
    return client
  }
}

/** No redirect is followed: the document is at its id and nowhere else. */
async function documentAt(clientId: string, access: FetchOptions): Promise<FrontClient | string> {
  const url = new URL(clientId)
  try {
    const answer = await exchangeDocument(url, { method: 'GET', maxBytes: clientDocumentBytes }, access)
    return readClientDocument(clientId, ownBody(url, answer))
  } catch (error) {
    if (error instanceof DoorwardError)
      return `${error.code}: expected ${error.expected ?? 'it'}, got ${error.got ?? ''}`
    throw error
  }
}
