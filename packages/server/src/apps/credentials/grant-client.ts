/** The gateway as an OAuth client of the authorization server of one MCP server. */

import { DoorwardError } from '@doorward/core'
import type { Secret } from '@doorward/core'
import type { UserOAuthSettings } from '../../config/secret-settings.ts'
import { findCodeServer } from '../../transports/authorization-server.ts'
import type { CodeServer } from '../../transports/authorization-server.ts'
import type { FetchOptions } from '../../transports/fetch-document.ts'
import { findProtectedResource } from '../../transports/protected-resource.ts'
import type { ProtectedResource } from '../../transports/protected-resource.ts'
import type { OAuthClient } from '../../transports/token-request.ts'
import { fetchOptions } from '../issuers.ts'
import { publicClient, secretProof } from './client-proof.ts'
import type { GatewaySecrets } from './gateway-secrets.ts'

export interface GrantClientParts {
  /** Name of the server. */
  readonly server: string
  /** Of the server. */
  readonly url: string
  readonly settings: UserOAuthSettings
  readonly secrets: GatewaySecrets
  /** Where the edge has a document about us (Client ID Metadata Documents). */
  readonly documentUrl: string
}

export interface GrantPlan extends ProtectedResource {
  readonly server: CodeServer
  readonly client: OAuthClient
}

/** What providers say of themselves changes with their releases. */
const KEPT_MILLISECONDS = 300_000

interface Kept {
  readonly until: number
  readonly found: Promise<CodeServer>
}

export class GrantClient {
  readonly #parts: GrantClientParts
  #kept: Kept | null = null

  constructor(parts: GrantClientParts) {
    this.#parts = parts
  }

  get name(): string {
    return this.#parts.server
  }

  get settings(): UserOAuthSettings {
    return this.#parts.settings
  }

  /** The authorization server, and us as its client. Throws as `findCodeServer`, and `secret_unavailable`. */
  async known(): Promise<Pick<GrantPlan, 'server' | 'client'>> {
    const access = await fetchOptions(this.#parts.settings.access)
    const [server, secret] = await Promise.all([this.#server(access), this.#secret()])
    const clientId = this.#clientIdAt(server)
    const proof = secret === null ? publicClient(clientId) : secretProof(secret, clientId, server.auth)
    return { server, client: { clientId, proof, access } }
  }

  /** All that a consent needs: what the server itself says of its tokens is asked for now. Throws as `findProtectedResource`. */
  async plan(): Promise<GrantPlan> {
    const { url, settings } = this.#parts
    const known = await this.known()
    const { access } = known.client
    const found =
      settings.resource === null
        ? await findProtectedResource(url, settings.issuer, access)
        : { resource: settings.resource, scopes: [] }
    return { ...known, ...found, scopes: settings.scopes ?? found.scopes }
  }

  /** Nobody has registered us where our id is a document: who cannot read that does not know us. */
  #clientIdAt({ clientDocuments, issuer }: CodeServer): string {
    const { settings, documentUrl } = this.#parts
    if (settings.clientId !== null) return settings.clientId
    if (clientDocuments) return documentUrl
    throw new DoorwardError('authorization_server_invalid', 'the authorization server reads no documents of clients', {
      where: issuer,
      expected: 'client_id_metadata_document_supported: true',
      next: 'register a client there, and name its client_id in place of client_document',
    })
  }

  /** A question that failed is asked again the next time. */
  #server(access: FetchOptions): Promise<CodeServer> {
    const now = performance.now()
    if (this.#kept !== null && now < this.#kept.until) return this.#kept.found
    const found = findCodeServer(this.#parts.settings.issuer, access)
    const kept = { until: now + KEPT_MILLISECONDS, found }
    this.#kept = kept
    found.catch(() => {
      if (this.#kept === kept) this.#kept = null
    })
    return found
  }

  async #secret(): Promise<Secret | null> {
    const { settings, secrets, server } = this.#parts
    if (settings.clientSecret === null) return null
    const used = await secrets.use({ name: settings.clientSecret, server, principal: null })
    if (!('code' in used)) return used.value
    throw new DoorwardError('secret_unavailable', 'the secret of the client cannot be had now', {
      where: `servers.${server}.credential.user_oauth.client_secret`,
      got: used.explanation,
    })
  }
}
