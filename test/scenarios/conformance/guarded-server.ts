/** The fixture as a server that knows the gateway alone, and remembers every request that it was asked to serve. */

import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { startEverythingServer } from './everything-server.ts'

/** `POST tools/call test_simple_text`: HTTP method, MCP method (or `response`), and the name that it is about. */
export type SeenRequest = string

export interface GuardedServer {
  /** Open to nobody: what a caller who has found the port would try. */
  readonly url: string
  /** With the path that only the gateway's configuration holds. */
  readonly gatewayUrl: string
  readonly seen: readonly SeenRequest[]
  /** Requests that did not come by the gateway, and got 403. */
  readonly turnedAway: readonly string[]
  /** Names of headers that reached the server, of all requests. */
  readonly headerNames: ReadonlySet<string>
  close(): Promise<void>
}

/** The gateway is whoever knows a path of 256 random bits: it is told nowhere but in the gateway's configuration. */
export async function startGuardedServer(): Promise<GuardedServer> {
  const path = `/${randomBytes(32).toString('base64url')}`
  const seen: SeenRequest[] = []
  const turnedAway: string[] = []
  const headerNames = new Set<string>()
  const server = await startEverythingServer({
    port: 0,
    admit: (request, response) => {
      if (request.url !== path) {
        turnedAway.push(request.url ?? '')
        return turnAway(response)
      }
      request.url = '/mcp'
      for (const name of Object.keys(request.headers)) headerNames.add(name)
      const at = seen.push(request.method ?? '') - 1
      if (request.method === 'POST') onBody(request, (body) => (seen[at] = describe(body)))
      else seen[at] = `${request.method} ${request.method}`
      return true
    },
  })
  const { port } = new URL(server.url)
  const gatewayUrl = `http://127.0.0.1:${port}${path}`
  return { url: server.url, gatewayUrl, seen, turnedAway, headerNames, close: () => server.close() }
}

function turnAway(response: ServerResponse): false {
  response.writeHead(403).end()
  return false
}

/** Listens at the source of the stream: a `data` listener would take the body away from the server. */
function onBody(request: IncomingMessage, told: (body: string) => void): void {
  const parts: Buffer[] = []
  const push = request.push.bind(request)
  request.push = (chunk: Buffer | null, encoding) => {
    if (chunk === null) told(Buffer.concat(parts).toString('utf8'))
    else parts.push(chunk)
    return push(chunk, encoding)
  }
}

function describe(body: string): SeenRequest {
  const { method = 'response', params = {} } = JSON.parse(body) as { method?: string; params?: Subject }
  return seenRequest('POST', method, params.ref?.name ?? params.ref?.uri ?? params.name ?? params.uri ?? '')
}

interface Subject {
  readonly name?: string
  readonly uri?: string
  readonly ref?: Subject
}

export function seenRequest(http: string, action: string, name: string): SeenRequest {
  return `${http} ${action} ${name}`.trim()
}
