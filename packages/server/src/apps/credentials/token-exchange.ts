/**
 * Access tokens for a server, each in the name of whom the call is for: exchanged at a provider (RFC 8693) for a statement of the
 * gateway's own about who calls. Nothing that a caller has shown is in it. Kept while they are good, and no longer than anybody
 * in them is.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { DoorwardError, isDoorwardError } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import type { TokenExchangeSettings } from '../../config/secret-settings.ts'
import type { CredentialFields, CredentialWish, ServerCredential } from '../../transports/server-credential.ts'
import type { UpstreamFailure } from '../../transports/server-credential.ts'
import { requestTokens, takeBack } from '../../transports/token-request.ts'
import { clientProof } from './client-proof.ts'
import { exchangedSubject } from './exchanged-subject.ts'
import type { ExchangedSubject } from './exchanged-subject.ts'
import type { UsedSecret } from './gateway-secrets.ts'
import type { KeepingParts } from './header-credential.ts'
import { HeldTokens } from './held-tokens.ts'
import type { HeldToken } from './held-tokens.ts'
import { ownFields } from './own-fields.ts'
import { signAssertion } from './signed-assertion.ts'
import { TokenPlace } from './token-place.ts'

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'
/** Where the provider does not say how long a token is good. */
const UNSAID_SECONDS = 60
const PAUSE_MILLISECONDS = 1000
/** Whoever stops or reloads waits for that. */
const TAKEN_BACK_AT_ONCE = 8
const TAKING_BACK_MILLISECONDS = 3000
/** What providers say of somebody whom they give no token for: `invalid_request` by RFC 8693 §2.2.2, the others in practice. */
const REFUSES_SUBJECT: ReadonlySet<string> = new Set(['invalid_request', 'invalid_grant', 'access_denied'])
/** About the provider or about us, whoever calls. */
const CONCERNS_ALL = /^(?:document_.*|authorization_server_invalid|client_key_invalid)$/

const monotonic = () => performance.now()

/** What is asked for, by whom, and with what. */
interface Asking {
  readonly subject: ExchangedSubject
  readonly client: UsedSecret
  readonly key: UsedSecret
  /** Another text for other secrets. */
  readonly versions: string
}

/** As the record names it; one that is still asked for has no number. */
interface TokenName {
  readonly number: number | null
  readonly name: string
}

export class TokenExchange implements ServerCredential {
  readonly #settings: TokenExchangeSettings
  readonly #parts: KeepingParts
  readonly #place: TokenPlace
  readonly #tokens = new HeldTokens<UsedSecret>(monotonic)
  /** The provider is away: nobody asks for a while. */
  #away: { readonly failure: UpstreamFailure; readonly until: number } | null = null
  #count = 0
  /** What is asked for or taken back now, which an end waits for: none of it rejects. */
  readonly #underWay = new Map<Promise<unknown>, TokenName>()
  /** The way to the server is closed: nothing is kept any more. */
  #ended = false

