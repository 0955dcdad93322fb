/**
 * A browser's way through the front: what the client asks for, the sign-in at the provider, what the person allows, and back to
 * the client with a code. Each step belongs to one browser and counts once. Where client and redirect do not belong together,
 * nothing is ever sent there (RFC 9700 §4.1.1). Where only a document says that they do, nobody is sent there before they have
 * allowed it: anybody may publish a document, and a link to us would lead wherever it says (RFC 9700 §4.11.2).
 */

import { answersAt, epochSeconds, isOwnPlace, userName } from '@doorward/core'
import type { EpochSeconds, IssuerClaims } from '@doorward/core'
import { nowSeconds } from '../context.ts'
import { endedBecause, hashOf, randomText } from './context.ts'
import type { FrontContext } from './context.ts'
import { familyOf, grantId } from './refresh-token.ts'
import { refuseFront } from './refusal.ts'
import type { FrontRefusal } from './refusal.ts'
import { answerUrl, readAsked } from './request.ts'
import type { AuthorizeProblem } from './request.ts'
import type { FrontPerson, FrontRequest } from './store.ts'

/** What a browser brings: text of its cookie by the name of the step. */
export interface FrontBrowser {
  /** Groups who asks before anybody is known. */
  readonly address: string
  /** The network that the address lies in. */
  readonly network: string
  readonly cookie: (name: string) => string | undefined
}

export type BrowserStep =
  /** `cookie` is to be set; the name of one that is spent. */
  | { readonly kind: 'go'; readonly url: URL; readonly cookie: { readonly name: string; readonly value: string } }
  | {
      readonly kind: 'ask'
      readonly token: string
      readonly request: FrontRequest
      readonly user: string
      readonly cookie: { readonly name: string; readonly value: string }
      readonly spent: string
    }
  /** Back to the client; `problem` is on the record. Without `goes` the person decides whether the browser goes there. */
  | {
      readonly kind: 'back'
      readonly url: URL
      readonly spent: string | null
      readonly problem: FrontRefusal | null
      readonly goes: boolean
    }

const PATIENCE_SECONDS = 600
const CODE_SECONDS = 60
/** Of each kind. */
const steps = { perOwner: 100, total: 10_000 }
const grants = { perOwner: 64, total: 100_000 }
const consents = { perOwner: 64, total: 100_000 }
const MAX_CLIENT_ID = 512
const HANDLE = /^[A-Za-z0-9_-]{43}$/
const NAME_LENGTH = 12

/** The name of the cookie of a step: so that several may be under way in one browser. */
function cookieName(context: FrontContext, handle: string): string {
  return hashOf(context, `name ${handle}`).slice(0, NAME_LENGTH)
}

/** Nothing of it is stored: whoever reads the store could not go on with a sign-in. */
function secretsOf(context: FrontContext, cookie: string) {
  return { nonce: hashOf(context, `nonce ${cookie}`), verifier: hashOf(context, `verifier ${cookie}`) }
}

/** `/authorize`. */
export async function beginSignIn(
  context: FrontContext,
  parameters: ReadonlyMap<string, string>,
  { address, network }: FrontBrowser,
): Promise<BrowserStep | FrontRefusal> {
  const known = await clientOf(context, parameters, network)
  if ('refused' in known) return known
  const asked = readAsked(parameters, context.settings.resources)
  // A state that is wrong is not sent back.
  if ('error' in asked) {
    const state = asked.why.startsWith('expected a state') ? null : (parameters.get('state') ?? null)
    return backWith(context, { ...known, state }, asked, early)
  }
  const unfit = context.unfit()
  const request: FrontRequest = { ...known, ...asked }
  if (unfit !== null) return backWith(context, request, { error: 'temporarily_unavailable', why: unfit }, early)
  const [handle, cookie] = [randomText(context), randomText(context)]
  const { nonce, verifier } = secretsOf(context, cookie)
  const url = await context.provider.begin({ state: handle, nonce, challenge: hashOf(context, verifier) })
  if ('ok' in url)
    return backWith(context, request, unavailable(`the provider cannot be asked: ${url.code}: ${url.message}`), early)
  const now = nowSeconds(context)
  await context.store.front.keep(
    {
      hash: hashOf(context, handle),
      browser: hashOf(context, cookie),
      owner: address,
      source: network,
      step: { kind: 'sign-in', request },
      expiresAt: epochSeconds(now + PATIENCE_SECONDS),
    },
    now,
    steps,
  )
  return { kind: 'go', url, cookie: { name: cookieName(context, handle), value: cookie } }
}

