/** Access tokens for a server, asked for as a client of its authorization server (RFC 6749 §4.4), and kept while they are good. */

import { isDoorwardError } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import type { ClientCredentialsSettings } from '../../config/secret-settings.ts'
import { requestTokens } from '../../transports/token-request.ts'
import type { CredentialFields, CredentialWish, ServerCredential } from '../../transports/server-credential.ts'
import type { UpstreamFailure } from '../../transports/server-credential.ts'
import { clientProof } from './client-proof.ts'
import type { UsedSecret } from './gateway-secrets.ts'
import type { CredentialParts } from './header-credential.ts'
import { TokenPlace } from './token-place.ts'

interface Held {
  readonly fields: CredentialFields
  /** Of the secret that it was asked for with. */
  readonly version: string
  readonly since: number
  readonly until: number
}

interface Failure {
  readonly failure: UpstreamFailure
  readonly version: string
  readonly until: number
}

/** A token is not used in the last tenth of its life, at most half a minute. */
const LAST_SECONDS = 30
/** Where the server does not say how long it is good. */
const UNSAID_SECONDS = 60
const PAUSE_MILLISECONDS = 1000
const NONE: CredentialFields = { fields: {}, use: {} }

const monotonic = () => performance.now()

export class ClientCredentials implements ServerCredential {
  readonly #settings: ClientCredentialsSettings
  readonly #parts: CredentialParts
  readonly #place: TokenPlace
  #held: Held | null = null
  #failed: Failure | null = null
  #asking: { readonly version: string; readonly answer: Promise<Held | UpstreamFailure> } | null = null
  #count = 0

  constructor(settings: ClientCredentialsSettings, parts: CredentialParts) {
    this.#settings = settings
    this.#parts = parts
    this.#place = new TokenPlace(settings)
  }

  /** The secret is looked up for each call, so that one who may not have it has no token by it, and a new one counts at once. */
  async fields({ principal, refused }: CredentialWish): Promise<CredentialFields | UpstreamFailure> {
    const { server, secrets } = this.#parts
    const used = await secrets.use({ name: this.#settings.secret, server, principal })
    if ('code' in used) return principal === null && used.code === 'credential_withheld' ? NONE : used
    if (refused !== undefined && this.#held?.fields === refused) {
      // A server that refuses every token does not have one asked for with every call.
      if (monotonic() - this.#held.since < PAUSE_MILLISECONDS)
        return { code: 'credential_refused', explanation: `${server} refuses a token that was just given` }
      this.#held = null
    }
    const held = await this.#current(used)
    return 'code' in held ? held : held.fields
  }

  #current(used: UsedSecret): Held | UpstreamFailure | Promise<Held | UpstreamFailure> {
    const now = monotonic()
    if (this.#held?.version === used.version && now < this.#held.until) return this.#held
    if (this.#failed?.version === used.version && now < this.#failed.until) return this.#failed.failure
    if (this.#asking?.version === used.version) return this.#asking.answer
    const answer = this.#ask(used)
    const asking = { version: used.version, answer }
    this.#asking = asking
    void answer.then(() => {
      if (this.#asking === asking) this.#asking = null
    })
    return answer
  }

  /** Never rejects. */
  async #ask(used: UsedSecret): Promise<Held | UpstreamFailure> {
    const { version } = used
    try {
      const held = await this.#heldFor(used)
      this.#held = held
      this.#failed = null
      return held
    } catch (error) {
      const why = isDoorwardError(error) ? `${error.code} ${error.got ?? ''}`.trim() : 'it failed'
      const explanation = `no token of ${this.#place.name}: ${why}`
      const failure = { code: 'credential_unavailable', explanation } as const
      this.#failed = { failure, version, until: monotonic() + PAUSE_MILLISECONDS }
      return failure
    }
  }

  async #heldFor({ name, version, value }: UsedSecret): Promise<Held> {
    const { clientId, auth, keyId, scopes, resource } = this.#settings
    const { known, secrets, server } = this.#parts
    const { token: url } = await this.#place.find()
    const proof = clientProof(value, {
      clientId,
      auth,
      keyId,
      audience: this.#place.name,
      nowSeconds: secrets.nowSeconds(),
    })
    const form = {
      grant_type: 'client_credentials',
      ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
      ...(resource === null ? {} : { resource }),
    }
    known.remember(`${name} ${version}`, value)
    await secrets.recordOwnUse(server, { secret: name, version, for: 'token' })
    const { access: token, expiresInSeconds } = await requestTokens(url, { proof, access: this.#place.access }, form)
    const number = ++this.#count
    known.remember(`token ${number}`, token)
    const use: JsonObject = { secret: name, version, token: number }
    const life = expiresInSeconds ?? UNSAID_SECONDS
    const usable = life - Math.min(LAST_SECONDS, life / 10)
    const fields: CredentialFields = { fields: { authorization: `Bearer ${token.reveal()}` }, use }
    const since = monotonic()
    return { fields, version, since, until: since + usable * 1000 }
  }
}
