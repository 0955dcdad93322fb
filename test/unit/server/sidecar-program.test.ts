/** The way from a sidecar to its program: connections are kept, and nobody gets what is left of somebody else's call. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { createServer as createHttp, request as send } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, afterEach, before, test } from 'node:test'
import { programAt } from '../../../packages/server/src/apps/sidecar/program.ts'
import type { Program } from '../../../packages/server/src/apps/sidecar/program.ts'
import { callProgram } from '../../../packages/server/src/transports/sidecar/program-call.ts'
import type { ProgramFailure } from '../../../packages/server/src/transports/sidecar/program-call.ts'

const uid = process.getuid?.() ?? 0
const limits = { answerMilliseconds: 5000, streamMilliseconds: 5000, bytes: 100_000 }

let folder: string
let path: string
let program: Program
let front: Server
let listening: Server | null = null
/** What reached the program: on which of its connections, and the first line. */
const reached: (readonly [connection: number, line: string])[] = []
const open = new Set<Socket>()
const failures: ProgramFailure[] = []
let owner = uid

before(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'doorward-program-')))
  path = join(folder, 'program.sock')
  program = programAt({ socket: path }, uid, { of: () => ({ pid: 1, uid: owner, gid: 0, pidfd: null }) })
  front = createHttp((request, response) => {
    void (async () => {
      const body = await buffer(request)
      const { method = '', url: target = '', headers } = request
      const connect = async () => {
        if (target === '/gone') {
          // As when a denial arrives while the assertion is signed.
          response.destroy()
          await once(response, 'close')
        }
        const connection = await program.connect(response)
        if (typeof connection === 'string') throw new TypeError(connection)
        return connection
      }
      const what = { method, target, headers, own: {}, body }
      const failure = await callProgram(connect, what, response, limits).catch((error: unknown) => {
        failures.push({ code: 'upstream_unavailable', reason: String(error) })
        response.destroy()
      })
      if (failure === null || failure === undefined) return
      failures.push(failure)
      if (response.headersSent) response.destroy()
      else response.writeHead(502).end()
    })()
  })
  await once(front.listen({ path: join(folder, 'front.sock') }), 'listening')
})

afterEach(async () => {
  await stopped()
  reached.length = 0
  failures.length = 0
})

after(async () => {
  program.close()
  front.close()
  await rm(folder, { recursive: true })
})

type Answers = (socket: Socket, line: string) => void

/** A program that does with a request what it is told to. */
async function runs(answers: Answers): Promise<void> {
  let connections = 0
  listening = createServer((socket) => {
    const own = connections++
    open.add(socket)
    socket.on('error', () => socket.destroy()).once('close', () => open.delete(socket))
    let text = ''
    socket.on('data', (part: Buffer) => {
      text += part.toString('latin1')
      if (!text.includes('\r\n\r\n')) return
      const [line = ''] = text.split(' HTTP/1.1')
      text = ''
      reached.push([own, line])
      answers(socket, line)
    })
  })
  await once(listening.listen({ path }), 'listening')
}

async function stopped(): Promise<void> {
  for (const socket of open) socket.destroy()
  const closed = listening === null ? null : once(listening, 'close')
  listening?.close()
  listening = null
  await closed
}

const told = (line: string) => `HTTP/1.1 200 OK\r\ncontent-length: ${line.length}\r\n\r\n${line}`
const chunked = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\ntext\r\n0\r\n\r\n'
const rightly: Answers = (socket, line) => void socket.write(told(line))

interface Asked {
  readonly status: number
  readonly text: string
}

async function ask(target: string, method = 'GET', body = ''): Promise<Asked> {
  const outgoing = send({ socketPath: join(folder, 'front.sock'), path: target, method, agent: false })
  outgoing.end(body)
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
  return { status: answer.statusCode ?? 0, text: (await buffer(answer)).toString() }
}

/** After this turn of the loop a connection is kept, or is not. */
const settled = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

test('one call after the other takes the same connection, and calls at once have one each', async () => {
  await runs(rightly)
  for (const target of ['/a', '/b', '/c']) {
    assert.deepEqual(await ask(target), { status: 200, text: `GET ${target}` })
    await settled()
  }
  assert.deepEqual(reached, [
    [0, 'GET /a'],
    [0, 'GET /b'],
    [0, 'GET /c'],
  ])
  const targets = Array.from({ length: 20 }, (_, i) => `/${i}`)
  const texts = await Promise.all(targets.map(async (target) => (await ask(target)).text))
  assert.deepEqual(
    texts,
    targets.map((target) => `GET ${target}`),
  )
})

test('an answer in chunks leaves a connection that is used again', async () => {
  await runs((socket) => void socket.write(chunked))
  for (const target of ['/a', '/b']) {
    assert.deepEqual(await ask(target), { status: 200, text: 'text' })
    await settled()
  }
  assert.deepEqual(
    reached.map(([connection]) => connection),
    [0, 0],
  )
})

