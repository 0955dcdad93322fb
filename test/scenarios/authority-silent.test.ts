/**
 * The staleness contract, against the parts run one by one: what a gateway still does when its authority says nothing,
 * in the order full service, known identities at a reduced rate, nobody; and back to full service by itself.
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { readBody } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { serverEndpoint } from '../../packages/server/src/apps/bridge.ts'
import { TestDeployment } from '../fixtures/deployment.ts'
import { openTap } from '../fixtures/tap.ts'
import type { Tap } from '../fixtures/tap.ts'

const yaml = (url: string) => `servers:
  files: { url: "${url}", insecure_upstream: true, effects: { read: [read_*] } }
roles:
  reader: ["read:files/*"]
bindings:
  - { role: reader, workloads: ["spiffe://test.example/agent/*"] }
security:
  rate_limiting: { global: 1000000/min, per_ip: 1000000/min, per_user: 100/min }
limits:
  sessions_per_user: 1000
  handshakes_per_ip: 1000000/min
trust: { full_seconds: 2, reduced_seconds: 6 }
`

interface Answer {
  readonly status: number
  readonly code: string
  readonly headers: Readonly<Record<string, unknown>>
}

/** One part of the system, in a process group of its own. */
class Part {
  readonly warnings: string[] = []
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async start(system: TestDeployment, words: readonly string[]): Promise<Part> {
    const { command, args, env } = system.launch(words)
    const child = spawn(command, args, { cwd: system.folder, env, stdio: ['ignore', 'ignore', 'pipe'], detached: true })
    const part = new Part(child)
    const lines = createInterface({ input: child.stderr })
    const ready = new Promise<void>((resolve, reject) => {
      child.once('close', (code) => reject(new Error(`${words.join(' ')} ended with ${code}`)))
      lines.on('line', (line) => {
        if (!line.startsWith('{')) return
        const { event, code } = JSON.parse(line) as { event?: string; code?: string }
        if (event === 'warning') part.warnings.push(code ?? '')
        if (event === 'ready') resolve()
      })
    })
    ready.catch(() => undefined)
    await ready
    return part
  }

  signal(name: NodeJS.Signals): void {
    process.kill(-(this.#child.pid ?? 0), name)
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const closed = once(this.#child, 'close')
    this.signal('SIGCONT')
    this.signal('SIGTERM')
    await closed
  }
}

let tap: Tap
let system: TestDeployment
let authority: Part
let gateway: Part
let known: Identity
let idle: Identity
let stranger: Identity
let endpoint: ReturnType<typeof serverEndpoint>

before(async () => {
  tap = await openTap()
  system = await TestDeployment.start({ yaml: yaml(tap.url) })
  known = await system.identity('agent/known')
  idle = await system.identity('agent/idle')
  stranger = await system.identity('agent/stranger')
  endpoint = serverEndpoint(await system.deployment(), 'files')
  await system.interrupt()
  authority = await Part.start(system, ['authority', 'run'])
  gateway = await Part.start(system, ['gateway', 'run'])
})
after(async () => {
  for (const identity of [known, idle, stranger]) identity?.close()
  await gateway?.end()
  await authority?.end()
  await system?.remove()
  await tap?.close()
})

async function initialize(identity: Identity): Promise<Answer> {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
  const response = await identity.call(endpoint.url, {
    method: 'POST',
    audience: endpoint.audience,
    expectedId: endpoint.expectedId,
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
  })
  await readBody(response, 65_536)
  return { status: response.status, code: String(response.headers['doorward-code']), headers: response.headers }
}

/** Asks until the answer is one of those that later phases give; the codes seen on the way. */
async function until(identity: Identity, ...codes: readonly string[]): Promise<readonly string[]> {
  const seen: string[] = []
  for (;;) {
    const answer = await initialize(identity).catch(() => null)
    if (answer !== null && answer.code !== seen.at(-1)) seen.push(answer.code)
    if (answer !== null && codes.includes(answer.code)) return seen
    await sleep(100)
  }
}

/** The server-to-client stream of a session; settles when it has ended. */
async function stream(identity: Identity, session: string): Promise<{ readonly ended: Promise<unknown> }> {
  const response = await identity.call(endpoint.url, {
    audience: endpoint.audience,
    expectedId: endpoint.expectedId,
    headers: { accept: 'text/event-stream', 'mcp-session-id': session },
  })
  assert.equal(response.status, 200)
  return { ended: readBody(response, 65_536).then(String, String) }
}

/** A stream that was open says in its outcome why it ended. */
async function endedOnRecord(code: string): Promise<void> {
  for (const deadline = performance.now() + 5000; ; await sleep(100)) {
    const entries = await system.record('gateway')
    if (entries.some(({ entry: { kind, body } }) => kind === 'outcome' && body['code'] === code)) return
    assert.ok(performance.now() < deadline, 'no outcome names it')
  }
}

test('the authority that runs alone says that the recovery root is still here', () => {
  assert.deepEqual(authority.warnings, ['root_present'])
})

test('RV-3: full service, then the known at a reduced rate, then nobody, and full service again by itself', async () => {
  const first = await initialize(known)
  assert.equal(first.status, 200)
  assert.equal((await initialize(idle)).status, 200)
  // It has a token, and no call of it was ever let through.
  await stranger.token(endpoint.audience)
  const live = await stream(known, String(first.headers['mcp-session-id']))

  authority.signal('SIGSTOP')
  assert.deepEqual(await until(known, 'trust_reduced', 'trust_stale'), ['allowed', 'trust_reduced'])
  const [reduced, patient, unknown] = await Promise.all([known, idle, stranger].map(initialize))
  assert.deepEqual([reduced?.status, reduced?.code], [503, 'trust_reduced'])
  assert.ok(Number(reduced?.headers['retry-after']) > 0)
  assert.equal(patient?.code, 'allowed')
  assert.deepEqual([unknown?.status, unknown?.code], [503, 'trust_stale'])

  await until(known, 'trust_stale')
  for (const identity of [known, idle, stranger]) {
    const answer = await initialize(identity)
    assert.deepEqual([answer.status, answer.code], [503, 'trust_stale'])
  }
  await live.ended
  await endedOnRecord('trust_stale')
  const { bytes } = tap
  assert.equal((await initialize(known)).code, 'trust_stale')
  assert.equal(tap.bytes, bytes)

  authority.signal('SIGCONT')
  await until(known, 'allowed')
  assert.equal((await initialize(stranger)).code, 'allowed')
  assert.equal((await initialize(idle)).code, 'allowed')
})
