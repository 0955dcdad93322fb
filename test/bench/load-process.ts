/** The callers: kept connections over mutual TLS, one call under way on each, bounded in time and count. */

import { once } from 'node:events'
import { connect } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { started, tell } from './child.ts'
import { headerOf, MessageReader } from './framing.ts'
import type { Message } from './framing.ts'
import { callBody, callBytes } from './messages.ts'
import type { LoadRequest, LoadResult } from './messages.ts'

const FIRST_ID = 1_000_000
const STALL_MILLISECONDS = 20_000

const { pem } = await started('load')

interface Caller {
  readonly socket: TLSSocket
  /** Sends the text and waits for the answer. */
  exchange(text: string): Promise<Message>
}

async function openCaller(port: number): Promise<Caller> {
  const socket = connect({
    host: '127.0.0.1',
    port,
    cert: pem.cert,
    key: pem.key,
    ca: pem.anchors,
    minVersion: 'TLSv1.3',
    ecdhCurve: 'X25519MLKEM768:X25519:P-256',
    ALPNProtocols: ['http/1.1'],
    checkServerIdentity: () => undefined,
  })
  await once(socket, 'secureConnect')
  socket.setNoDelay(true)
  const reader = new MessageReader()
  let waiting: { resolve: (message: Message) => void; reject: (error: Error) => void } | null = null
  socket.on('data', (chunk: Buffer) => {
    for (const message of reader.push(chunk)) waiting?.resolve(message)
  })
  const gone = (error?: Error) => waiting?.reject(error ?? new Error('the connection ended'))
  socket.on('error', gone).on('close', () => gone())
  return {
    socket,
    exchange: (text) =>
      new Promise((resolve, reject) => {
        waiting = { resolve, reject }
        socket.write(text)
      }),
  }
}

function requestText({ port, path, token }: LoadRequest, session: string, body: string): string {
  return (
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${token}\r\n` +
    `Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n${session}` +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  )
}

/** Opens an MCP session; the headers that name it. */
async function openSession(caller: Caller, request: LoadRequest): Promise<string> {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'bench', version: '1' } }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
  const answer = await caller.exchange(requestText(request, '', body))
  const session = headerOf(answer.head, 'mcp-session-id')
  if (session === '') throw new Error(`no session: ${answer.head} ${answer.body.toString()}`)
  const headers = `Mcp-Session-Id: ${session}\r\nMCP-Protocol-Version: 2025-11-25\r\n`
  await caller.exchange(requestText(request, headers, '{"jsonrpc":"2.0","method":"notifications/initialized"}'))
  return headers
}

interface Run {
  readonly latencies: Float64Array
  calls: number
  readonly until: number
}

/** Calls one after the other until the time or the count is over. */
async function call(caller: Caller, parts: { request: LoadRequest; session: string; first: number }, run: Run) {
  const prefix = requestText(parts.request, parts.session, ' '.repeat(callBytes)).trimEnd()
  let id = parts.first
  while (run.calls < run.latencies.length) {
    const slot = run.calls++
    const begun = performance.now()
    const { head, body } = await caller.exchange(`${prefix}\r\n\r\n${callBody(id)}`)
    const ended = performance.now()
    run.latencies[slot] = (ended - begun) * 1000
    if (!head.startsWith('HTTP/1.1 200') || !body.includes(`"id":${id},"result"`))
      throw new Error(`call ${id} failed: ${head} ${body.toString()}`)
    id++
    if (ended >= run.until) return
  }
}

async function measure(request: LoadRequest): Promise<LoadResult> {
  const callers = await Promise.all(Array.from({ length: request.connections }, () => openCaller(request.port)))
  const watchdog = setTimeout(() => process.exit(1), request.milliseconds + STALL_MILLISECONDS)
  try {
    const sessions = await Promise.all(callers.map((caller) => openSession(caller, request)))
    const all = async (run: Run) => {
      const each = callers.map((caller, i) =>
        call(caller, { request, session: sessions[i] ?? '', first: FIRST_ID + (i + 1) * 100_000 }, run),
      )
      await Promise.all(each)
    }
    await all({ latencies: new Float64Array(request.warmupCalls), calls: 0, until: Number.POSITIVE_INFINITY })
    // The process under test is looked at while nothing is under way.
    tell({ event: 'measuring' })
    await once(process, 'message')
    const begun = performance.now()
    const run: Run = {
      latencies: new Float64Array(request.maximumCalls),
      calls: 0,
      until: begun + request.milliseconds,
    }
    await all(run)
    const milliseconds = performance.now() - begun
    return { calls: run.calls, milliseconds, latencies: run.latencies.slice(0, run.calls) }
  } finally {
    clearTimeout(watchdog)
    for (const { socket } of callers) socket.destroy()
  }
}

tell({ port: 0 })
for (;;) {
  const [request] = (await once(process, 'message')) as [LoadRequest]
  tell(await measure(request))
}
