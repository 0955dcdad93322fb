/**
 * The gateway's listener and its way upstream with nothing in between: what is left when nobody decides. With no server
 * behind it, it answers by itself: what the listener costs alone. For measuring only; see the README of this folder.
 */

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { callbackify } from 'node:util'
import { Pool } from 'undici'
import type { buildConnector, Dispatcher } from 'undici'
import { connectMutualTls, systemClock } from '@doorward/sdk'
import { isDenial } from '@doorward/enforcement'
import {
  defaultCipherSuites,
  defaultListenerLimits,
  openListener,
} from '../../packages/enforcement/src/wire/listener.ts'
import { send } from '../../packages/enforcement/src/wire/exchange.ts'
import type { Exchange } from '../../packages/enforcement/src/wire/exchange.ts'
import { defaultHeaders } from '../../packages/server/src/config/security-schema.ts'
import { started, tell } from './child.ts'

const { pem, upstreamPort } = await started('forwarding')
const chain = [new X509Certificate(pem.cert).raw]
const privateKey = createPrivateKey(pem.key)
const anchors = splitPem(pem.anchors)
const listener = await openListener({
  name: 'main',
  host: '127.0.0.1',
  port: 0,
  clientCertificate: 'required',
  material: { chain, privateKey, anchors },
  authorities: ['127.0.0.1:0'],
  cipherSuites: defaultCipherSuites,
  securityHeaders: defaultHeaders,
  limits: { ...defaultListenerLimits, handshakes: { count: 1_000_000, periodSeconds: 60 } },
  clock: systemClock,
  monotonic: () => performance.now(),
  onExchange: upstreamPort === null ? answerAlone : forwardTo(upstreamPort),
  onRefusedHandshake: ({ reason }) => process.stderr.write(`handshake refused: ${reason}\n`),
})
tell({ port: listener.address.port })

function splitPem(text: string): readonly Uint8Array[] {
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return certificates.map((certificate) => new X509Certificate(certificate).raw)
}

/** The connection code of the gateway, without its judgement of the server. */
function connector(port: number): buildConnector.connector {
  const judge = () => Promise.resolve(null)
  const dial = callbackify(() =>
    connectMutualTls({ host: '127.0.0.1', port, svid: { chain, privateKey }, anchors, judge }),
  )
  return (_options, done) =>
    dial((error, connected) => (error === null ? done(null, connected.socket) : done(error, null)))
}

function forwardTo(port: number): (exchange: Exchange) => Promise<void> {
  const origin = `https://127.0.0.1:${port}`
  const pool = new Pool(origin, { connections: 256, pipelining: 1, connect: connector(port), allowH2: false })
  return async (exchange) => {
    const body = await exchange.readBody(1024 * 1024)
    if (isDenial(body)) return void exchange.response.destroy()
    const { head } = exchange
    const headers = { accept: head.headers['accept'] ?? '', 'content-type': head.headers['content-type'] ?? '' }
    pool.dispatch({ origin, method: 'POST', path: head.path, headers, body }, answerTo(exchange))
  }
}

function answerTo({ response }: Exchange): Dispatcher.DispatchHandler {
  return {
    onRequestStart() {},
    onResponseStart(_controller, status, headers) {
      for (const name of ['content-type', 'content-length', 'mcp-session-id']) {
        const value = headers[name]
        if (value !== undefined) response.setHeader(name, value)
      }
      response.writeHead(status)
    },
    onResponseData: (_controller, chunk) => void response.write(chunk),
    onResponseEnd: () => void response.end(),
    onResponseError: () => void response.destroy(),
  }
}

/** The answer of the server, without the server. */
async function answerAlone(exchange: Exchange): Promise<void> {
  const body = await exchange.readBody(1024 * 1024)
  if (isDenial(body)) return void exchange.response.destroy()
  const id = /"id":(\d+)/.exec(Buffer.from(body).toString('latin1'))?.[1]
  const text = 'The quick brown fox jumps over the lazy dog. '.repeat(3).trim()
  const json = `{"jsonrpc":"2.0","id":${id ?? 'null'},"result":{"content":[{"type":"text","text":"${text}"}]}}`
  send(exchange, 200, { 'Content-Type': 'application/json', 'Mcp-Session-Id': 'alone' }, json)
}
