/** The server behind everything: mutual TLS, and one answer as fast as it can be given. */

import { createServer } from 'node:tls'
import type { AddressInfo } from 'node:net'
import { started, tell } from './child.ts'
import { MessageReader } from './framing.ts'
import type { Message } from './framing.ts'

const { pem } = await started('upstream')
const server = createServer({
  cert: pem.cert,
  key: pem.key,
  ca: pem.anchors,
  requestCert: true,
  rejectUnauthorized: true,
  minVersion: 'TLSv1.3',
  ALPNProtocols: ['http/1.1'],
})
server.on('secureConnection', (socket) => {
  const reader = new MessageReader()
  socket.setNoDelay(true)
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk: Buffer) => {
    for (const message of reader.push(chunk)) socket.write(answerTo(message))
  })
})
server.listen(0, '127.0.0.1', () => tell({ port: (server.address() as AddressInfo).port }))

const text = 'The quick brown fox jumps over the lazy dog. '.repeat(3).trim()
const content = `"result":{"content":[{"type":"text","text":"${text}"}]}}`

function answerTo({ body }: Message): string {
  const request = body.toString('latin1')
  const id = /"id":(\d+)/.exec(request)?.[1]
  if (id === undefined) return 'HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n'
  if (!request.includes('"method":"initialize"')) return jsonAnswer(`{"jsonrpc":"2.0","id":${id},${content}`)
  const result = {
    protocolVersion: '2025-11-25',
    capabilities: { tools: {} },
    serverInfo: { name: 'bench', version: '1' },
  }
  return jsonAnswer(JSON.stringify({ jsonrpc: '2.0', id: Number(id), result }), 'Mcp-Session-Id: upstream\r\n')
}

function jsonAnswer(json: string, headers = ''): string {
  return `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${headers}Content-Length: ${json.length}\r\n\r\n${json}`
}
