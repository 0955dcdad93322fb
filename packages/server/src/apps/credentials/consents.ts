/**
 * Consents under way: a link that is good once, a sign-in that shows that the person in the browser is the person of the call,
 * and then the authorization server of the MCP server. Each step is bound to the browser of the step before, and none can be
 * taken twice.
 */

import { createHash, timingSafeEqual } from 'node:crypto'
import { epochSeconds, isDoorwardError, Secret, userName } from '@doorward/core'
import type { JsonObject, UserSubject } from '@doorward/core'
import { randomBytes } from '@doorward/sdk'
import { verifyIdToken } from '../../issuers/id-token.ts'
import { clientPath } from '../../transports/consent-pages.ts'
import type { ConsentAnswer, ConsentPort, ConsentProblem, ConsentStep } from '../../transports/consent-pages.ts'
import type { ConsentView } from '../../transports/consent-pages.ts'
import { findProvider, redeemCode } from '../../transports/sign-in-provider.ts'
import type { ProviderPlaces } from '../../transports/sign-in-provider.ts'
import { redeemGrant } from '../../transports/token-request.ts'
import type { GrantPlan } from './grant-client.ts'
import type { SignInIssuer } from './sign-in-issuers.ts'
import { changedIssuer } from './user-grants.ts'
import type { UserGrants } from './user-grants.ts'

export interface ConsentsParts {
  readonly grants: UserGrants
  /** By the text of `iss`. */
  readonly issuers: ReadonlyMap<string, SignInIssuer>
  /** Origin by which browsers reach us, without trailing slash. */
  readonly publicUrl: string
  /** Seconds since 1970. */
  readonly now: () => number
  readonly record: (body: JsonObject) => Promise<void>
  readonly onProblem: (error: unknown) => void
}

export interface ConsentLink {
  readonly url: string
  /** Seconds since 1970. */
  readonly expires: number
}

interface Asked {
  readonly id: string
  readonly user: string
  readonly issuer: string
  readonly server: string
  /** Scopes that the server demands beside those that are asked for anyway. */
  readonly wider: readonly string[]
  /** When the person asked, and until when this counts. */
  readonly since: number
  readonly expires: number
}

/** A browser is away at a provider. */
interface Begun extends Asked {
  readonly cookie: string
  /** By what the issuer was believed when this began; with another text it is another issuer. */
  readonly believed: string
  /** SHA-256 of what the browser has in its cookie. */
  readonly browser: Uint8Array
  readonly verifier: Secret
  readonly at:
    | { readonly stage: 'sign-in'; readonly nonce: string; readonly places: ProviderPlaces; readonly by: SignInIssuer }
    | { readonly stage: 'grant'; readonly plan: GrantPlan }
}

const LINK_SECONDS = 600
const MAX_ASKED = 1000
const MAX_SHOWN = 200

export const signedInPath = '/consent/signed-in'
export const callbackPath = '/consent/callback'

export class Consents implements ConsentPort {
  readonly #parts: ConsentsParts
  /** By id; those nobody has begun. */
  readonly #asked = new Map<string, Asked>()
  /** By `state`. */
  readonly #begun = new Map<string, Begun>()
  #issuers: ConsentsParts['issuers']

  constructor(parts: ConsentsParts) {
    this.#parts = parts
    this.#issuers = parts.issuers
  }