/** Client and redirect, before anything else: until both are known, nobody is answered but the browser. */
async function clientOf(
  { clients, settings }: FrontContext,
  parameters: ReadonlyMap<string, string>,
  network: string,
): Promise<Pick<FrontRequest, 'clientId' | 'clientName' | 'clientFrom' | 'redirectUri'> | FrontRefusal> {
  const clientId = parameters.get('client_id') ?? ''
  const redirectUri = parameters.get('redirect_uri') ?? ''
  if (clientId === '' || clientId.length > MAX_CLIENT_ID)
    return refuseFront('client_unknown', `expected a client_id of at most ${MAX_CLIENT_ID} characters`)
  const client = await clients.find(clientId, network)
  if (client === 'busy') return refuseFront('consent_unavailable', 'too many documents of clients are being fetched')
  if (client === null || settings.clientName(clientId) === null)
    return refuseFront('client_unknown', `no client ${JSON.stringify(clientId.slice(0, 200))}`)
  if (!answersAt(client.redirectUris, redirectUri))
    return refuseFront(
      'client_unknown',
      `${client.name} is not answered at ${JSON.stringify(redirectUri.slice(0, 200))}`,
    )
  return { clientId, clientName: client.name, clientFrom: client.from, redirectUri }
}

function unavailable(why: string): AuthorizeProblem {
  return { error: 'temporarily_unavailable', why }
}

const codes = {
  invalid_request: 'request_invalid',
  unsupported_response_type: 'request_invalid',
  invalid_scope: 'scope_unknown',
  invalid_target: 'audience_unknown',
  access_denied: 'consent_refused',
  server_error: 'login_refused',
  temporarily_unavailable: 'consent_unavailable',
} as const satisfies Readonly<Record<AuthorizeProblem['error'], string>>

type Answered = Pick<FrontRequest, 'clientName' | 'clientFrom' | 'redirectUri' | 'state'>

interface Standing {
  /** Name of a cookie that is spent. */
  readonly spent: string | null
  /** What the person has said to this client at this redirect, now or before. */
  readonly said: 'nothing' | 'no' | 'yes'
}

/** Nobody has signed in. */
const early: Standing = { spent: null, said: 'nothing' }

/** `error_description` says nothing that is not public: what is expected of such a request. */
function backWith(
  { settings }: FrontContext,
  request: Answered,
  { error, why }: AuthorizeProblem,
  { spent, said }: Standing,
): BrowserStep | FrontRefusal {
  const problem = refuseFront(codes[error], `${request.clientName}: ${why}`)
  const trusted = request.clientFrom === 'configuration'
  if (!trusted && said === 'nothing') return problem
  const told = codes[error] === 'request_invalid' || error === 'invalid_scope' || error === 'invalid_target'
  const url = answerUrl(request, settings.publicUrl, told ? { error, error_description: ascii(why) } : { error })
  return { kind: 'back', url, spent, problem, goes: trusted || said === 'yes' }
}

/** RFC 6749 appendix A.8. */
function ascii(text: string): string {
  return text.replaceAll(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, ' ').slice(0, 400)
}

