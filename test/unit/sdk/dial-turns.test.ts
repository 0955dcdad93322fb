import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, createServer, request as send } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import type { Agent as HttpsAgent } from 'node:https'
import { DialTurns } from '../../../packages/sdk/src/dial-turns.ts'

type Give = (error: Error | null, stream: Duplex) => void

/** An agent whose dials are seen, and wait until they are let go on. */
function watched(port: number, how: Error | null | (() => Error | null) = null) {
  const agent = new Agent({ keepAlive: true })
  const turns = new DialTurns(agent as HttpsAgent)
  const seen = { now: 0, most: 0, all: 0 }
  const dial = async (give: Give) => {
    const problem = typeof how === 'function' ? how() : how
    seen.all++
    seen.most = Math.max(seen.most, ++seen.now)
    // As long as a handshake takes: others come meanwhile.
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    if (problem === null) {
      const socket = connect(port, '127.0.0.1')
      await once(socket, 'connect')
      give(null, socket)
    } else give(problem, new PassThrough())
    seen.now--
    turns.ended(problem)
  }
  Object.assign(agent, {
    createConnection: (_options: object, give: Give) => {
      turns.begins()
      void dial(give)
    },
  })
  return { agent, seen }
}

async function ask(agent: Agent, port: number): Promise<string> {
  const outgoing = send({ host: '127.0.0.1', port, agent }).end()
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
  return text(answer)
}

test('calls at once dial few connections at a time, take what is free before their turn, and are all answered', async () => {
  const server = createServer((_request, response) => response.end('answer')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const { agent, seen } = watched(port)
  const answers = await Promise.all(Array.from({ length: 100 }, () => ask(agent, port)))
  assert.equal(answers.filter((one) => one === 'answer').length, 100)
  assert.equal(seen.most, 8)
  assert.ok(seen.all < 100, `${seen.all}`)
  agent.destroy()
  server.close()
})

test('where nobody can be reached the calls that wait hear it with those that tried', async () => {
  const { agent, seen } = watched(1, new Error('nobody is there'))
  const answers = await Promise.allSettled(Array.from({ length: 100 }, () => ask(agent, 1)))
  const reasons = answers.map((one) => (one.status === 'rejected' ? String(one.reason) : one.status))
  assert.deepEqual([...new Set(reasons)], ['Error: nobody is there'])
  assert.equal(seen.all, 8)
})

test('where one dial fails and others succeed, calls that wait go with those that did', async () => {
  const server = createServer((_request, response) => response.end('answer')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  let dials = 0
  const { agent } = watched(port, () => (++dials === 1 ? new Error('nobody is there') : null))
  const answers = await Promise.allSettled(Array.from({ length: 40 }, () => ask(agent, port)))
  assert.equal(answers.filter((one) => one.status === 'fulfilled').length, 39)
  agent.destroy()
  server.close()
})

test('a call that is given up while it waits hears it before any dial has ended', async () => {
  const { agent, seen } = watched(1, new Error('nobody is there'))
  const calls = Array.from({ length: 8 }, () => ask(agent, 1))
  const over = Promise.allSettled(calls)
  const given = send({ host: '127.0.0.1', port: 1, agent }).end()
  const heard = once(given, 'error')
  given.destroy(new Error('given up'))
  const [error] = (await heard) as [Error]
  assert.equal(error.message, 'given up')
  assert.equal(seen.now, 8)
  await over
})

test('a call that is given up while it waits is not made', async () => {
  const server = createServer((_request, response) => response.end('answer')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  let reached = 0
  server.on('request', () => reached++)
  const { port } = server.address() as AddressInfo
  const { agent } = watched(port)
  const calls = Array.from({ length: 8 }, () => ask(agent, port))
  const given = send({ host: '127.0.0.1', port, agent }).end()
  given.destroy(new Error('given up'))
  await assert.rejects(once(given, 'response'), /given up/)
  await Promise.all(calls)
  assert.equal(reached, 8)
  agent.destroy()
  server.close()
})
