/**
 * What one caller does not read costs the gateway no more than a bounded number of bytes, and its server waits: over real
 * sockets, with servers that send as fast as they may. Others are served meanwhile, and whoever reads on has missed nothing.
 */

import { equal, ok } from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { Backlog, mostBacklog } from '../../packages/server/src/transports/backlog.ts'
import { GrowingBytes } from '../../packages/enforcement/src/wire/growing-bytes.ts'
import { StreamableReply } from '../../packages/server/src/transports/streamable-http-reply.ts'
import { GatewayFixture } from '../fixtures/gateway-fixture.ts'
import { modern, modernServer } from '../fixtures/modern-server.ts'
import { dial } from '../fixtures/raw-http.ts'
import { event, json } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

const KIB = 1024
/** More than sockets of any size take by themselves. */
const TOTAL = 64 * KIB * KIB
const PIECE = 64 * KIB
const LARGE = 1024 * KIB

let folder: string
let counted: string
let server: ScriptedServer
let gateway: GatewayFixture
let agent: TestSvid
/** Bytes that the HTTP server was let send. */
let sent = 0

const message = (at: number) => {
  const data = `${at}:`.padEnd(at === 1 ? LARGE : PIECE, 'x')
  return JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data } })
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-slow-'))
  counted = join(folder, 'sent')
  const program = join(folder, 'server.mjs')
  await writeFile(program, stdioServer)
  server = await modernServer(({ method, body }, response) => {
    if (method === 'DELETE') return void response.writeHead(200).end()
    const { id } = JSON.parse(body) as { id: number }
    if (!body.includes('"endless"'))
      return json(response, JSON.stringify({ jsonrpc: '2.0', id, result: { resultType: 'complete', content: [] } }))
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    const more = async () => {
      for (let at = 0; sent < TOTAL && !response.destroyed; at++) {
        const text = event(message(at))
        sent += text.length
        if (!response.write(text)) await new Promise((resolve) => response.once('drain', resolve))
      }
    }
    void more()
  })
  gateway = await GatewayFixture.open({
    servers: {
      http: { url: server.url },
      stdio: {
        command: [process.execPath, program],
        env: { COUNTED: counted, TOTAL: String(TOTAL), PIECE: String(PIECE) },
      },
    },
    roles: { all: ['*'] },
    keepAliveMilliseconds: 5,
  })
  agent = await gateway.trust.issue('agent/planner', { roles: ['all'] })
})
after(async () => {
  await gateway.close()
  await server.close()
  await rm(folder, { recursive: true })
})

/** Sends notifications before its answer to `endless`, and writes down how many bytes it was let write. */
const stdioServer = `
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
const { COUNTED, TOTAL, PIECE } = process.env
const say = (message) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n')
let sent = 0
for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line)
  if (method === 'initialize') say({ id, result: { protocolVersion: params.protocolVersion, capabilities: {}, serverInfo: { name: 'x', version: '1' } } })
  else if (params?.name === 'endless') more()
  else if (id !== undefined) say({ id, result: { content: [] } })
}
async function more() {
  for (let at = 0; sent < Number(TOTAL); at++) {
    const data = (at + ':').padEnd(at === 1 ? 1024 * 1024 : Number(PIECE), 'x')
    sent += data.length
    writeFileSync(COUNTED, String(sent))
    if (!say({ method: 'notifications/message', params: { level: 'info', data } })) await once(process.stdout, 'drain')
  }
}
`

const endless = JSON.stringify({
  jsonrpc: '2.0',
  id: 7,
  method: 'tools/call',
  params: { name: 'endless', arguments: {} },
})

async function asks(name: string, era: 'legacy' | 'modern'): Promise<TLSSocket> {
  const socket = await dial(gateway.connection(agent))
  socket.pause()
  const rpc =
    era === 'modern'
      ? modern('tools/call', { params: { name: 'endless', arguments: {} } })
      : { session: await gateway.initialize(agent, name), body: endless }
  socket.write(await gateway.request(agent, name, rpc))
  return socket
}