  /** From now on people show by these who they are. What was begun with one that is not the same has ended. */
  take(issuers: ConsentsParts['issuers']): void {
    const before = this.#issuers
    this.#issuers = issuers
    const isOther = (issuer: string) => issuers.get(issuer)?.text !== before.get(issuer)?.text
    for (const [id, { issuer }] of this.#asked) if (isOther(issuer)) this.#asked.delete(id)
    for (const [state, { issuer }] of this.#begun) if (isOther(issuer)) this.#begun.delete(state)
  }

  /** The link for a person and a server, the same until somebody begins; null where there can be none now. */
  linkFor(user: UserSubject, server: string, wider: readonly string[] = []): ConsentLink | null {
    if (!this.#issuers.has(user.issuer)) return null
    this.#forget()
    const name = userName(user)
    const known = [...this.#asked.values()].find((one) => one.user === name && one.server === server)
    if (known !== undefined) {
      this.#asked.set(known.id, { ...known, wider: [...new Set([...known.wider, ...wider])] })
      return this.#linkOf(known)
    }
    if (this.#asked.size >= MAX_ASKED) return null
    const since = this.#parts.now()
    const expires = since + LINK_SECONDS
    const asked = { id: randomText(), user: name, issuer: user.issuer, server, wider, since, expires }
    this.#asked.set(asked.id, asked)
    return this.#linkOf(asked)
  }

  #linkOf({ id, expires }: Asked): ConsentLink {
    return { url: `${this.#parts.publicUrl}/consent/${id}`, expires }
  }

  view(id: string): ConsentView | null {
    this.#forget()
    const asked = this.#asked.get(id)
    const client = asked === undefined ? null : this.#parts.grants.client(asked.server)
    return asked === undefined || client === null
      ? null
      : { server: asked.server, at: new URL(client.settings.issuer).host, wider: asked.wider }
  }

  clientDocument(): JsonObject | null {
    const { grants, publicUrl } = this.#parts
    if (!grants.hasClient(({ settings }) => settings.clientId === null)) return null
    return {
      client_id: `${publicUrl}${clientPath}`,
      client_name: `Doorward at ${new URL(publicUrl).host}`,
      redirect_uris: [`${publicUrl}${callbackPath}`],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    }
  }

  /** The first browser that begins is the one that goes on. */
  async begin(id: string): Promise<ConsentStep> {
    this.#forget()
    const asked = this.#asked.get(id)
    const by = asked === undefined ? undefined : this.#issuers.get(asked.issuer)
    if (asked === undefined || by === undefined) return failed('consent_unknown', 'no such link, or it was used')
    let places: ProviderPlaces
    try {
      places = await findProvider(by.issuer.issuer, by.client.access)
    } catch (error) {
      return this.#unavailable(error)
    }
    // It may have been widened, used, or ended meanwhile.
    const now = this.#asked.get(id)
    if (now === undefined || !this.#isBelieved(now.issuer, by.text))
      return failed('consent_unknown', 'the link was used or ended meanwhile')
    this.#asked.delete(id)
    this.#forgetBegun(now)
    const [value, nonce] = [randomText(), randomText()]
    const cookie = `__Host-doorward-consent-${randomText().slice(0, 12)}`
    const expires = this.#parts.now() + LINK_SECONDS
    const begun = {
      ...now,
      expires,
      cookie,
      believed: by.text,
      browser: digestOf(value),
      at: { stage: 'sign-in', nonce, places, by },
    } as const
    const url = this.#away(places.authorization, signedInPath, begun, {
      client_id: by.client.clientId,
      scope: 'openid',
      nonce,
    })
    return { kind: 'go', url, cookie: { name: cookie, value } }
  }

  /** The browser comes back from the sign-in: on it goes, if it is the person. */
  async signedIn(answer: ConsentAnswer): Promise<ConsentStep> {
    const begun = this.#take(answer)
    if (begun?.at.stage !== 'sign-in') return failed('consent_refused', 'no sign-in of this browser is under way')
    const { nonce, places, by } = begun.at
    const code = codeIn(answer, places)
    if (typeof code !== 'string') return this.#refused(begun, code)
    try {
      const grant = {
        code: new Secret(code),
        redirectUri: `${this.#parts.publicUrl}${signedInPath}`,
        verifier: begun.verifier,
      }
      const idToken = await redeemCode(places, by.client, grant)
      const { clientId } = by.client
      const use = { clientId, nonce, mayLackNonce: false, maxAgeSeconds: null, now: epochSeconds(this.#parts.now()) }
      const claims = await verifyIdToken(by.issuer, idToken.reveal(), use)
      if ('ok' in claims) return await this.#refused(begun, { problem: 'consent_refused', why: claims.code })
      const person = userName(claims.user)
      if (person !== begun.user) return await this.#refused(begun, { problem: 'other_person', why: `it was ${person}` })
      if (!this.#isBelieved(begun.issuer, begun.believed)) return await this.#refused(begun, unbelieved)
      return await this.#askForGrant(begun)
    } catch (error) {
      return this.#unavailable(error)
    }
  }

  async #askForGrant(begun: Begun): Promise<ConsentStep> {
    const client = this.#parts.grants.client(begun.server)
    if (client === null) return failed('consent_unknown', 'the server is not there any more')
    const plan = this.#widened(await client.plan(), begun, client.settings.stepUp)
    // Nothing of it is under way while the plan is made, which a change of issuers would end.
    if (!this.#isBelieved(begun.issuer, begun.believed)) return this.#refused(begun, unbelieved)
    const { scopes, resource, server } = plan
    const url = this.#away(
      server.authorization,
      callbackPath,
      { ...begun, at: { stage: 'grant', plan } },
      {
        client_id: plan.client.clientId,
        resource,
        ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
      },
    )
    return { kind: 'go', url, cookie: null }
  }

  #isBelieved(issuer: string, text: string): boolean {
    return this.#issuers.get(issuer)?.text === text
  }

  /** With what the server demands now and what the person was asked for before, within what configuration allows. */
  #widened(plan: GrantPlan, { user, server, wider }: Begun, stepUp: readonly string[]): GrantPlan {
    const before = this.#parts.grants.find({ user, server, issuer: plan.server.issuer })?.asked ?? []
    const more = [...wider, ...before].filter((scope) => stepUp.includes(scope))
    return { ...plan, scopes: [...new Set([...plan.scopes, ...more])] }
  }

  /** The browser comes back with the grant. */
  async granted(answer: ConsentAnswer): Promise<ConsentStep> {
    const begun = this.#take(answer)
    if (begun?.at.stage !== 'grant') return failed('consent_refused', 'no consent of this browser is under way')
    const { server, client, resource, scopes } = begun.at.plan
    const code = codeIn(answer, server)
    if (typeof code !== 'string') return this.#refused(begun, code)
    try {
      const redirectUri = `${this.#parts.publicUrl}${callbackPath}`
      const tokens = await redeemGrant(server, client, {
        code: new Secret(code),
        redirectUri,
        verifier: begun.verifier,
        resource,
      })
      const key = { user: begun.user, server: begun.server, issuer: server.issuer, resource }
      const grant = { ...key, asked: scopes }
      const believed = () => this.#isBelieved(begun.issuer, begun.believed)
      const given = { ...tokens, scopes: tokens.scopes ?? scopes }
      await this.#parts.grants.keep(grant, given, { since: begun.since, believed })
      return { kind: 'done', server: begun.server, cookie: begun.cookie }
    } catch (error) {
      return this.#unavailable(error)
    }
  }

  /** To a provider and back: with a state and a verifier that are good for this step alone. */
  #away(place: URL, path: string, begun: Omit<Begun, 'verifier'>, parameters: Readonly<Record<string, string>>): URL {
    const [state, verifier] = [randomText(), randomText()]
    const asked = {
      ...parameters,
      response_type: 'code',
      redirect_uri: `${this.#parts.publicUrl}${path}`,
      state,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    }
    const url = new URL(place)
    for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value)
    this.#begun.set(state, { ...begun, verifier: new Secret(verifier) })
    return url
  }

  /** What the state stands for, once, and for the browser that it was given to. */
  #take({ parameters, cookies }: ConsentAnswer): Begun | null {
    this.#forget()
    const state = parameters.get('state') ?? ''
    const begun = this.#begun.get(state)
    if (begun === undefined) return null
    const shown = digestOf(cookies.get(begun.cookie) ?? '')
    // Whoever has only seen the state does not end the consent of somebody else.
    if (!timingSafeEqual(shown, begun.browser)) return null
    this.#begun.delete(state)
    return begun
  }

