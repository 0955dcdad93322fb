/** An MCP server of one tool, in a process of its own, that counts what reaches it: what it has not seen was not let through. */

import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { isJsonObject, scanJson } from '@doorward/core'
import type { JsonObject } from '@doorward/core'

const MAX_BODY = 64 * 1024

let calls = 0
const server = createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
  void answer(request, response, () => calls++)
})
await new Promise<void>((resolve, reject) => {
  server.once('error', reject)
  server.listen(0, '127.0.0.1', resolve)
})
process.once('disconnect', () => process.exit(0))
process.on('message', () => process.send?.({ calls }))
process.send?.({ port: portOf(server) })

function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function answer(request: IncomingMessage, response: ServerResponse, onCall: () => void): Promise<void> {
  const body = request.method === 'POST' ? await bodyOf(request) : null
  const scan = body === null ? null : scanJson(body, { maxBytes: MAX_BODY, maxDepth: 16, maxKeys: 256 })
  const message = scan?.ok === true && isJsonObject(scan.value) ? scan.value : null
  if (message === null) return void response.writeHead(405).end()
  const result = resultOf(message, onCall)
  if (result === null) return void response.writeHead(202).end()
  const text = JSON.stringify({ jsonrpc: '2.0', id: message['id'], ...result })
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text)
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array | null> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    length += part.length
    if (length > MAX_BODY) return null
    parts.push(part)
  }
  return Buffer.concat(parts)
}

const tool = { name: 'echo', description: 'says it again', inputSchema: { type: 'object' } }

const introduction = {
  protocolVersion: '2025-11-25',
  capabilities: { tools: {} },
  serverInfo: { name: 'echo', version: '1' },
}

/** Null for a notification. */
function resultOf({ method, id }: JsonObject, onCall: () => void): JsonObject | null {
  if (method === 'initialize') return { result: introduction }
  if (method === 'tools/list') return { result: { tools: [tool] } }
  if (method !== 'tools/call') return id === undefined ? null : { error: { code: -32601, message: 'method not found' } }
  onCall()
  return { result: { content: [{ type: 'text', text: 'echo' }] } }
}