/** `/callback`: what the browser brings back from the provider. */
export async function signedIn(
  context: FrontContext,
  parameters: ReadonlyMap<string, string>,
  browser: FrontBrowser,
): Promise<BrowserStep | FrontRefusal> {
  const handle = parameters.get('state') ?? ''
  const name = HANDLE.test(handle) ? cookieName(context, handle) : ''
  const cookie = name === '' ? undefined : browser.cookie(name)
  if (cookie === undefined) return refuseFront('consent_unknown', 'no sign-in of this browser has this state')
  const now = nowSeconds(context)
  const key = { kind: 'sign-in', hash: hashOf(context, handle), browser: hashOf(context, cookie) } as const
  const step = await context.store.front.take(key, now)
  if (step === null) return refuseFront('consent_unknown', 'no sign-in of this browser has this state')
  const { request } = step
  const claims = await context.provider.finish({ parameters, ...secretsOf(context, cookie) })
  if ('ok' in claims) {
    const error = errorOf(claims.code)
    const why = `the sign-in failed: ${claims.code}: ${claims.message}`
    return backWith(context, request, { error, why }, { spent: name, said: 'nothing' })
  }
  const person = personOf(claims, nowSeconds(context))
  const ended = await endedBecause(context, { request, person, epoch: context.epoch() })
  if (ended !== null)
    return backWith(context, request, { error: 'access_denied', why: ended }, { spent: name, said: 'nothing' })
  await enter(context, 'front-sign-in', { request, person })
  if (await remembered(context, request, person)) return codeFor(context, { request, person }, name)
  return ask(context, { request, person }, name)
}

function errorOf(code: string): AuthorizeProblem['error'] {
  if (code === 'access_denied') return code
  return code === 'issuer_unavailable' ? 'temporarily_unavailable' : 'server_error'
}

/** A provider whose clock is ahead would carry the sign-in past a denial that comes after it. */
function personOf({ user, strength, issuedAt }: IssuerClaims, now: EpochSeconds): FrontPerson {
  const { kind: _kind, ...named } = user
  return { user: named, ...strength, signedInAt: issuedAt < now ? issuedAt : now }
}

interface Known {
  readonly request: FrontRequest
  readonly person: FrontPerson
}

/** Who may listen at the redirect beside the client is asked about each time: its name proves nothing (RFC 8252 §8.6). */
async function remembered(context: FrontContext, request: FrontRequest, { user }: FrontPerson): Promise<boolean> {
  const { settings, store } = context
  if (settings.consentSeconds === 0 || !isOwnPlace(request.redirectUri)) return false
  const person = userName(user)
  const { clientId, redirectUri, resource, scopes } = request
  const held = await store.front.recall({ person, clientId, redirectUri, resource }, nowSeconds(context))
  if (held === null || !scopes.every((scope) => held.scopes.includes(scope))) return false
  const given = { ...grantedAs(held.grantedAt, user), request }
  return (await endedBecause(context, { ...given, epoch: held.epoch })) === null
}

/** A denial of the person or the client, and another epoch, end what they agreed to as they end what they signed in for. */
function grantedAs(signedInAt: EpochSeconds, user: FrontPerson['user']): { readonly person: FrontPerson } {
  return { person: { user, acr: null, amr: [], authTime: null, signedInAt } }
}

/** The page has a token of its own, for the browser of the page alone. */
async function ask(context: FrontContext, { request, person }: Known, spent: string): Promise<BrowserStep> {
  const [token, cookie] = [randomText(context), randomText(context)]
  const now = nowSeconds(context)
  const user = userName(person.user)
  await context.store.front.keep(
    {
      hash: hashOf(context, token),
      browser: hashOf(context, cookie),
      owner: user,
      source: user,
      step: { kind: 'consent', request, person, epoch: context.epoch() },
      expiresAt: epochSeconds(now + PATIENCE_SECONDS),
    },
    now,
    steps,
  )
  return { kind: 'ask', token, request, user, cookie: { name: cookieName(context, token), value: cookie }, spent }
}

