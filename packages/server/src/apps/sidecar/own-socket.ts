/** What a sidecar says of itself on a socket of its own: whether it lives and serves, and with which keys it asserts. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:net'
import { listenAtPort } from './listen-at-port.ts'
import { LocalHttp } from '../../transports/sidecar/local-http.ts'
import { listenForAll } from '../../transports/workload-api/open-socket.ts'

export interface OwnAnswers {
  /** Whether calls can be made and decided about now. */
  readonly ready: () => boolean
  /** JWK Set, with the time of now; null where nothing is asserted. */
  readonly jwks: () => string | null
  /** JSON. */
  readonly status: () => string
}

const MAX_CONNECTIONS = 64

/** Nothing here is a secret: who may ask is whoever may enter the folder. Throws the codes of `listenForAll`. */
export async function openOwnSocket(
  path: string,
  answers: OwnAnswers,
  onProblem: (error: unknown) => void,
): Promise<{ close(): Promise<void> }> {
  const http = new LocalHttp(async ({ request, response }) => answer(request, response, answers), onProblem)
  const listening = await listenForAll({
    path,
    connections: MAX_CONNECTIONS,
    accept: (socket) => http.serve(socket),
    onProblem,
  })
  return {
    close: async () => {
      http.close(0)
      await listening.close()
    },
  }
}

/** `GET /metrics` and nothing else, for whatever process of this machine asks. Throws `port_in_use`. */
export async function openMetricsPort(
  port: number,
  metrics: () => Promise<{ readonly type: string; readonly text: string }>,
  onProblem: (error: unknown) => void,
): Promise<{ close(): Promise<void> }> {
  const http = new LocalHttp(async ({ request, response }) => {
    const known = request.url === '/metrics' && (request.method === 'GET' || request.method === 'HEAD')
    const { type, text } = known ? await metrics() : { type: null, text: '' }
    send(request, response, [known ? 200 : 404, type, text])
  }, onProblem)
  const server = createServer((socket) => http.serve(socket))
  server.maxConnections = MAX_CONNECTIONS
  await listenAtPort(server, port, 'metrics.port')
  server.on('error', onProblem)
  return {
    close: () =>
      new Promise((resolve) => {
        http.close(0)
        server.close(() => resolve())
      }),
  }
}

function answer(request: IncomingMessage, response: ServerResponse, answers: OwnAnswers): void {
  send(request, response, contentOf(request, answers))
}

type Content = readonly [status: number, type: string | null, body: string]

function send(request: IncomingMessage, response: ServerResponse, [status, type, body]: Content): void {
  request.resume()
  response.writeHead(status, {
    ...(type === null ? {} : { 'content-type': type }),
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  })
  response.end(request.method === 'HEAD' ? '' : body)
}

function contentOf({ method, url }: IncomingMessage, { ready, jwks, status }: OwnAnswers): Content {
  if (method !== 'GET' && method !== 'HEAD') return [405, null, '']
  if (url === '/livez') return [200, null, '']
  if (url === '/readyz') return [ready() ? 200 : 503, null, '']
  if (url === '/status') return [200, 'application/json', status()]
  const set = url === '/jwks.json' ? jwks() : null
  if (set !== null) return [200, 'application/jwk-set+json', set]
  return [404, null, '']
}
