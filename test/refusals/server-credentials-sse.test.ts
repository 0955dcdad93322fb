/** Credentials towards servers behind HTTP+SSE: stream and messages have them, and none of both goes without. */

import { deepEqual, equal } from 'node:assert/strict'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, test } from 'node:test'
import { GatewayFixture } from '../fixtures/gateway-fixture.ts'
import { bearer, SecretsStage, stored } from '../fixtures/secrets-stage.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

let stage: SecretsStage
let server: Server
let gateway: GatewayFixture
let agent: TestSvid
const heard: { readonly method: string; readonly authorization: string | undefined }[] = []
/** Whether what comes with this header is let in. */
let admits: (authorization: string, method: string) => boolean | Promise<boolean> = () => true

before(async () => {
  stage = await SecretsStage.open({ key: stored(['notes']) })
  let stream: ServerResponse | null = null
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = '', headers } = request
    heard.push({ method, authorization: headers.authorization })
    let body = ''
    for await (const part of request) body += String(part)
    if (!(await admits(headers.authorization ?? '', method))) return void response.writeHead(401).end()
    if (method === 'GET') {
      stream = response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      return void stream.write('event: endpoint\ndata: /messages\n\n')
    }
    response.writeHead(202).end()
    const { id, method: asked } = JSON.parse(body) as { id?: number; method: string }
    const opened = { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 's', version: '1' } }
    const result = asked === 'initialize' ? opened : { tools: [] }
    if (id !== undefined) stream?.write(`event: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', id, result })}\n\n`)
  }
  server = createServer((request, response) => void serve(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/sse`
  const credential = stage.credential('notes', { kind: 'secret', secret: 'key', form: bearer })
  gateway = await GatewayFixture.open({
    servers: { notes: { url, transport: 'sse', credential } },
    roles: { all: ['*'] },
  })
  agent = await gateway.trust.issue('agent/planner', { roles: ['all'] })
})
after(async () => {
  await gateway.close()
  server.closeAllConnections()
  server.close()
  await stage.close()
})
beforeEach(async () => {
  admits = () => true
  await stage.put('key', 'canary-one')
  heard.length = 0
})

const opening = JSON.stringify({
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
})

test('stream and messages have the credential, and the session that was opened with the one before goes on', async () => {
  const session = await gateway.initialize(agent, 'notes')
  await stage.put('key', 'canary-two')
  const answer = await gateway.rpc(agent, 'notes', { session, body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}' })
  equal(answer.status, 200, answer.text)
  deepEqual(
    heard.map(({ method, authorization }) => `${method} ${authorization}`),
    ['GET Bearer canary-one', 'POST Bearer canary-one', 'POST Bearer canary-one', 'POST Bearer canary-two'],
  )
})

test('one that was replaced meanwhile is tried once, for the stream and for a message', async () => {
  for (const refused of ['GET', 'POST']) {
    await stage.put('key', 'canary-one')
    let first = true
    admits = async (authorization, method) => {
      if (method === refused && first) {
        first = false
        await stage.put('key', 'canary-new')
      }
      return method !== refused || authorization.endsWith('new')
    }
    heard.length = 0
    const answer = await gateway.rpc(agent, 'notes', { body: opening })
    equal(answer.status, 200, answer.text)
    equal(heard.filter(({ method }) => method === refused).length, 2)
  }
})

test('one that is refused ends the call, and is not given a second time', async () => {
  for (const refused of ['GET', 'POST']) {
    admits = (_, method) => method !== refused
    heard.length = 0
    const answer = await gateway.rpc(agent, 'notes', { body: opening })
    equal(answer.headers['doorward-code'], 'credential_refused', `${refused}: ${answer.text}`)
    equal(heard.filter(({ method }) => method === refused).length, 1)
  }
})

test('without one nothing is sent', async () => {
  await stage.remove('key')
  const answer = await gateway.rpc(agent, 'notes', { body: opening })
  deepEqual([answer.headers['doorward-code'], answer.status, heard], ['credential_unavailable', 503, []])
})
