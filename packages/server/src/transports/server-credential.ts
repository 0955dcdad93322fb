/** What the gateway proves itself with to a server: a port, and the one place where it joins a request. */

import type { JsonObject, Principal } from '@doorward/core'
import type { AskedConsent, Denial, DenialCode } from '@doorward/enforcement'
import type { Dispatcher } from 'undici'

/** A denial found after the permit. */
export type UpstreamFailure = Pick<Denial, 'code' | 'explanation'> & { readonly consent?: AskedConsent }

/** For whom a credential is wanted. */
export interface CredentialWish {
  /** Of the call; null where the gateway asks the server something for itself. */
  readonly principal: Principal | null
  /** What the server has just refused with 401: it is not given again. */
  readonly refused?: CredentialFields
}

export interface CredentialFields {
  /** Header fields, names in lower case. Written to the connection and nowhere else. */
  readonly fields: Readonly<Record<string, string>>
  /** For the record: names and versions, never a value. */
  readonly use: JsonObject
}

/**
 * One server's. `fields` settles within bounded time and never rejects: what cannot be had is a failure with one of the codes
 * `credential_unavailable`, `credential_withheld`, `credential_refused`, `credential_user_needed` and `consent_needed`, and then
 * nothing is sent. Nothing of the caller's own credentials is in the fields. Safe for concurrent use.
 */
export interface ServerCredential {
  fields(wish: CredentialWish): Promise<CredentialFields | UpstreamFailure>
  /**
   * The server has heard the request and demands more scopes (RFC 6750 §3.1): what its caller is told in place of that, or null
   * where that is the server's own answer. Settles within bounded time and never rejects.
   */
  widen?(wish: WiderWish): Promise<UpstreamFailure | null>
}

export interface WiderWish {
  readonly principal: Principal
  /** What the server has refused as too little. */
  readonly given: CredentialFields
  /** All that it asks for. */
  readonly scopes: readonly string[]
}

/** Whose request it is, and who hears what was used for it. */
export interface Sender {
  readonly principal: Principal | null
  readonly onUse: (use: JsonObject) => void
}

/** True of failures that are not the server's doing, but that of what we have for it. */
export function isOfCredential(code: DenialCode): boolean {
  return code.startsWith('credential_') || code === 'consent_needed'
}

type WithConsent = Omit<UpstreamFailure, 'consent'> & { readonly consent?: AskedConsent | null }

/** A credential that could not be had, on the way on which connections fail. */
export class CredentialError extends Error {
  override readonly name = 'CredentialError'
  readonly denial: DenialCode
  readonly consent: AskedConsent | null

  constructor({ code, explanation, consent = null }: WithConsent) {
    super(explanation)
    this.denial = code
    this.consent = consent
  }
}

export type SentRequest = Pick<Dispatcher.DispatchOptions, 'method' | 'path' | 'body'> & {
  readonly headers: Readonly<Record<string, string>>
}

type Send = (request: SentRequest, handler: Dispatcher.DispatchHandler) => void

/** A handler that says when its request is not wanted any more, and that a refused credential may be replaced by another. */
export interface CredentialedAnswer extends Dispatcher.DispatchHandler {
  /** True once its answer interests nobody: then nothing is sent. */
  readonly over: boolean
}

/** What a request was sent with; null for nothing. */
export interface Given {
  fields: CredentialFields | null
}

/** Sends requests with the credential of the server, or tells the handler why there is none. */
export class CredentialedSender {
  readonly #credential: ServerCredential | null
  readonly #send: Send

  constructor(credential: ServerCredential | null, send: Send) {
    this.#credential = credential
    this.#send = send
  }

  /** True where a request that is answered with 401 may be sent once more, with another credential. */
  get renews(): boolean {
    return this.#credential !== null
  }

  /** As `ServerCredential`; null also where nothing was given. */
  async widen(scopes: readonly string[], { principal }: Sender, { fields }: Given): Promise<UpstreamFailure | null> {
    if (fields === null || principal === null) return null
    return (await this.#credential?.widen?.({ principal, given: fields, scopes })) ?? null
  }

  /** `given` is told what the request is sent with, and by what it holds already what must not be given again. */
  dispatch(request: SentRequest, handler: CredentialedAnswer, sender: Sender, given: Given = { fields: null }): void {
    if (this.#credential === null) return this.#send(request, handler)
    const refused = given.fields
    const wish = { principal: sender.principal, ...(refused === null ? {} : { refused }) }
    this.#credential.fields(wish).then(
      (found) => this.#sendWith(found, { request, handler, sender, given }),
      (error: unknown) => fail(handler, new CredentialError({ code: 'internal', explanation: String(error) })),
    )
  }

  #sendWith(found: CredentialFields | UpstreamFailure, { request, handler, sender, given }: Sending): void {
    if ('code' in found) return fail(handler, new CredentialError(found))
    if (handler.over) return fail(handler, new Error('nobody waits'))
    given.fields = found
    if (Object.keys(found.use).length > 0) sender.onUse(found.use)
    this.#send({ ...request, headers: { ...request.headers, ...found.fields } }, handler)
  }
}

interface Sending {
  readonly request: SentRequest
  readonly handler: CredentialedAnswer
  readonly sender: Sender
  readonly given: Given
}

/** As a connection that did not come about; there is no controller yet. */
function fail(handler: Dispatcher.DispatchHandler, error: Error): void {
  handler.onResponseError?.(noController, error)
}

const noController: Dispatcher.DispatchController = {
  aborted: true,
  paused: false,
  reason: null,
  rawHeaders: null,
  rawTrailers: null,
  abort: () => undefined,
  pause: () => undefined,
  resume: () => undefined,
}
