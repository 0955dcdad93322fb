/**
 * Renewal without a failed request: callers call all the time over kept connections while the caller's, the gateway's
 * and the authority's own certificate are replaced again and again. Everything is counted from outside: what the callers
 * got, what the record says, what reached the server behind.
 */

import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { readCertificate } from '@doorward/core'
import { openIdentity, openMcpClient, readBody, sha256, systemRuntime } from '@doorward/sdk'
import type { Identity, McpClient } from '@doorward/sdk'
import { readEntries } from '../../packages/server/src/audit/read.ts'
import { recordOf } from '../fixtures/authority/running.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import { startSystem } from '../fixtures/running-system.ts'
import type { RunningSystem } from '../fixtures/running-system.ts'
import { pemOf } from '../fixtures/trust-fixture.ts'

const ROUNDS = 3
const WORKERS = 4

let system: RunningSystem
let folder: string
let caller: Identity

before(async () => {
  system = await startSystem()
  folder = await system.join('agent/caller')
  caller = await system.open(folder)
})
after(() => system.stop())

/** Decisions of the gateway so far that were not allowed, and refusals of strangers. */
async function refusals(): Promise<readonly unknown[]> {
  const found: unknown[] = []
  for await (const { entry } of readEntries(system.gateway.record.folder)) {
    if (entry.kind === 'refusals' || (entry.kind === 'decision' && entry.body['decision'] !== 'allow'))
      found.push(entry)
  }
  return found
}

interface Load {
  readonly done: () => number
  readonly failures: unknown[]
  readonly stop: () => Promise<void>
}

/** Calls without pause until it is stopped. */
function load(callOnce: () => Promise<void>): Load {
  let done = 0
  const stopping = new AbortController()
  const failures: unknown[] = []
  const worker = async () => {
    while (!stopping.signal.aborted) {
      await callOnce().then(
        () => done++,
        (error: unknown) => failures.push(error),
      )
    }
  }
  const running = Promise.all(Array.from({ length: WORKERS }, worker))
  return {
    done: () => done,
    failures,
    stop: async () => {
      stopping.abort()
      await running
    },
  }
}

async function further(calls: Load): Promise<void> {
  const goal = calls.done() + 10 * WORKERS
  while (calls.done() < goal && calls.failures.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
}

function mcp(identity: Identity): Promise<McpClient> {
  return openMcpClient({
    fetch: identity,
    endpoint: system.endpoint,
    runtime: systemRuntime,
    client: { name: 'test', version: '1' },
  })
}

async function readNote(client: McpClient): Promise<void> {
  const answer = await client.request('tools/call', { name: 'read_note', arguments: {} })
  if (!answer.ok) throw new Error(`refused: ${answer.message}`)
}

async function gatewayCertificate(): Promise<string> {
  const socket = await kept()
  const read = readCertificate(socket.getPeerX509Certificate()!.raw, { sha256 })
  // Not destroyed: the server may be in the middle of the handshake still, and would count a refusal.
  socket.end()
  assert.ok(!('problem' in read))
  return read.fingerprint
}

/** A connection under the caller's certificate of now, which nobody replaces. */
function kept(): Promise<TLSSocket> {
  const { chain, privateKey } = caller.credentials.current()
  return dial({
    ...system.gateway.addresses.main,
    ca: caller.material().anchors.map(pemOf),
    cert: chain.map(pemOf).join(''),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  })
}

/** A raw call over one connection, as a client that never heard of renewal makes it. */
async function rawCalls(): Promise<{ readonly call: () => Promise<void>; readonly socket: TLSSocket }> {
  const token = (await caller.token(system.endpoint.audience)).reveal()
  const socket = await kept()
  let session = ''
  const send = async (message: object): Promise<void> => {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message })
    const { host, port } = system.gateway.addresses.main
    const head = [
      'POST /mcp/files HTTP/1.1',
      `Host: ${host}:${port}`,
      `Authorization: Bearer ${token}`,
      'Accept: application/json, text/event-stream',
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      ...(session === '' ? [] : [`Mcp-Session-Id: ${session}`]),
    ]
    const answer = parseAnswer(await talk(socket, `${head.join('\r\n')}\r\n\r\n${body}`))
    if (answer.status !== 200 && answer.status !== 202) throw new Error(answer.text)
    session ||= answer.headers['mcp-session-id'] ?? ''
  }
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } }
  await send({ id: 0, method: 'initialize', params })
  await send({ method: 'notifications/initialized' })
  return { socket, call: () => send({ id: 1, method: 'tools/call', params: { name: 'read_note', arguments: {} } }) }
}

