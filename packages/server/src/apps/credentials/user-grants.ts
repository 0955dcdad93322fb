/**
 * What people have granted towards servers, while it is used: refreshed before it ends, by one question for all who wait; gone
 * when the provider, an operator or the trust state takes it away. Each change is on the record; no token ever is.
 */

import { DoorwardError, isDoorwardError } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import type { TrustView } from '@doorward/enforcement'
import { randomBytes } from '@doorward/sdk'
import { grantId } from '../../secrets/grant-store.ts'
import type { Grant, GrantKey, GrantStore } from '../../secrets/grant-store.ts'
import type { UpstreamFailure } from '../../transports/server-credential.ts'
import { refreshGrant, takeBack } from '../../transports/token-request.ts'
import type { IssuedTokens } from '../../transports/token-request.ts'
import type { GrantClient } from './grant-client.ts'

export interface UserGrantsParts {
  readonly store: GrantStore
  /** Seconds since 1970. */
  readonly now: () => number
  /** Resolves when the entry is durable. */
  readonly record: (body: JsonObject) => Promise<void>
  readonly trust: { current(): Pick<TrustView, 'deniedIdentities'> | null }
  readonly onProblem: (error: unknown) => void
}

/** Why a grant is no more. */
/** Whom the operator has ceased to believe meanwhile, nobody is by their word. */
export const changedIssuer = 'the issuer was changed or taken away'

export type GrantEnd =
  | 'expired'
  | 'provider_refused'
  | 'server_refused'
  | 'person_denied'
  | 'issuer_changed'
  | 'operator'

/** An access token that ends so soon is replaced first. */
const SOON_SECONDS = 60
/** Where the provider does not say how long a token is good: until the next refresh, or until it is refused. */
const UNSAID_SECONDS = { refreshed: 3600, unrefreshed: 365 * 86_400 }

export class UserGrants {
  readonly #parts: UserGrantsParts
  /** By server; the last is the one that counts, and those before wait in case it does not come about. */
  readonly #clients = new Map<string, readonly GrantClient[]>()
  readonly #flights = new Map<string, Promise<Grant | null | UpstreamFailure>>()

  constructor(parts: UserGrantsParts) {
    this.#parts = parts
  }

  /** From now on people are asked for this server; the function takes that back. */
  register(client: GrantClient): () => void {
    const { name } = client
    this.#clients.set(name, [...(this.#clients.get(name) ?? []), client])
    return () => {
      const left = (this.#clients.get(name) ?? []).filter((one) => one !== client)
      if (left.length === 0) this.#clients.delete(name)
      else this.#clients.set(name, left)
    }
  }

  client(server: string): GrantClient | null {
    return this.#clients.get(server)?.at(-1) ?? null
  }

  hasClient(fits: (client: GrantClient) => boolean): boolean {
    return [...this.#clients.values()].some((clients) => clients.some(fits))
  }

  find(key: GrantKey): Grant | null {
    return this.#parts.store.find(key)
  }

  /** Seconds since the person consented. */
  age({ since }: Grant): number {
    return this.#parts.now() - since
  }

  list(): readonly Grant[] {
    return this.#parts.store.list()
  }

  /**
   * Tokens that are good now; null where the person has to be asked. `refused` is the version that the server has just refused:
   * it is not given again. Settles within bounded time, and never rejects.
   */
  async tokens(user: string, client: GrantClient, refused: string | null): Promise<Grant | null | UpstreamFailure> {
    const grant = this.#parts.store.find({ user, server: client.name, issuer: client.settings.issuer })
    if (grant === null) return null
    try {
      return await this.#current(grant, client, refused)
    } catch (error) {
      this.#parts.onProblem(error)
      return unavailable(client, error)
    }
  }

  async #current(grant: Grant, client: GrantClient, refused: string | null): Promise<Grant | null | UpstreamFailure> {
    const now = this.#parts.now()
    const isRefused = grant.version === refused
    if (!isRefused && grant.expires - now > SOON_SECONDS) return grant
    if (grant.refresh === null) {
      if (!isRefused && grant.expires > now) return grant
      await this.end(grant, isRefused ? 'server_refused' : 'expired')
      return null
    }
    const other = this.#flights.get(grant.id)
    if (other !== undefined) return other
    const flight = this.#refreshed(grant, client, isRefused).finally(() => this.#flights.delete(grant.id))
    this.#flights.set(grant.id, flight)
    return flight
  }

  /** New tokens are durable before anybody is given them: a refresh token that was rotated is good once. */
  async #refreshed(grant: Grant, client: GrantClient, isRefused: boolean): Promise<Grant | null | UpstreamFailure> {
    const { store, record, now } = this.#parts
    if (grant.refresh === null) return null
    let tokens: IssuedTokens
    try {
      const { server, client: own } = await client.known()
      await record({ event: 'grant.refresh', ...factsOf(grant) })
      tokens = await refreshGrant(server, own, { refresh: grant.refresh, resource: grant.resource })
    } catch (error) {
      if (isDoorwardError(error, 'token_refused') && error.got === 'invalid_grant') {
        await this.end(grant, 'provider_refused')
        return null
      }
      return !isRefused && grant.expires > now() ? grant : unavailable(client, error)
    }
    const next = { ...grant, ...this.tokensOf(tokens, grant), changed: now() }
    if (await store.replace(grant.version, next)) return next
    // Denied or revoked meanwhile: neither are these good for anything.
    await this.#takeBack({ ...next, ...(tokens.refresh === null ? { refresh: null } : {}) })
    return null
  }

