/** Where an authorization server gives tokens and takes them back: an address of the configuration, or what its metadata say. */

import type { TokenClientSettings } from '../../config/secret-settings.ts'
import { findAuthorizationServer } from '../../transports/authorization-server.ts'
import type { AuthorizationServer } from '../../transports/authorization-server.ts'
import type { FetchOptions } from '../../transports/fetch-document.ts'

export type TokenPlaces = Pick<AuthorizationServer, 'token' | 'revocation'>

/** What providers say of themselves changes with their releases. */
const KEPT_MILLISECONDS = 600_000

export class TokenPlace {
  readonly access: FetchOptions
  readonly #settings: Pick<TokenClientSettings, 'issuer' | 'tokenUrl'>
  #kept: { readonly places: Promise<TokenPlaces>; readonly until: number } | null = null

  constructor({ issuer, tokenUrl, ca, allowPrivateAddresses }: TokenClientSettings) {
    this.#settings = { issuer, tokenUrl }
    this.access = { allowPrivateAddresses, ...(ca === null ? {} : { ca }) }
  }

  /** For people to read, and for what an assertion is meant for where the issuer is known. */
  get name(): string {
    return this.#settings.issuer ?? this.#settings.tokenUrl ?? ''
  }

  /** A question that failed is asked again the next time. Throws as `findAuthorizationServer`. */
  find(): Promise<TokenPlaces> {
    const { issuer, tokenUrl } = this.#settings
    if (tokenUrl !== null) return Promise.resolve({ token: new URL(tokenUrl), revocation: null })
    const now = performance.now()
    if (this.#kept !== null && now < this.#kept.until) return this.#kept.places
    const places = findAuthorizationServer(issuer ?? '', this.access)
    const kept = { places, until: now + KEPT_MILLISECONDS }
    this.#kept = kept
    places.catch(() => {
      if (this.#kept === kept) this.#kept = null
    })
    return places
  }
}