  async #refused(begun: Begun, { problem, why }: Refused): Promise<ConsentStep> {
    const { user, server } = begun
    await this.#parts.record({ event: 'grant.refused', user, server, code: problem, why: why.slice(0, MAX_SHOWN) })
    return { ...failed(problem, why), cookie: begun.cookie }
  }

  #unavailable(error: unknown): ConsentStep {
    if (isDoorwardError(error, 'person_denied')) return failed('consent_refused', error.message)
    if (!isDoorwardError(error)) this.#parts.onProblem(error)
    const why = isDoorwardError(error) ? `${error.code}: ${error.message} ${error.got ?? ''}` : 'it failed'
    return failed('consent_unavailable', why.slice(0, MAX_SHOWN * 2))
  }

  #forget(): void {
    const now = this.#parts.now()
    for (const [id, { expires }] of this.#asked) if (expires <= now) this.#asked.delete(id)
    for (const [state, { expires }] of this.#begun) if (expires <= now) this.#begun.delete(state)
  }

  /** One of each person and server is under way. */
  #forgetBegun({ user, server }: Asked): void {
    for (const [state, one] of this.#begun) if (one.user === user && one.server === server) this.#begun.delete(state)
    if (this.#begun.size < MAX_ASKED) return
    const [oldest] = this.#begun.keys()
    if (oldest !== undefined) this.#begun.delete(oldest)
  }
}

interface Refused {
  readonly problem: ConsentProblem
  readonly why: string
}

const unbelieved: Refused = { problem: 'consent_refused', why: changedIssuer }

/** Another issuer's answer to our request is a mix-up (RFC 9207 §2.4). */
function codeIn(
  { parameters }: ConsentAnswer,
  { issuer, namesIssuer }: { readonly issuer: string; readonly namesIssuer: boolean },
): string | Refused {
  const iss = parameters.get('iss')
  if (iss === undefined ? namesIssuer : iss !== issuer)
    return { problem: 'consent_refused', why: `expected an answer of ${issuer}, got ${iss ?? 'one without iss'}` }
  const error = parameters.get('error')
  if (error !== undefined)
    return { problem: 'consent_refused', why: `the provider said ${error.replaceAll(/[^a-z_]/g, '')}` }
  const code = parameters.get('code')
  return code === undefined || code === '' ? { problem: 'consent_refused', why: 'an answer without code' } : code
}

function failed(problem: ConsentProblem, why: string): ConsentStep & { readonly kind: 'failed' } {
  return { kind: 'failed', problem, why, cookie: null }
}

function randomText(): string {
  return Buffer.from(randomBytes(32)).toString('base64url')
}

function digestOf(text: string): Uint8Array {
  return createHash('sha256').update(text).digest()
}