  /** Of an answer, beside what was there before. */
  tokensOf(
    { access, refresh, expiresInSeconds, scopes }: IssuedTokens,
    before: Pick<Grant, 'refresh' | 'scopes'>,
  ): Pick<Grant, 'access' | 'refresh' | 'expires' | 'scopes' | 'version'> {
    const kept = refresh ?? before.refresh
    const unsaid = kept === null ? UNSAID_SECONDS.unrefreshed : UNSAID_SECONDS.refreshed
    return {
      access,
      refresh: kept,
      expires: this.#parts.now() + (expiresInSeconds ?? unsaid),
      scopes: scopes ?? before.scopes,
      version: Buffer.from(randomBytes(6)).toString('hex'),
    }
  }

  /**
   * Keeps what a person has just granted, in place of what was there. Throws `person_denied` for one who was denied after
   * `since`, when it was asked for, or by the word of an issuer that is not `believed` any more, `grants_full`, and what the
   * record throws.
   */
  async keep(
    key: GrantKey & Pick<Grant, 'resource' | 'asked'>,
    tokens: IssuedTokens,
    { since, believed }: { readonly since: number; readonly believed: () => boolean },
  ): Promise<Grant> {
    const { store, record, now } = this.#parts
    const kept = now()
    const fresh = this.tokensOf(tokens, { refresh: null, scopes: [] })
    const grant: Grant = { ...key, ...fresh, id: grantId(key), since: kept, changed: kept }
    await record({ event: 'grant.kept', ...factsOf(grant), scopes: grant.scopes.slice(0, 64) })
    await store.keep(grant)
    // Looked at last: what came while it was written found nothing to take away.
    const denied = this.isDenied(key.user, since)
    if (!denied && believed()) return grant
    await this.end(grant, denied ? 'person_denied' : 'issuer_changed')
    const why = denied ? 'the person was denied meanwhile' : changedIssuer
    throw new DoorwardError('person_denied', why, { where: key.server })
  }

  /** Whether what was given to the person by then counts no more. Denials are dated by the second: nothing is let pass for that. */
  isDenied(user: string, since: number): boolean {
    const before = this.#parts.trust.current()?.deniedIdentities.get(user)
    return before !== undefined && since <= before
  }

  /** Takes a grant from everybody, then tells the provider. Never rejects. */
  async end(grant: Grant, why: GrantEnd, by: string | null = null): Promise<boolean> {
    const { store, record, onProblem } = this.#parts
    try {
      const gone = await store.remove(grant.id, grant.version)
      if (gone === null) return false
      await record({ event: 'grant.removed', ...factsOf(gone), why, ...(by === null ? {} : { by }) })
      if (why !== 'provider_refused') void this.#takeBack(gone)
      return true
    } catch (error) {
      onProblem(error)
      return false
    }
  }

  /** Best effort: the provider is told, and whether it heard is on the record. */
  async #takeBack(grant: Grant): Promise<void> {
    const { record, onProblem } = this.#parts
    let told = 'no client of this server any more'
    try {
      const client = this.client(grant.server)
      if (client !== null && client.settings.issuer === grant.issuer) {
        const { server, client: own } = await client.known()
        for (const token of [grant.refresh, grant.access]) if (token !== null) await takeBack(server, own, token)
        told = server.revocation === null ? 'it has no revocation endpoint' : 'done'
      }
    } catch (error) {
      told = isDoorwardError(error) ? `${error.code} ${error.got ?? ''}`.trim() : 'failed'
    }
    await record({ event: 'grant.revoked', ...factsOf(grant), at_provider: told }).catch(onProblem)
  }

  /** Whoever the trust state denies loses what they granted before. Called with each state. */
  async review(): Promise<void> {
    const denied = this.list().filter(({ user, since }) => this.isDenied(user, since))
    await Promise.all(denied.map((grant) => this.end(grant, 'person_denied')))
  }

  /** For operators: one grant, or all of a person. Throws `grant_missing`. */
  async revoke(what: { readonly id: string } | { readonly user: string }, by: string): Promise<readonly JsonObject[]> {
    const found = this.list().filter((grant) => ('id' in what ? grant.id === what.id : grant.user === what.user))
    if (found.length === 0)
      throw new DoorwardError('grant_missing', 'there is no such grant', { next: 'doorward grants list' })
    const ended = await Promise.all(found.map((grant) => this.end(grant, 'operator', by)))
    return found.filter((_grant, i) => ended[i] === true).map(grantDocument)
  }
}

/** What of a grant anybody may read who reads the record. */
function factsOf({ id, user, server, issuer, version }: Grant): JsonObject {
  return { grant: id, user, server, authorization_server: issuer, version }
}

/** For operators; no token. */
export function grantDocument(grant: Grant): JsonObject {
  const { id, user, server, issuer, version, since, changed, expires, scopes, refresh } = grant
  const plain = { id, user, server, authorization_server: issuer, version, since, changed, expires }
  return { ...plain, scopes: [...scopes], refreshable: refresh !== null }
}

function unavailable({ name }: GrantClient, error: unknown): UpstreamFailure {
  const why = isDoorwardError(error) ? `${error.code}: ${error.message} ${error.got ?? ''}`.trim() : 'it failed'
  return { code: 'credential_unavailable', explanation: `the grant of the person for ${name}: ${why}` }
}