/** Once nothing more goes on: the most bytes that ever waited in the gateway, and what the server was let send. */
async function standstill(progress: () => Promise<number>): Promise<{ readonly most: number; readonly let: number }> {
  let [most, before, same] = [0, -1, 0]
  for (let i = 0; i < 3000 && same < 60; i++) {
    await sleep(10)
    for (const call of gateway.pipeline.open) if (call instanceof StreamableReply) most = Math.max(most, call.unread)
    const now = await progress()
    same = now === before && now > 0 ? same + 1 : 0
    before = now
  }
  return { most, let: before }
}

/** Reads on until so many messages have come, each whole and in its place. */
async function readsOn(socket: TLSSocket, count: number): Promise<void> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.resume()
  for (let i = 0; i < 3000; i++) {
    await sleep(10)
    const whole = unchunked(Buffer.concat(chunks).toString('latin1')).split('\n\n').slice(0, -1)
    const told = whole.filter((one) => !one.startsWith(':'))
    if (told.length < count) continue
    for (const [at, one] of told.entries()) {
      const { params } = JSON.parse(one.replace(/^[^]*?data: /, '')) as { params: { data: string } }
      equal(params.data.slice(0, 4), `${at}:xxx`.slice(0, 4))
      equal(params.data.length, at === 1 ? LARGE : PIECE)
    }
    return
  }
  throw new Error('the messages did not come')
}

/** What of a chunked answer has come. */
function unchunked(text: string): string {
  let out = ''
  let at = text.indexOf('\r\n\r\n') + 4
  for (;;) {
    const line = text.indexOf('\r\n', at)
    const size = Number.parseInt(text.slice(at, line), 16)
    if (line < 0 || !(size > 0) || line + 2 + size > text.length) return out
    out += text.slice(line + 2, line + 2 + size)
    at = line + 4 + size
  }
}

const others: readonly (readonly [what: string, name: string, era: 'legacy' | 'modern'])[] = [
  ['a server over HTTP waits for a caller of the legacy era that does not read', 'http', 'legacy'],
  ['a server over HTTP waits for a caller of the modern era that does not read', 'http', 'modern'],
  ['a process waits for a caller that does not read', 'stdio', 'legacy'],
]
for (const [what, name, era] of others)
  test(what, async () => {
    sent = 0
    const socket = await asks(name, era)
    try {
      const progress = async () => (name === 'http' ? sent : Number(await readFile(counted, 'utf8').catch(() => '0')))
      const { most, let: letSend } = await standstill(progress)
      ok(most > 0 && most <= 64 * KIB, `${most} bytes waited`)
      ok(letSend > LARGE && letSend < TOTAL / 2, `${letSend} bytes were sent`)
      const session = await gateway.initialize(agent, name)
      const served = await gateway.rpc(agent, name, { session, body: endless.replace('endless', 'other') })
      equal(served.status, 200)
      await readsOn(socket, 20)
    } finally {
      socket.destroy()
    }
  })

test('what waits to be delivered stops its channel at a bound, and starts it again below', () => {
  const acts: string[] = []
  const backlog = new Backlog({ pause: () => acts.push('pause'), resume: () => acts.push('resume') })
  backlog.take(mostBacklog)
  equal(acts.length, 0)
  backlog.take(1)
  backlog.take(mostBacklog)
  equal(acts.join(), 'pause')
  backlog.give(mostBacklog)
  equal(acts.join(), 'pause')
  backlog.give(mostBacklog / 2 + 1)
  equal(acts.join(), 'pause,resume')
})

test('what a large message has needed is not kept once it has been taken', () => {
  const held = new GrowingBytes()
  held.append(new Uint8Array(LARGE))
  const whole = held.view().buffer
  held.take(LARGE)
  held.append(new Uint8Array(1))
  ok(held.view().buffer.byteLength < 64 * KIB && held.view().buffer !== whole)
})
