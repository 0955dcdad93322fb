/** Clocks that are set while gateway and callers run: what has expired stays so, and what is signed apart counts for nothing. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { DoorwardError, epochMillis } from '@doorward/core'
import type { SpiffeId } from '@doorward/core'
import { systemRuntime } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import { startSystem } from '../fixtures/running-system.ts'
import type { RunningSystem } from '../fixtures/running-system.ts'
import { pemOf } from '../fixtures/trust-fixture.ts'

const hour = 3_600_000
const offset = { gateway: 0, caller: 0 }
let system: RunningSystem

before(async () => {
  system = await startSystem({ gatewayClock: () => epochMillis(Date.now() + offset.gateway) })
})
after(() => system.stop())

async function until<T>(look: () => Promise<T | undefined> | T | undefined, what: string): Promise<T> {
  const deadline = performance.now() + 40_000
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > deadline) throw new Error(`not seen in time: ${what}`)
    await sleep(50)
  }
}

test('OP-11: a caller whose clock is set is told so, and goes on when it is right', async () => {
  const problems: unknown[] = []
  const runtime = { ...systemRuntime, wall: () => epochMillis(Date.now() + offset.caller) }
  const identity = await system.open(await system.join('agent/skewed'), {
    runtime,
    onProblem: (error) => problems.push(error),
  })
  const codes = () => problems.flatMap((error) => (error instanceof DoorwardError ? [error.code] : []))
  const status = async (url: string, expectedId: SpiffeId, audience: string | null) => {
    const answer = await identity.call(new URL('/mcp/files', url), { audience, expectedId })
    answer.body.resume()
    return answer.status
  }
  const asked = () => status(system.endpoint.url, system.endpoint.expectedId, system.endpoint.audience)
  const plain = await asked()
  assert.ok(plain >= 400 && plain < 500, 'a call without a session is answered')
  for (const step of [2 * hour, -2 * hour]) {
    problems.length = 0
    offset.caller = step
    // What it asks the authority for now tells it the time.
    await identity.token(`${system.endpoint.audience}?step=${step}`).catch(() => undefined)
    await until(
      () => codes().includes('clock_skewed') || codes().some((code) => /stale|not_yet_valid/.test(code)) || undefined,
      'a word about the clock',
    )
    offset.caller = 0
    await until(async () => (await asked().catch(() => 0)) === plain || undefined, 'calls to go on')
  }
})

/** What the gateway says to a call with this certificate and token, whoever has them now. */
async function shown(identity: Identity): Promise<() => Promise<string>> {
  const { chain, privateKey } = identity.credentials.current()
  const token = (await identity.token(system.endpoint.audience)).reveal()
  const { host, port } = system.gateway.addresses.main
  const tls = {
    host,
    port,
    ca: identity.material().anchors.map(pemOf),
    cert: chain.map(pemOf).join(''),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  }
  const call = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_note","arguments":{}}}'
  const text = `POST /mcp/files HTTP/1.1\r\nHost: ${host}:${port}\r\nAuthorization: Bearer ${token}\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\nContent-Length: ${call.length}\r\n\r\n${call}`
  return async () => {
    const socket = await dial(tls)
    const answer = parseAnswer(await talk(socket, text))
    socket.destroy()
    return answer.headers['doorward-code'] ?? 'no answer'
  }
}

test('OP-11: a gateway whose clock is set back revives neither an expired certificate nor an expired token', async () => {
  const brief = await system.open(await system.join('agent/brief', { ttlSeconds: 300 }))
  const lasting = await system.open(await system.join('agent/lasting'))
  const certificate = await shown(brief)
  const token = await shown(lasting)
  assert.equal(await certificate(), 'session_missing', 'all is well but for the session')
  assert.equal(await token(), 'session_missing')
  // Time passes for the authority and the gateway alike.
  system.authority.advance(6 * 60_000)
  offset.gateway += 6 * 60_000
  // The connection is closed when it is opened, or the request is refused.
  const ended = ['certificate_expired', 'no answer']
  await until(async () => (await token()) === 'token_expired' || undefined, 'the end of the token')
  await until(async () => ended.includes(await certificate()) || undefined, 'the end of the certificate')
  for (const step of [-hour, hour]) {
    offset.gateway += step
    assert.equal(await token(), 'token_expired')
    assert.ok(ended.includes(await certificate()))
    offset.gateway -= step
  }
  assert.equal(system.tap.bytes, 0)
})
