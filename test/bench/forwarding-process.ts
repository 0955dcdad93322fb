/**
 * The gateway's listener and its way upstream with nothing in between: what is left when nobody decides. With no server
 * behind it, it answers by itself: what the listener costs alone. For measuring only; see the README of this folder.
 */

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isDenial } from '@doorward/enforcement'
import { send } from '../../packages/enforcement/src/wire/exchange.ts'
import type { Exchange } from '../../packages/enforcement/src/wire/exchange.ts'
import { started, tell } from './child.ts'
import { bodyBytes, forwardTo, unguarded } from './forwarding.ts'
import { openBenchListener } from './listener.ts'

const { pem, upstreamPort, callers = 'required' } = await started('forwarding')
const chain = [new X509Certificate(pem.cert).raw]
const privateKey = createPrivateKey(pem.key)
const anchors = splitPem(pem.anchors)
const listener = await openBenchListener({
  clientCertificate: callers,
  material: { chain, privateKey, anchors },
  onExchange:
    upstreamPort === null ? answerAlone : forwardTo({ port: upstreamPort, chain, privateKey, anchors }, unguarded),
})
tell({ port: listener.address.port })

function splitPem(text: string): readonly Uint8Array[] {
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return certificates.map((certificate) => new X509Certificate(certificate).raw)
}

/** The answer of the server, without the server. */
async function answerAlone(exchange: Exchange): Promise<void> {
  const body = await exchange.readBody(bodyBytes)
  if (isDenial(body)) return void exchange.response.destroy()
  const id = /"id":(\d+)/.exec(Buffer.from(body).toString('latin1'))?.[1]
  const text = 'The quick brown fox jumps over the lazy dog. '.repeat(3).trim()
  const json = `{"jsonrpc":"2.0","id":${id ?? 'null'},"result":{"content":[{"type":"text","text":"${text}"}]}}`
  send(exchange, 200, { 'Content-Type': 'application/json', 'Mcp-Session-Id': 'alone' }, json)
}