const unclean: readonly (readonly [string, Answers, string?])[] = [
  ['more than an answer in chunks', (socket) => void socket.write(`${chunked}HTTP/1.1 200 OK\r\nx: y`)],
  [
    'more than the answer, a moment later',
    (socket, line) =>
      void socket.write(told(line), () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged')),
  ],
  [
    'an end that was announced',
    (socket, line) => void socket.write(told(line).replace('\r\n', '\r\nconnection: close\r\n')),
  ],
  ['half an answer', (socket) => void socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf')],
  ['something else than HTTP', (socket) => void socket.write('SSH-2.0-none\r\n\r\n')],
  [
    'another protocol',
    (socket) => void socket.write('HTTP/1.1 101 Other\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
  ],
  ['a body where there is none', (socket, line) => void socket.write(told(line)), 'HEAD'],
]

/** The first call is answered so; those that follow have connections and answers of their own. */
async function usedNoMore(answers: Answers, method = 'GET'): Promise<void> {
  let first = true
  await runs((socket, line) => {
    if (first) answers(socket, line)
    else rightly(socket, line)
    first = false
  })
  await ask('/first', method).catch(() => null)
  await settled()
  for (const target of ['/second', '/third'])
    assert.deepEqual(await ask(target), { status: 200, text: `GET ${target}` })
  assert.deepEqual(
    reached.map(([connection]) => connection > 0),
    [false, true, true],
  )
}

test('a connection is not used again after more than the answer in one piece', () =>
  usedNoMore((socket, line) => void socket.write(`${told(line)}HTTP/1.1 200 OK\r\n`)))

for (const [what, answers, method] of unclean)
  test(`a connection is not used again after ${what}`, () => usedNoMore(answers, method))

test('a connection is not used again after an answer that came before the request was sent', async () => {
  let first = true
  await runs((socket, line) => {
    if (first) socket.pause()
    first = false
    socket.write(told(line))
  })
  // More than the kernel takes while nobody reads.
  assert.deepEqual(await ask('/first', 'POST', 'x'.repeat(4_000_000)), { status: 200, text: 'POST /first' })
  assert.deepEqual(await ask('/second'), { status: 200, text: 'GET /second' })
  assert.deepEqual(reached, [
    [0, 'POST /first'],
    [1, 'GET /second'],
  ])
})

test('a call whose caller goes takes its connection with it', async () => {
  await runs((socket, line) => (line === 'GET /never' ? undefined : rightly(socket, line)))
  const outgoing = send({ socketPath: join(folder, 'front.sock'), path: '/never', agent: false })
  outgoing.on('error', () => undefined)
  outgoing.end()
  while (reached.length === 0) await settled()
  const [socket] = open
  assert.ok(socket !== undefined)
  const closed = once(socket, 'close')
  outgoing.destroy()
  await closed
  assert.equal((await ask('/next')).text, 'GET /next')
})

test('a request that may have arrived is not sent again', async () => {
  let count = 0
  await runs((socket, line) => (count++ === 0 ? rightly(socket, line) : void socket.destroy()))
  assert.equal((await ask('/first')).status, 200)
  await settled()
  assert.equal((await ask('/second')).status, 502)
  assert.deepEqual(reached, [
    [0, 'GET /first'],
    [0, 'GET /second'],
  ])
  assert.deepEqual(
    failures.map(({ code }) => code),
    ['upstream_unavailable'],
  )
})

test('a program that is started again is dialled anew, and judged anew', async () => {
  await runs(rightly)
  assert.equal((await ask('/first')).status, 200)
  await stopped()
  await runs(rightly)
  assert.equal((await ask('/second')).text, 'GET /second')
  await settled()
  // The earlier one may live on: what lies at its place now counts.
  const [kept] = open
  const earlier = listening
  listening = null
  earlier?.close()
  await rm(path, { force: true })
  await runs(rightly)
  owner = uid + 1
  await assert.rejects(ask('/third'))
  owner = uid
  assert.equal(kept?.destroyed, true)
  assert.deepEqual(
    reached.map(([, line]) => line),
    ['GET /first', 'GET /second'],
  )
})

test('a connection that nobody uses is closed after a moment, and at the end', async () => {
  await runs(rightly)
  assert.equal((await ask('/first')).status, 200)
  const [first] = open
  assert.ok(first !== undefined)
  await once(first, 'close')
  assert.equal((await ask('/second')).status, 200)
  await settled()
  const [second] = open
  assert.ok(second !== undefined)
  const closed = once(second, 'close')
  program.close()
  await closed
})

test('whoever went before a kept connection was taken makes no call on it', async () => {
  await runs(rightly)
  await ask('/first')
  await settled()
  await assert.rejects(ask('/gone', 'POST', 'written'))
  await settled()
  await ask('/last')
  assert.deepEqual(
    reached.map(([, line]) => line),
    ['GET /first', 'GET /last'],
  )
  assert.equal(failures.length, 1)
})