  constructor(settings: TokenExchangeSettings, parts: KeepingParts) {
    this.#settings = settings
    this.#parts = parts
    this.#place = new TokenPlace(settings)
    const unfollow = parts.denials.onChange(() => this.#review())
    parts.onClose(() => {
      unfollow()
      return this.#end()
    })
  }

  /** The secrets are looked up for each call, so that one who may not have them has no token by them. */
  async fields({ principal, refused }: CredentialWish): Promise<CredentialFields | UpstreamFailure> {
    const { server, secrets, known } = this.#parts
    if (principal === null) return ownFields({ own: this.#settings.own, server, secrets, known })
    if (this.#ended) return this.#gone()
    const subject = exchangedSubject(principal, this.#settings, server)
    if ('code' in subject) return subject
    const client = await secrets.use({ name: this.#settings.secret, server, principal })
    if ('code' in client) return client
    const key = await secrets.use({ name: this.#settings.assertion.secret, server, principal })
    if ('code' in key) return key
    const held = this.#tokens.find(subject.key)
    if (refused !== undefined && held?.fields === refused) {
      // A server that refuses every token does not have one asked for with every call.
      if (monotonic() - held.since < PAUSE_MILLISECONDS)
        return { code: 'credential_refused', explanation: `${server} refuses a token that was just given` }
      this.#tokens.forget(subject.key)
    }
    const versions = `${client.version} ${key.version}`
    const found = await this.#current({ subject, client, key, versions })
    if ('code' in found) return found
    known.remember(`token ${found.number}`, found.token)
    return found.fields
  }

  #current(asking: Asking): HeldToken<UsedSecret> | UpstreamFailure | Promise<HeldToken<UsedSecret> | UpstreamFailure> {
    // Ended, perhaps, since the secrets were looked up: then nothing waits for an answer any more.
    if (this.#ended) return this.#gone()
    const { subject, versions } = asking
    const held = this.#tokens.good(subject.key, versions)
    if (held !== null) return held
    if (this.#away !== null && monotonic() < this.#away.until) return this.#away.failure
    const ask = () => this.#watched(this.#ask(asking), { number: null, name: subject.name })
    return this.#tokens.once(subject.key, versions, ask) ?? this.#tooMany()
  }

  #gone(): UpstreamFailure {
    return { code: 'credential_unavailable', explanation: `${this.#parts.server} was changed or taken away meanwhile` }
  }

  #tooMany(): UpstreamFailure {
    return { code: 'credential_unavailable', explanation: `too many questions are under way at ${this.#place.name}` }
  }

  /** Never rejects. */
  async #ask(asking: Asking): Promise<HeldToken<UsedSecret> | UpstreamFailure> {
    const { subject, versions } = asking
    try {
      const held = await this.#exchanged(asking)
      if (!this.#ended && !this.#isDenied(held)) {
        this.#tokens.keep(subject.key, held)
        return held
      }
      void this.#takeBack(held)
      if (this.#ended) return this.#gone()
      return { code: 'credential_withheld', explanation: `${subject.name} was denied meanwhile` }
    } catch (error) {
      const failure = this.#failureOf(subject, error)
      const until = monotonic() + PAUSE_MILLISECONDS
      // Nobody's calls end those of others.
      if (isDoorwardError(error) && CONCERNS_ALL.test(error.code)) this.#away = { failure, until }
      else this.#tokens.fail(subject.key, { failure, versions, until })
      return failure
    }
  }

  #failureOf({ name }: ExchangedSubject, error: unknown): UpstreamFailure {
    const at = this.#place.name
    if (isDoorwardError(error, 'token_refused') && REFUSES_SUBJECT.has(error.got ?? ''))
      return { code: 'credential_withheld', explanation: `${at} gives no token for ${name}: ${error.got ?? ''}` }
    const why = isDoorwardError(error) ? `${error.code} ${error.got ?? error.expected ?? ''}`.trim() : 'it failed'
    return { code: 'credential_unavailable', explanation: `no token of ${at}: ${why}` }
  }

  async #exchanged({ subject, client, key, versions }: Asking): Promise<HeldToken<UsedSecret>> {
    const { audience, resource, scopes } = this.#settings
    const { denials, known, secrets, server } = this.#parts
    const places = await this.#place.find()
    const assertion = this.#assertion(subject, key)
    known.remember(`${client.name} ${client.version}`, client.value)
    const asked = denials.nowSeconds()
    const use = { secret: client.name, version: client.version, for: 'token', subject: subject.name }
    await secrets.recordOwnUse(server, use)
    const answer = await requestTokens(places.token, this.#client(client), {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: assertion,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      requested_token_type: ACCESS_TOKEN,
      ...(audience === null ? {} : { audience }),
      ...(resource === null ? {} : { resource }),
      ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
    })
    if (answer.issuedType !== ACCESS_TOKEN)
      throw new DoorwardError('token_answer_invalid', 'the provider gave another kind of token', {
        where: places.token.origin,
        expected: ACCESS_TOKEN,
      })
    const number = ++this.#count
    const fields: CredentialFields = {
      fields: { authorization: `Bearer ${answer.access.reveal()}` },
      use: { secret: client.name, version: client.version, token: number },
    }
    const { parties, name } = subject
    const life = answer.expiresInSeconds ?? UNSAID_SECONDS
    return this.#tokens.held({
      fields,
      number,
      token: answer.access,
      versions,
      life,
      asked,
      parties,
      name,
      used: client,
    })
  }

  /** To the provider alone, and good for a minute. */
  #assertion({ subject, act }: ExchangedSubject, key: UsedSecret): string {
    const { assertion } = this.#settings
    return signAssertion(key.value, {
      issuer: assertion.issuer,
      subject,
      audience: this.#place.name,
      keyId: assertion.keyId,
      nowSeconds: this.#parts.secrets.nowSeconds(),
      more: act === null ? {} : { act },
    })
  }

  #client({ value }: UsedSecret) {
    const { clientId, auth, keyId } = this.#settings
    const nowSeconds = this.#parts.secrets.nowSeconds()
    const proof = clientProof(value, { clientId, auth, keyId, audience: this.#place.name, nowSeconds })
    return { proof, access: this.#place.access }
  }

  #isDenied({ parties, asked }: HeldToken<UsedSecret>): boolean {
    return parties.some((party) => this.#parts.denials.isDenied(party, asked))
  }

  /** Whoever the trust state denies has no token any more, and whoever acts for them neither. */
  #review(): void {
    for (const held of this.#tokens.take((one) => this.#isDenied(one))) void this.#takeBack(held)
  }

  #watched<T>(work: Promise<T>, name: TokenName): Promise<T> {
    this.#underWay.set(work, name)
    void work.then(() => this.#underWay.delete(work))
    return work
  }

  /** What is asked for now may bring another token that goes back. */
  async #settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay.keys())
  }

  /**
   * What was kept, and what is still asked for, goes back when its server is not there any more as it was: a few at once, for a few
   * seconds. What goes on after that is on record as not told, and again with what came of it if anybody is there to write that.
   */
  async #end(): Promise<void> {
    this.#ended = true
    const left = [...this.#tokens.take(() => true)]
    const next = async (): Promise<void> => {
      for (let held = left.pop(); held !== undefined; held = left.pop()) await this.#takeBack(held)
    }
    const over = new AbortController()
    const all = Promise.all(Array.from({ length: TAKEN_BACK_AT_ONCE }, next)).then(() => this.#settled())
    const late = sleep(TAKING_BACK_MILLISECONDS, undefined, { signal: over.signal }).catch(() => undefined)
    await Promise.race([all, late])
    over.abort()
    const untold: readonly TokenName[] = [...left.splice(0), ...this.#underWay.values()]
    await Promise.all(untold.map((one) => this.#recordTakenBack(one, 'not told: it took too long')))
  }

  /** Best effort (RFC 7009): the provider is told, and whether it heard is on the record. Never rejects. */
  #takeBack(held: HeldToken<UsedSecret>): Promise<void> {
    return this.#watched(this.#tell(held), held)
  }

  async #tell(held: HeldToken<UsedSecret>): Promise<void> {
    let told = 'it has no revocation endpoint'
    try {
      const places = await this.#place.find()
      await takeBack(places, this.#client(held.used), held.token)
      if (places.revocation !== null) told = 'done'
    } catch (error) {
      told = isDoorwardError(error) ? `${error.code} ${error.got ?? ''}`.trim() : 'failed'
    }
    await this.#recordTakenBack(held, told)
  }

  async #recordTakenBack({ number, name }: TokenName, told: string): Promise<void> {
    const { server, secrets } = this.#parts
    const body: JsonObject = { token: number, subject: name, at_provider: told }
    await secrets.recordAct({ event: 'token.revoked', server, ...body }).catch(() => undefined)
  }
}
