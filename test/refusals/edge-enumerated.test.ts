/**
 * Every method of every revision that the code lists, at the edge: nothing is answered, and nothing reaches a server, without
 * token, proof and permission. A method that is added is tried by itself.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { METHODS } from 'node:http'
import { after, before, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { isDenialCode } from '@doorward/enforcement'
import { EdgeStage } from '../fixtures/edge-stage.ts'
import type { Shown } from '../fixtures/edge-stage.ts'
import { tried } from '../fixtures/every-method.ts'
import { answered, messagesOf } from '../fixtures/gateway-fixture.ts'
import type { Rpc } from '../fixtures/gateway-fixture.ts'
import { modernVersion } from '../fixtures/modern-server.ts'
import { parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'

let stage: EdgeStage
let socket: TLSSocket | null = null
before(async () => void (stage = await EdgeStage.open()))
after(async () => {
  socket?.destroy()
  await stage.close()
})

async function send(rpc: Rpc, shown: Shown): Promise<RawAnswer> {
  const text = await stage.request(rpc, shown)
  if (socket === null || socket.destroyed || !socket.writable) socket = await stage.connect()
  const until = text.startsWith('HEAD') ? (soFar: string) => soFar.includes('\r\n\r\n') : answered
  const answer = parseAnswer(await talk(socket, text, until))
  if (answer.headers['connection'] === 'close') socket.destroy()
  return answer
}

/** Not answered, for a reason of the table; recorded where it has a decision. */
async function refused(what: string, answer: RawAnswer, codes?: readonly string[]): Promise<void> {
  const code = answer.headers['doorward-code'] ?? ''
  ok(isDenialCode(code), `${what}: ${answer.text}`)
  if (codes !== undefined) ok(codes.includes(code), `${what}: ${code}`)
  if (answer.status < 400 && answer.body !== '') {
    const [message] = messagesOf(answer)
    ok(message?.error !== undefined || message?.result?.['isError'] === true, `${what}: ${answer.text}`)
  }
  const entry = stage.entryOf(answer)
  if (entry !== undefined) deepEqual([entry['decision'], entry['code']], ['deny', code], what)
}

const nobody: Shown = { claims: { sub: 'eve' } }

test('every method at the edge is closed to a request without token', async () => {
  for (const { what, rpc } of tried()) await refused(what, await send(rpc, { token: null }), ['token_missing'])
})

test('every method at the edge is closed to a token without proof', async () => {
  for (const { what, rpc } of tried()) await refused(what, await send(rpc, { proof: null }), ['dpop_invalid'])
})

test('every method at the edge is closed to a token for another server', async () => {
  const shown = { claims: { aud: 'https://edge.test.example/mcp/hidden' } }
  for (const { what, rpc } of tried()) await refused(what, await send(rpc, shown), ['token_audience'])
})

test('every method at the edge is closed to a person whom no policy names', async () => {
  for (const { what, rpc } of tried()) await refused(what, await send(rpc, nobody))
})

test('every HTTP method at the edge but POST is refused, and streams need a session', async () => {
  for (const method of METHODS) {
    if (method === 'CONNECT' || method === 'POST') continue
    for (const headers of [{}, { 'MCP-Protocol-Version': modernVersion }]) {
      const answer = await send({ method, headers }, nobody)
      const codes = ['http_method', 'session_missing', 'message_header_mismatch', 'accept_type']
      await refused(`${method} ${JSON.stringify(headers)}`, answer, codes)
    }
  }
})

test('no server has heard of any of it', () => {
  equal(stage.tap.reached.filter(({ body }) => !body.includes('doorward-discover')).length, 0)
})
