/** The gateway's way to a server, and a gate before it that may ask for anything, or for nothing. For measuring only. */

import type { KeyObject } from 'node:crypto'
import { callbackify } from 'node:util'
import { Pool } from 'undici'
import type { buildConnector, Dispatcher } from 'undici'
import { isDenial } from '@doorward/enforcement'
import type { Denial } from '@doorward/enforcement'
import { connectMutualTls } from '@doorward/sdk'
import { send } from '../../packages/enforcement/src/wire/exchange.ts'
import type { Exchange } from '../../packages/enforcement/src/wire/exchange.ts'

export interface Passed {
  readonly body: Uint8Array
  /** Told once, when the answer has been sent. */
  readonly answered: (status: number, bytes: number) => void
}

/** What is asked before a call goes on. */
export type Gate = (exchange: Exchange) => Promise<Passed | Denial>

export interface Way {
  /** Loopback port of the server. */
  readonly port: number
  readonly chain: readonly Uint8Array[]
  readonly privateKey: KeyObject
  readonly anchors: readonly Uint8Array[]
}

export const bodyBytes = 1024 * 1024

/** Asks for nothing. */
export const unguarded: Gate = async (exchange) => {
  const body = await exchange.readBody(bodyBytes)
  return isDenial(body) ? body : { body, answered: () => undefined }
}

/** The connection code of the gateway, without its judgement of the server. */
function connector({ port, chain, privateKey, anchors }: Way): buildConnector.connector {
  const judge = () => Promise.resolve(null)
  const dial = callbackify(() =>
    connectMutualTls({ host: '127.0.0.1', port, svid: { chain, privateKey }, anchors, judge }),
  )
  return (_options, done) =>
    dial((error, connected) => (error === null ? done(null, connected.socket) : done(error, null)))
}

export function forwardTo(way: Way, gate: Gate): (exchange: Exchange) => Promise<void> {
  const origin = `https://127.0.0.1:${way.port}`
  const pool = new Pool(origin, { connections: 256, pipelining: 1, connect: connector(way), allowH2: false })
  return async (exchange) => {
    const passed = await gate(exchange)
    if (isDenial(passed)) {
      send(exchange, 403, { 'Doorward-Code': passed.code })
      return
    }
    const { head } = exchange
    const headers = { accept: head.headers['accept'] ?? '', 'content-type': head.headers['content-type'] ?? '' }
    const { body } = passed
    pool.dispatch({ origin, method: 'POST', path: head.path, headers, body }, answerTo(exchange, passed))
  }
}

function answerTo({ response }: Exchange, { answered }: Passed): Dispatcher.DispatchHandler {
  let bytes = 0
  return {
    onRequestStart() {},
    onResponseStart(_controller, status, headers) {
      for (const name of ['content-type', 'content-length', 'mcp-session-id']) {
        const value = headers[name]
        if (value !== undefined) response.setHeader(name, value)
      }
      response.writeHead(status)
    },
    onResponseData(_controller, chunk) {
      bytes += chunk.length
      response.write(chunk)
    },
    onResponseEnd() {
      response.end()
      answered(response.statusCode, bytes)
    },
    onResponseError: () => void response.destroy(),
  }
}
