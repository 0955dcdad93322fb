/** The gateway asks servers of every kind what they define, with messages of its own, and takes no nonsense for an answer. */

import { deepEqual, equal, rejects } from 'node:assert/strict'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { inspectHttpServer } from '../../../packages/server/src/apps/inspect-http-server.ts'
import { inspectServer } from '../../../packages/server/src/apps/inspect-server.ts'
import { inspectSseServer } from '../../../packages/server/src/apps/inspect-sse-server.ts'
import { defaultUpstreamLimits } from '../../../packages/server/src/transports/upstream.ts'

const servers: Server[] = []
after(() => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
})

const tls = { kind: 'none' } as const
const never = () => new AbortController().signal

interface Asked {
  readonly id?: number
  readonly method: string
  readonly params?: Readonly<Record<string, unknown>>
}

type Answer = (asked: Asked, request: IncomingMessage, response: ServerResponse) => void

/** Answers messages as the test says; its URL. */
async function serve(answer: Answer, onGet: (response: ServerResponse) => void = () => undefined): Promise<string> {
  const server = createServer((request, response) => {
    if (request.method === 'GET') return onGet(response)
    let body = ''
    request.on('data', (part: Buffer) => (body += part.toString()))
    request.on('end', () => {
      if (request.method === 'DELETE') response.writeHead(200).end()
      else answer(JSON.parse(body) as Asked, request, response)
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`
}

const tools = [
  { name: 'a', description: 'x' },
  { name: 'b', description: 'y' },
]
const hello = { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 's', version: '1' } }
const said = (asked: Asked, result: object) => JSON.stringify({ jsonrpc: '2.0', id: asked.id, result })

/** What a legacy server with two pages answers. */
function legacyResult({ method, params }: Asked): object {
  if (method === 'initialize') return hello
  return params?.['cursor'] === undefined ? { tools: tools.slice(0, 1), nextCursor: 'next' } : { tools: tools.slice(1) }
}

const names = (definitions: readonly { readonly kind: string; readonly name: string }[]) =>
  definitions.map(({ kind, name }) => `${kind} ${name}`)
const expected = ['server instructions', 'server name', 'tool a', 'tool b']

test('streamable HTTP, in a session that is told to end, all pages', async () => {
  const seen: (string | undefined)[] = []
  const url = await serve((asked, request, response) => {
    seen.push(request.headers['mcp-session-id'] as string | undefined)
    if (asked.id === undefined) return void response.writeHead(202).end()
    const headers = { 'Content-Type': 'application/json', 'Mcp-Session-Id': 'theirs' }
    response.writeHead(200, headers).end(said(asked, legacyResult(asked)))
  })
  const { definitions } = await inspectHttpServer({ url, tls }, never())
  deepEqual(names(definitions), expected)
  deepEqual(seen, [undefined, 'theirs', 'theirs', 'theirs'])
})

test('a server of the modern era alone, by discovery and with its envelope', async () => {
  const heads: (string | undefined)[] = []
  const url = await serve((asked, request, response) => {
    const method = request.headers['mcp-method'] as string | undefined
    heads.push(method)
    if (method === undefined) {
      const error = { code: -32022, message: 'unsupported' }
      return void response
        .writeHead(400, { 'Content-Type': 'application/json' })
        .end(JSON.stringify({ jsonrpc: '2.0', id: asked.id, error }))
    }
    equal(request.headers['mcp-protocol-version'], '2026-07-28')
    const meta = { _meta: { 'io.modelcontextprotocol/serverInfo': { name: 's' } } }
    const result =
      method === 'tools/list' ? { tools } : { supportedVersions: ['2026-07-28'], capabilities: {}, ...meta }
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.end(`event: message\ndata: ${said(asked, { resultType: 'complete', ...result })}\n\n`)
  })
  const { definitions } = await inspectHttpServer({ url, tls }, never())
  deepEqual(names(definitions), expected)
  deepEqual(heads, [undefined, 'server/discover', 'tools/list'])
})

test('HTTP+SSE of 2024-11-05', async () => {
  let stream: ServerResponse | undefined
  const url = await serve(
    (asked, _request, response) => {
      response.writeHead(202).end()
      if (asked.id !== undefined) stream?.write(`event: message\ndata: ${said(asked, legacyResult(asked))}\n\n`)
    },
    (response) => {
      stream = response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      response.write('event: endpoint\ndata: /messages?id=1\n\n')
    },
  )
  const { definitions } = await inspectSseServer({ url, tls, limits: defaultUpstreamLimits }, never())
  deepEqual(names(definitions), expected)
})

const nonsense: readonly (readonly [string, Answer])[] = [
  ['redirects', (_asked, _request, response) => response.writeHead(307, { Location: 'http://127.0.0.1:1/' }).end()],
  ['is no MCP server', (_asked, _request, response) => response.writeHead(200).end('<html>')],
  [
    'answers another id',
    (asked, _request, response) =>
      response
        .writeHead(200, { 'Content-Type': 'application/json' })
        .end(said({ ...asked, id: (asked.id ?? 0) + 1 }, hello)),
  ],
  [
    'lists what has no name',
    (asked, _request, response) =>
      asked.id === undefined
        ? response.writeHead(202).end()
        : response
            .writeHead(200, { 'Content-Type': 'application/json' })
            .end(said(asked, asked.method === 'initialize' ? hello : { tools: [{ description: 'x' }] })),
  ],
  [
    'lists without end',
    (asked, _request, response) =>
      asked.id === undefined
        ? response.writeHead(202).end()
        : response
            .writeHead(200, { 'Content-Type': 'application/json' })
            .end(said(asked, asked.method === 'initialize' ? hello : { tools, nextCursor: 'more' })),
  ],
  [
    'answers without end',
    (_asked, _request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' })
      for (let i = 0; i < 5; i++) response.write('x'.repeat(1_000_000))
      response.end()
    },
  ],
]
for (const [what, answer] of nonsense)
  test(`a server that ${what} has said nothing`, async () => {
    await rejects(inspectHttpServer({ url: await serve(answer), tls }, never()), { code: 'server_answer_invalid' })
  })

test('a server that is silent, or is not there, is waited for no longer than that', async () => {
  await rejects(inspectHttpServer({ url: await serve(() => undefined), tls }, never(), 200), {
    code: 'server_start_failed',
  })
  await rejects(inspectHttpServer({ url: 'http://127.0.0.1:1/mcp', tls }, never()), { code: 'server_start_failed' })
  const launch = { command: [process.execPath, '-e', 'process.stdin.resume()'], cwd: process.cwd(), env: {} }
  await rejects(inspectServer(launch, never(), 500), { code: 'server_start_failed' })
})
