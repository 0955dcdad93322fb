/** The way to one plain HTTP service. It accepts nothing but a permit, and sends the path and body that were judged. */

import type { Permit } from '@doorward/enforcement'
import { BackendAnswer } from './backend-answer.ts'
import type { BackendCall } from './backend-call.ts'
import { listedHeaders } from './backend-headers.ts'
import { noTexts } from './backend-redaction.ts'
import type { KnownTexts } from './backend-redaction.ts'
import type { BackendReply } from './backend-reply.ts'
import { documentFrom } from './backend-document.ts'
import { checkUrl, poolOf } from './upstream-http.ts'
import { ownHeaders } from './upstream-http-wire.ts'
import type { UpstreamTls } from './upstream-http-wire.ts'
import { CredentialedSender } from './server-credential.ts'
import type { Given, Sender, ServerCredential } from './server-credential.ts'
import type { UpstreamLimits } from './upstream.ts'

export interface BackendUpstreamOptions {
  readonly name: string
  /** Of the root of the service; a path in it is put before every path. */
  readonly url: string
  readonly tls: UpstreamTls
  readonly limits: UpstreamLimits
  readonly answerBytes: number
  /** Known secrets are taken out of answers; not by default. */
  readonly redact?: boolean
  /** What it was given by us; nothing by default. */
  readonly known?: KnownTexts
  /** Names of headers that pass to the service, and of those that pass from it. */
  readonly requestHeaders: readonly string[]
  readonly answerHeaders: readonly string[]
  /** What the gateway proves itself with in each request; nothing by default. */
  readonly credential?: ServerCredential | null
  readonly onFailure: (reason: string) => void
}

export interface BackendUpstream {
  /** Carries out one permitted request. Never throws and never rejects. */
  forward(permit: Permit<BackendCall>, reply: BackendReply): void
  /** What it serves at that absolute path, asked without any credential. Throws `document_unavailable`. */
  document(path: string): Promise<Uint8Array>
  /** Begins nothing more; resolves when what is under way has ended. */
  close(): Promise<void>
}

/** What may be tried once more when nothing of it has been sent (RFC 9110 §9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])
const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** Of answers whose protocol is known here. */
const MESSAGE_HEADERS = ['content-type', 'retry-after']

/** Throws `upstream_url_invalid`. Connects to nothing yet. */
export function openBackendUpstream(options: BackendUpstreamOptions): BackendUpstream {
  const url = checkUrl(options)
  const base = url.pathname.replace(/\/$/, '')
  const pool = poolOf(options, url)
  const { limits, onFailure, answerBytes, answerHeaders, redact = false } = options
  // Whoever asks for parts could have a secret in pieces.
  const requestHeaders = options.requestHeaders.filter((name) => !redact || name !== 'range')
  const sending = new CredentialedSender(options.credential ?? null, (request, handler) => {
    pool.dispatch({ origin: url.origin, ...request }, handler)
  })
  let busy = 0
  return {
    forward(permit, reply) {
      const { classified } = permit.use().authorized
      const { body, call } = classified
      if (busy >= limits.concurrency)
        return reply.fail('upstream_busy', 'too many requests are under way at this service', 1)
      busy++
      const { method, path, query, head, trace, message, contentType } = call.detail
      message?.permitted()
      const request = {
        method,
        path: path === null ? `${url.pathname}${url.search}` : `${base}${path}${query === '' ? '' : `?${query}`}`,
        headers: {
          ...ownHeaders(trace),
          'accept-encoding': 'identity',
          ...(message?.headers ?? listedHeaders(head.headers, requestHeaders)),
          ...(contentType === undefined ? {} : { 'content-type': contentType }),
        },
        body: BODILESS.has(method) ? null : (message?.body ?? body),
      }
      const own: Sender = { principal: classified.identified.principal, onUse: (use) => reply.used(use) }
      const given: Given = { fields: null }
      const answer = new BackendAnswer({
        reply,
        headers: message === null ? answerHeaders : MESSAGE_HEADERS,
        filter: message?.filter ?? null,
        answerBytes,
        redact,
        known: options.known ?? noTexts,
        responseMilliseconds: limits.responseMilliseconds,
        streamMilliseconds: limits.streamMilliseconds,
        again: IDEMPOTENT.has(method) ? () => sending.dispatch(request, answer, own) : null,
        renew: sending.renews ? () => sending.dispatch(request, answer, own, given) : null,
        onFailure,
        onEnd: () => void busy--,
      })
      sending.dispatch(request, answer, own, given)
    },
    document: (path) => documentFrom(pool, { origin: url.origin, path }),
    close: () => closed(pool, limits.streamMilliseconds),
  }
}

/** No answer takes longer than that. */
async function closed(pool: ReturnType<typeof poolOf>, milliseconds: number): Promise<void> {
  const timer = setTimeout(() => void pool.destroy(), milliseconds).unref()
  await pool.close()
  clearTimeout(timer)
}
