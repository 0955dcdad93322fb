/**
 * The pages on which a person grants the gateway something: plain forms without script. A page that is only looked at, or
 * fetched ahead, changes nothing; what comes back from providers counts once, in the browser that went there.
 */

import type { JsonObject } from '@doorward/core'
import { denialRow, deny, limitArrival, send } from '@doorward/enforcement'
import type { AnswerHeaders, Denial, DenialCode, Exchange, Inbound, Pipeline } from '@doorward/enforcement'

export type ConsentProblem = 'consent_unknown' | 'consent_refused' | 'other_person' | 'consent_unavailable'

/** What a browser brings back from a provider. */
export interface ConsentAnswer {
  readonly parameters: ReadonlyMap<string, string>
  readonly cookies: ReadonlyMap<string, string>
}

export type ConsentStep =
  | {
      readonly kind: 'go'
      readonly url: URL
      readonly cookie: { readonly name: string; readonly value: string } | null
    }
  /** `cookie` is of no use any more. */
  | { readonly kind: 'done'; readonly server: string; readonly cookie: string }
  | { readonly kind: 'failed'; readonly problem: ConsentProblem; readonly why: string; readonly cookie: string | null }

export interface ConsentView {
  readonly server: string
  /** Host of the authorization server. */
  readonly at: string
  /** What is asked for beyond what the person was asked for before. */
  readonly wider: readonly string[]
}

/** No step rejects for what a browser or a provider does. */
export interface ConsentPort {
  /** What a link is about; null for none. Changes nothing. */
  view(id: string): ConsentView | null
  /** What authorization servers may read about us; null where none is to. */
  clientDocument(): JsonObject | null
  begin(id: string): Promise<ConsentStep>
  signedIn(answer: ConsentAnswer): Promise<ConsentStep>
  granted(answer: ConsentAnswer): Promise<ConsentStep>
}

export interface ConsentPagesOptions {
  readonly pipeline: Pipeline
  /** Origin, without trailing slash. */
  readonly publicUrl: string
  readonly consents: ConsentPort
}

const PREFIX = '/consent/'
/** A client is known by the URL of what it says about itself (Client ID Metadata Documents). */
export const clientPath = '/consent/client'
const CLIENT_SECONDS = 300
const LINK = /^\/consent\/([A-Za-z0-9_-]{43})$/
const COOKIE = /^__Host-doorward-consent-[A-Za-z0-9_-]{12}$/
const MAX_BODY = 1024
const MAX_COOKIES = 64
const SECONDS = 600
const NEXT = 'If you still want it, ask the agent to try again: it gives you another link.'

/** Nothing is loaded, framed or run; forms go to us alone. `same-origin` lets the form say where it is from, and nobody else. */
const headers = {
  'Content-Type': 'text/html; charset=utf-8',
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
} as const

export function isConsentPath(path: string): boolean {
  return path.startsWith(PREFIX)
}

/** Answers one request below `/consent/`. Never rejects. */
export async function serveConsent(exchange: Exchange, options: ConsentPagesOptions): Promise<void> {
  const { limiter, connectionLimits } = options.pipeline.dependencies
  const inbound: Inbound = { connection: exchange.connection, head: exchange.head, audience: '' }
  const over = await limitArrival(inbound, limiter, connectionLimits)
  const problem = over ?? exchange.problem
  if (problem !== null) return refuse(exchange, options, problem)
  const document = exchange.head.path === clientPath ? options.consents.clientDocument() : null
  if (document !== null) return serveClient(exchange, options, document)
  const answer = await answerOf(exchange, options)
  if ('denied' in answer) return refuse(exchange, options, answer)
  const { step, page } = answer
  if (step === null) return send(exchange, 200, headers, page)
  if (step.kind === 'failed') return refuse(exchange, options, deny(codes[step.problem], step.why), step.cookie)
  send(exchange, page === '' ? 303 : 200, { ...headers, ...stepHeaders(step, page) }, page)
}

/** Public: it says no more than any authorization server that we are sent to sees. */
async function serveClient(exchange: Exchange, options: ConsentPagesOptions, document: JsonObject): Promise<void> {
  const { method } = exchange.head
  if (method !== 'GET') return refuse(exchange, options, deny('http_method', `expected GET, got ${method}`))
  const cached = { 'Content-Type': 'application/json', 'Cache-Control': `public, max-age=${CLIENT_SECONDS}` }
  send(exchange, 200, cached, JSON.stringify(document))
}

interface Answer {
  /** Null: nothing was changed. */
  readonly step: ConsentStep | null
  readonly page: string
}

