/** What a sidecar says of itself on a socket of its own: whether it lives and serves, and with which keys it asserts. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { LocalHttp } from '../../transports/sidecar/local-http.ts'
import { listenForAll } from '../../transports/workload-api/open-socket.ts'

export interface OwnAnswers {
  /** Whether calls can be made and decided about now. */
  readonly ready: () => boolean
  /** JWK Set, with the time of now; null where nothing is asserted. */
  readonly jwks: () => string | null
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

function answer(request: IncomingMessage, response: ServerResponse, { ready, jwks }: OwnAnswers): void {
  request.resume()
  const [status, type, body] = contentOf(request, { ready, jwks })
  response.writeHead(status, {
    ...(type === null ? {} : { 'content-type': type }),
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  })
  response.end(request.method === 'HEAD' ? '' : body)
}

function contentOf(
  { method, url }: IncomingMessage,
  { ready, jwks }: OwnAnswers,
): readonly [status: number, type: string | null, body: string] {
  if (method !== 'GET' && method !== 'HEAD') return [405, null, '']
  if (url === '/livez') return [200, null, '']
  if (url === '/readyz') return [ready() ? 200 : 503, null, '']
  const set = url === '/jwks.json' ? jwks() : null
  if (set !== null) return [200, 'application/jwk-set+json', set]
  return [404, null, '']
}
