/** The callers: kept connections, one call under way on each, bounded in time and count. */

import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import type { Socket } from 'node:net'
import { connect } from 'node:tls'
import { timerSleep } from '@doorward/sdk'
import { started, tell } from './child.ts'
import { headerOf, MessageReader } from './framing.ts'
import type { Message } from './framing.ts'
import { callBody, callBytes } from './messages.ts'
import type { LoadRequest, LoadResult } from './messages.ts'

const FIRST_ID = 1_000_000
const STALL_MILLISECONDS = 20_000

const { pem } = await started('load')

interface Caller {
  readonly socket: Socket
  /** Sends the text and waits for the answer. */
  exchange(text: string): Promise<Message>
}

async function openSocket({ port, plain }: LoadRequest): Promise<Socket> {
  const place = { host: '127.0.0.1', port }
  if (plain) {
    const socket = connectTcp(place)
    await once(socket, 'connect')
    return socket
  }
  const socket = connect({
    ...place,
    cert: pem.cert,
    key: pem.key,
    ca: pem.anchors,
    minVersion: 'TLSv1.3',
    ecdhCurve: 'X25519MLKEM768:X25519:P-256',
    ALPNProtocols: ['http/1.1'],
    checkServerIdentity: () => undefined,
  })
  await once(socket, 'secureConnect')
  return socket
}

async function openCaller(request: LoadRequest): Promise<Caller> {
  const socket = await openSocket(request)
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

/** Over a connection that is opened for it. */
async function exchangeAlone(request: LoadRequest, text: string): Promise<Message> {
  const caller = await openCaller(request)
  try {
    return await caller.exchange(text)
  } finally {
    caller.socket.end()
  }
}

type Verb = 'POST' | 'DELETE'

function requestText({ port, path, token }: LoadRequest, session: string, body: string, verb: Verb = 'POST'): string {
  return (
    `${verb} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${token}\r\n` +
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
  /** Milliseconds between two calls of one connection; 0 for none. */
  readonly every: number
  calls: number
  readonly until: number
}

interface Part {
  readonly request: LoadRequest
  readonly session: string
  /** Id of the first call. */
  readonly first: number
  /** When the first call is due. */
  readonly due: number
}

/** Waits until then. From when on the call counts: who is late because of an answer has been waiting, a late timer is ours. */
async function dueAt(due: number): Promise<number> {
  const wait = due - performance.now()
  if (wait <= 0) return due
  await timerSleep(wait)
  return performance.now()
}

/** Calls one after the other until the time or the count is over. */
async function call(caller: Caller, parts: Part, run: Run) {
  const prefix = requestText(parts.request, parts.session, ' '.repeat(callBytes)).trimEnd()
  let id = parts.first
  let due = parts.due
  while (run.calls < run.latencies.length) {
    const slot = run.calls++
    const begun = run.every === 0 ? performance.now() : await dueAt(due)
    due += run.every
    const text = `${prefix}\r\n\r\n${callBody(id)}`
    const alone = parts.request.fresh === true
    const { head, body } = await (alone ? exchangeAlone(parts.request, text) : caller.exchange(text))
    const ended = performance.now()
    run.latencies[slot] = (ended - begun) * 1000
    // The order of members is the server's own.
    if (!head.startsWith('HTTP/1.1 200') || !body.includes(`"id":${id}`) || !body.includes('"result"'))
      throw new Error(`call ${id} failed: ${head} ${body.toString()}`)
    id++
    if (ended >= run.until) return
  }
}

async function measure(request: LoadRequest): Promise<LoadResult> {
  const callers = await Promise.all(Array.from({ length: request.connections }, () => openCaller(request)))
  const watchdog = setTimeout(() => process.exit(1), request.milliseconds + STALL_MILLISECONDS)
  try {
    const sessions = await Promise.all(callers.map((caller) => openSession(caller, request)))
    const partOf = (i: number, due: number): Part => ({
      request,
      session: sessions[i] ?? '',
      first: FIRST_ID + (i + 1) * 100_000,
      due,
    })
    const all = async (run: Run) => {
      const each = callers.map((caller, i) =>
        call(caller, partOf(i, performance.now() + (run.every * i) / callers.length), run),
      )
      await Promise.all(each)
    }
    await all({ latencies: new Float64Array(request.warmupCalls), every: 0, calls: 0, until: Number.POSITIVE_INFINITY })
    // The process under test is looked at while nothing is under way.
    tell({ event: 'measuring' })
    await once(process, 'message')
    const begun = performance.now()
    const run: Run = {
      latencies: new Float64Array(request.maximumCalls),
      every: request.perSecond === undefined ? 0 : (1000 * request.connections) / request.perSecond,
      calls: 0,
      until: begun + request.milliseconds,
    }
    await all(run)
    const milliseconds = performance.now() - begun
    // A server that was started for a session ends with it.
    await Promise.all(
      callers.map((caller, i) => caller.exchange(requestText(request, sessions[i] ?? '', '', 'DELETE'))),
    )
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