async function answerOf(exchange: Exchange, { consents, publicUrl }: ConsentPagesOptions): Promise<Answer | Denial> {
  const { path, method, query } = exchange.head
  const [, id] = LINK.exec(path) ?? []
  const isReturn = path === '/consent/signed-in' || path === '/consent/callback'
  if (id === undefined && !isReturn) return deny('path_unknown', 'nothing is at this path')
  if (method !== 'GET' && (isReturn || method !== 'POST')) return deny('http_method', `got ${method}`)
  if (isReturn) {
    const parameters = parametersIn(query)
    if (parameters === null) return deny('consent_refused', 'a parameter is repeated, or too long')
    const answer = { parameters, cookies: cookiesIn(exchange.head.headers['cookie'] ?? '') }
    const step = await (path === '/consent/signed-in' ? consents.signedIn(answer) : consents.granted(answer))
    return { step, page: step.kind === 'done' ? donePage(step.server) : '' }
  }
  const view = consents.view(id ?? '')
  if (view === null) return deny('consent_unknown', 'no such link, or it was used')
  if (method === 'GET') return { step: null, page: askPage(view) }
  // A page of somebody else cannot begin it in a browser that knows nothing of it.
  const { origin, 'sec-fetch-site': site = 'same-origin' } = exchange.head.headers
  if (origin !== publicUrl || site !== 'same-origin') return deny('origin_unknown', 'the form is from another origin')
  const body = await exchange.readBody(MAX_BODY)
  if ('denied' in body) return body
  const step = await consents.begin(id ?? '')
  return { step, page: step.kind === 'go' ? goPage(step.url) : '' }
}

const codes: Readonly<Record<ConsentProblem, DenialCode>> = {
  consent_unknown: 'consent_unknown',
  consent_refused: 'consent_refused',
  other_person: 'consent_other_person',
  consent_unavailable: 'consent_unavailable',
}

function stepHeaders(step: Exclude<ConsentStep, { kind: 'failed' }>, page: string): AnswerHeaders {
  if (step.kind === 'done') return { 'Set-Cookie': spent(step.cookie) }
  const set = step.cookie === null ? {} : { 'Set-Cookie': cookieOf(step.cookie.name, step.cookie.value, SECONDS) }
  return page === '' ? { ...set, Location: step.url.href } : set
}

/** Lax: the browser must bring it along when a provider sends it back. */
function cookieOf(name: string, value: string, seconds: number): string {
  return `${name}=${value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=${seconds}`
}

function spent(name: string): string {
  return cookieOf(name, '', 0)
}

/** On the record like any refusal; the page says no more than its code does. */
async function refuse(
  exchange: Exchange,
  { pipeline }: ConsentPagesOptions,
  denial: Denial,
  cookie: string | null = null,
): Promise<void> {
  const inbound: Inbound = { connection: exchange.connection, head: exchange.head, audience: '' }
  const { denial: refused } = await pipeline.refuse(inbound, denial)
  const { http, text } = denialRow(refused.code)
  const set = cookie === null ? {} : { 'Set-Cookie': spent(cookie) }
  const page = pageOf('Not granted', `<p>${escaped(text)}.</p><p>${NEXT}</p>`)
  send(exchange, http, { ...headers, ...set, 'Doorward-Code': refused.code }, page)
}

/** Null where one is repeated (RFC 6749 §3.1) or longer than any is. */
function parametersIn(query: string): ReadonlyMap<string, string> | null {
  const found = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(query)) {
    if (found.has(name) || value.length > 4096) return null
    found.set(name, value)
  }
  return found
}

function cookiesIn(header: string): ReadonlyMap<string, string> {
  const pairs = header.split(';', MAX_COOKIES).map((pair) => pair.trim().split('=') as [string, string?])
  return new Map(pairs.flatMap(([name, value = '']) => (COOKIE.test(name) ? [[name, value] as const] : [])))
}

function askPage({ server, at, wider }: ConsentView): string {
  const more = wider.length === 0 ? '' : `\n<p>The server asks for more than before: ${escaped(wider.join(', '))}.</p>`
  return pageOf(
    `Connect ${server}`,
    `<p>An agent that acts for you wants to call <strong>${escaped(server)}</strong>.</p>${more}
<p>You sign in first, so that nobody else can grant this in your name. Then <strong>${escaped(at)}</strong> asks what you allow.
What you allow is used for calls in your name alone.</p>
<form method="post"><button type="submit">Continue</button></form>
<p>If you did not ask for this, close this page: nothing has happened.</p>`,
  )
}

/** No redirect: `form-action` would hold for where it leads. */
function goPage(url: URL): string {
  const href = escaped(url.href)
  return pageOf(
    'Sign in',
    `<p><a href="${href}">Go on to ${escaped(url.host)}</a></p>`,
    `<meta http-equiv="refresh" content="0; url=${href}">`,
  )
}

function donePage(server: string): string {
  return pageOf(
    'Granted',
    `<p>Calls to <strong>${escaped(server)}</strong> in your name can be made now.</p><p>You can close this page, and ask the agent to try again.</p>`,
  )
}

function pageOf(title: string, body: string, more = ''): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escaped(title)}</title>${more}</head><body><h1>${escaped(title)}</h1>${body}</body></html>\n`
}

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`)
}