/** `/consent`: the form, from the page that was shown to this browser. */
export async function answerConsent(
  context: FrontContext,
  form: ReadonlyMap<string, string>,
  browser: FrontBrowser,
): Promise<BrowserStep | FrontRefusal> {
  const token = form.get('token') ?? ''
  const decision = form.get('decision')
  const name = HANDLE.test(token) ? cookieName(context, token) : ''
  const cookie = name === '' ? undefined : browser.cookie(name)
  if (cookie === undefined || (decision !== 'allow' && decision !== 'deny'))
    return refuseFront('consent_unknown', 'no page of this browser waits for this answer')
  const key = { kind: 'consent', hash: hashOf(context, token), browser: hashOf(context, cookie) } as const
  const step = await context.store.front.take(key, nowSeconds(context))
  if (step?.kind !== 'consent') return refuseFront('consent_unknown', 'no page of this browser waits for this answer')
  const { request, person, epoch } = step
  await enter(context, 'front-consent', { request, person }, { decision })
  if (decision === 'deny')
    return backWith(
      context,
      request,
      { error: 'access_denied', why: 'the person has not allowed it' },
      { spent: name, said: 'no' },
    )
  const agreedAt = nowSeconds(context)
  const ended =
    (await endedBecause(context, { request, person, epoch })) ?? (await remember(context, { ...step, agreedAt }))
  if (ended !== null)
    return backWith(context, request, { error: 'access_denied', why: ended }, { spent: name, said: 'yes' })
  return codeFor(context, step, name)
}

interface Agreed extends Known {
  readonly epoch: number
  /** Before it was asked what is denied. */
  readonly agreedAt: EpochSeconds
}

/**
 * Why it is not remembered after all. A denial forgets what is there when it comes, and lapses before agreements do: what came
 * after it, on the strength of an older sign-in, is forgotten here.
 */
async function remember(context: FrontContext, { request, person, epoch, agreedAt }: Agreed): Promise<string | null> {
  const { settings, store } = context
  if (settings.consentSeconds === 0 || !isOwnPlace(request.redirectUri)) return null
  const { clientId, redirectUri, resource, scopes } = request
  const user = userName(person.user)
  const expiresAt = epochSeconds(agreedAt + settings.consentSeconds)
  const what = { person: user, clientId, redirectUri, resource, scopes }
  // Where there is no room the person is asked again.
  await store.front.remember({ ...what, epoch, grantedAt: agreedAt, expiresAt }, nowSeconds(context), consents)
  const ended = await endedBecause(context, { request, person, epoch })
  if (ended !== null) await store.front.forget(user)
  return ended
}

/** A code of one use, for whoever has the verifier. The person has allowed it. */
async function codeFor(
  context: FrontContext,
  { request, person }: Known,
  spent: string,
): Promise<BrowserStep | FrontRefusal> {
  const now = nowSeconds(context)
  const epoch = context.epoch()
  const ended = await endedBecause(context, { request, person, epoch })
  const standing = { spent, said: 'yes' } as const
  if (ended !== null) return backWith(context, request, { error: 'access_denied', why: ended }, standing)
  const code = randomText(context)
  const outcome = await context.store.front.grant(
    {
      id: grantId(context, familyOf(context, code)),
      seal: randomText(context, 16),
      request,
      person,
      epoch,
      jkt: request.jkt,
      createdAt: now,
      expiresAt: epochSeconds(now + context.settings.refreshSeconds),
    },
    { hash: hashOf(context, code), expiresAt: epochSeconds(now + CODE_SECONDS) },
    now,
    grants,
  )
  if (outcome === 'full') return backWith(context, request, unavailable('too many grants are live'), standing)
  const url = answerUrl(request, context.settings.publicUrl, { code })
  return { kind: 'back', url, spent, problem: null, goes: true }
}

async function enter(
  { log }: FrontContext,
  phase: 'front-sign-in' | 'front-consent',
  { request, person }: Known,
  more: object = {},
): Promise<void> {
  const { clientId, redirectUri, resource, scopes } = request
  const { user, acr, amr, authTime } = person
  await log.append({
    kind: 'issuance',
    body: {
      phase,
      user: userName(user),
      groups: user.groups.length,
      client: clientId,
      redirect: redirectUri,
      audience: resource,
      scope: scopes.join(' '),
      ...(acr === null ? {} : { acr }),
      ...(amr.length === 0 ? {} : { amr }),
      ...(authTime === null ? {} : { auth_time: authTime }),
      ...more,
    },
  })
}
