/**
 * Where a browser comes back to after a sign-in: one request on 127.0.0.1 that knows our state, and the listener is gone (RFC
 * 8252 §7.3). Whatever else comes is told nothing and changes nothing.
 */

import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface RedirectAnswer {
  /** Of the query, each once. */
  readonly parameters: ReadonlyMap<string, string>
}

export interface LoopbackRedirect {
  /** `http://127.0.0.1:<port>/callback`. */
  readonly url: string
  /** The first request that has the state; null when the signal has aborted before. */
  arrived(): Promise<RedirectAnswer | null>
  close(): Promise<void>
}

const PATH = '/callback'
const ARRIVED = 'Back in your terminal you see whether you are signed in. You can close this page.'
const MAX_PARAMETERS = 16
const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  connection: 'close',
}

/** Listens at once. */
export async function openRedirect(state: string, signal: AbortSignal): Promise<LoopbackRedirect> {
  let arrive: (answer: RedirectAnswer | null) => void = () => undefined
  const arrived = new Promise<RedirectAnswer | null>((resolve) => {
    arrive = resolve
  })
  const server = createServer({ maxHeaderSize: 16_384, requestTimeout: 5000, headersTimeout: 5000 })
  server.maxConnections = 16
  let taken = false
  server.on('request', (request, response) => {
    const answer = taken ? null : readRedirect(request, state, ownHost(server.address() as AddressInfo))
    if (answer === null) return respond(response, 404, 'Nothing is here.')
    taken = true
    const failed = answer.parameters.has('error')
    respond(response, 200, failed ? 'The provider has refused the sign-in. You can close this page.' : ARRIVED)
    response.once('close', () => arrive(answer))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const over = () => arrive(null)
  if (signal.aborted) over()
  signal.addEventListener('abort', over, { once: true })
  return {
    url: `http://${ownHost(server.address() as AddressInfo)}${PATH}`,
    arrived: () => arrived,
    close: async () => {
      signal.removeEventListener('abort', over)
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function ownHost({ port }: AddressInfo): string {
  return `127.0.0.1:${port}`
}

/** Null for anything that is not the redirect of our own request: a page elsewhere may send a browser here. */
function readRedirect(
  { method, url = '', headers }: IncomingMessage,
  state: string,
  host: string,
): RedirectAnswer | null {
  if (method !== 'GET' || headers.host !== host || !URL.canParse(url, `http://${host}`)) return null
  const { pathname, searchParams } = new URL(url, `http://${host}`)
  if (pathname !== PATH) return null
  const parameters = new Map<string, string>()
  for (const [name, value] of searchParams) {
    if (parameters.has(name) || parameters.size >= MAX_PARAMETERS) return null
    parameters.set(name, value)
  }
  const [given, expected] = [parameters.get('state') ?? '', state].map((text) =>
    createHash('sha256').update(text).digest(),
  )
  return given !== undefined && expected !== undefined && timingSafeEqual(given, expected) ? { parameters } : null
}

function respond(response: ServerResponse, status: number, text: string): void {
  const style =
    'body{font:1.1rem system-ui,sans-serif;margin:15vh auto;max-width:32rem;padding:0 1rem;text-align:center}'
  const page = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Doorward</title><style>${style}</style><h1>Doorward</h1><p>${text}</p></html>`
  response.writeHead(status, HEADERS).end(page)
}