test('no call fails while every certificate is replaced several times', async () => {
  const client = await mcp(caller)
  const old = await rawCalls()
  const calls = load(() => readNote(client))
  await further(calls)
  const generations = { caller: new Set<string>(), gateway: new Set<string>() }
  for (let round = 0; round < ROUNDS; round++) {
    await caller.renew()
    await further(calls)
    await system.gateway.renew()
    await further(calls)
    await system.authority.running.renew()
    await further(calls)
    await Promise.all([caller.renew(), system.gateway.renew(), system.authority.running.renew()])
    await further(calls)
    generations.caller.add(caller.credentials.current().fingerprint)
    generations.gateway.add(await gatewayCertificate())
    await old.call()
  }
  await calls.stop()
  assert.deepEqual(calls.failures, [])
  assert.deepEqual(await refusals(), [])
  assert.deepEqual([generations.caller.size, generations.gateway.size], [ROUNDS, ROUNDS])
  const reached = system.tap.since(0).split('"tools/call"').length - 1
  assert.equal(reached, calls.done() + ROUNDS)
  assert.equal(old.socket.destroyed, false)
  old.socket.destroy()
  await client.close()
})

test('a stream that is open goes on over the renewal of both ends', async () => {
  const client = await mcp(caller)
  const stream = new AbortController()
  const listening = await caller.call(system.endpoint.url, {
    audience: system.endpoint.audience,
    expectedId: system.endpoint.expectedId,
    headers: { accept: 'text/event-stream', 'mcp-session-id': await sessionId() },
    signal: stream.signal,
  })
  assert.equal(listening.status, 200)
  let ended = false
  listening.body.once('close', () => (ended = true))
  await Promise.all([caller.renew(), system.gateway.renew()])
  await readNote(client)
  assert.equal(ended, false)
  stream.abort()
  listening.body.destroy()
  await client.close()
})

/** A session of its own, opened by hand. */
async function sessionId(): Promise<string> {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
  const response = await caller.call(system.endpoint.url, {
    method: 'POST',
    audience: system.endpoint.audience,
    expectedId: system.endpoint.expectedId,
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
  })
  await readBody(response, 65_536)
  return String(response.headers['mcp-session-id'])
}

let marks = 0

/** Renewals on the authority's record so far: all of them, because an entry made after them is there too. */
async function renewalsOf({ id }: Identity): Promise<number> {
  const mark = `spiffe://test.example/agent/mark-${++marks}`
  await system.authority.running.registerWorkload({ id: mark, roles: [] }, 'test')
  for (;;) {
    const entries = await recordOf(system.folders)
    const renewals = entries.filter(({ body }) => body['occasion'] === 'renew' && body['id'] === id.uri)
    if (entries.some(({ body }) => body['id'] === mark)) return renewals.length
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

test('processes of one identity that renew together renew once, and both call with what came of it', async () => {
  const own = await system.join('agent/pair')
  const pair = [await system.open(own), await system.open(own)] as const
  const clients = await Promise.all(pair.map(mcp))
  const before = await renewalsOf(pair[0])
  await Promise.all(pair.map((identity) => identity.renew()))
  assert.equal(await renewalsOf(pair[0]), before + 1)
  assert.equal(new Set(pair.map((identity) => identity.credentials.current().fingerprint)).size, 1)
  for (const client of clients) {
    await readNote(client)
    await client.close()
  }
})

test('a workload whose certificates are all gone returns by its machine key and calls, while the others go on', async () => {
  const own = await system.join('agent/dark')
  await rm(join(own, 'svid.json'))
  const client = await mcp(caller)
  const calls = load(() => readNote(client))
  const dark = await openIdentity({ folder: own, sealer: system.sealer })
  assert.equal(dark.credentials.peek(), null)
  dark.close()
  const returned = await system.open(own)
  const again = await mcp(returned)
  await readNote(again)
  await further(calls)
  await calls.stop()
  assert.deepEqual(calls.failures, [])
  await again.close()
  await client.close()
})
