import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { after, before, describe, test } from 'node:test'
import type { EntryEnvelope } from '@doorward/core'
import { TestDeployment, wideLimits } from '../../fixtures/deployment.ts'
import { listeningBridge } from '../../fixtures/listening-bridge.ts'
import type { ListeningBridge } from '../../fixtures/listening-bridge.ts'
import { compareConformance, differences, runConformance } from './compare.ts'
import type { ConformanceChecks } from './compare.ts'
import { narrowDifferences } from './narrow-differences.ts'
import { startEverythingServer } from './everything-server.ts'
import { seenRequest, startGuardedServer } from './guarded-server.ts'
import type { GuardedServer, SeenRequest } from './guarded-server.ts'

const caller = 'spiffe://test.example/agent/conformance'
const narrowCaller = 'spiffe://test.example/agent/narrow'
const initialize = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
})

describe('the conformance suite through bridge and gateway', () => {
  const opened = new AsyncDisposableStack()
  let server: GuardedServer
  let system: TestDeployment
  let bridge: ListeningBridge
  /** Of the newest run. */
  let direct: ConformanceChecks
  before(async () => {
    server = await startGuardedServer()
    opened.defer(() => server.close())
    system = await TestDeployment.start({ yaml: configuration(server.gatewayUrl) })
    opened.defer(() => system.remove())
    const identity = await system.identity('agent/conformance')
    identity.close()
    bridge = await listeningBridge(system, 'everything', 'agent/conformance')
    opened.defer(() => bridge.close())
  })
  after(() => opened.disposeAsync())

  test('the server turns away whoever is not the gateway', async () => {
    for (const path of ['', '/', `${new URL(server.gatewayUrl).pathname}x`]) {
      assert.equal((await send(new URL(path, server.url).href, {})).status, 403, path)
    }
    assert.equal(server.turnedAway.length, 3)
    assert.deepEqual(server.seen, [])
  })

  test('finds check by check what it finds directly: 84 passed, 0 failed', async () => {
    const open = await startEverythingServer({ port: 0 })
    try {
      const { first, second, differences: found } = await compareConformance(open.url, bridge.url)
      assert.deepEqual(found, [])
      assert.deepEqual([first.scenarios, first.passed, first.failed], [33, 84, 0])
      assert.deepEqual([second.scenarios, second.passed, second.failed], [33, 84, 0])
    } finally {
      await open.close()
    }
  })

  const others = [
    [{ suite: '2025-06-18' }, 27, 56, 0],
    [{ suite: '2026-07-28' }, 40, 152, 0],
    // What the fixture does not have are tasks.
    [{ requirements: '2026-07-28' }, 50, 164, 30],
  ] as const
  for (const [request, scenarios, passed, failed] of others) {
    const [[kind, revision]] = Object.entries(request) as [[string, string]]
    test(`finds check by check what it finds directly: ${kind} ${revision}, ${passed} passed, ${failed} failed`, async () => {
      const open = await startEverythingServer({ port: 0 })
      try {
        const { first, second, differences: found } = await compareConformance(open.url, bridge.url, request)
        direct = first.checks
        assert.deepEqual(found, [])
        assert.deepEqual([first.scenarios, first.passed, first.failed], [scenarios, passed, failed])
        assert.deepEqual([second.scenarios, second.passed, second.failed], [scenarios, passed, failed])
      } finally {
        await open.close()
      }
    })
  }

  test('a caller who may do little finds what it may do, and differs in what is listed here alone', async () => {
    ;(await system.identity('agent/narrow')).close()
    const own = await listeningBridge(system, 'everything', 'agent/narrow')
    try {
      const narrow = await runConformance(own.url, { requirements: '2026-07-28' })
      const found = differences(direct, narrow.checks).map(
        ({ scenario, check, status, first, second }) => `${scenario} ${check} ${status} ${first} ${second}`,
      )
      assert.deepEqual(found, narrowDifferences)
    } finally {
      await own.close()
    }
  })

  test('the record holds exactly one decision for every request that the server saw, and its outcome', async () => {
    const { allowed, outcomes, asked } = await settledRecord(system, server.seen.length)
    assert.ok(server.seen.length > 150)
    // What the gateway itself has asked the server for is on the record as that.
    assert.equal(asked, 1)
    const own = Array.from({ length: asked }, () => seenRequest('POST', 'server/discover', ''))
    assert.deepEqual(countsOf([...allowed.map(asSeen), ...own]), countsOf(server.seen))
    assert.deepEqual(new Set(allowed.map(({ entry }) => entry.body['caller'])), new Set([caller, narrowCaller]))
    assert.deepEqual(
      outcomes.map(({ body }) => body['of']).toSorted(byNumber),
      allowed.map(({ index }) => index),
    )
    // Whether client or server is first to end a stream that lasts is a race between them.
    const lasting = /^(?:GET|DELETE) |subscriptions\/listen/
    const messages = new Set(allowed.filter((one) => !lasting.test(asSeen(one))).map(({ index }) => index))
    const unfinished = outcomes.filter(({ body }) => body['status'] !== 'completed')
    assert.deepEqual(
      unfinished.filter(({ body }) => messages.has(Number(body['of']))),
      [],
    )
  })

  test('nothing of the caller reaches the server but what the protocol needs', () => {
    const fromUs = ['connection', 'content-length', 'host', 'user-agent']
    const ofProtocol = ['accept', 'content-type', 'last-event-id', 'mcp-protocol-version', 'mcp-session-id']
    const ofModernEra = ['mcp-method', 'mcp-name', 'mcp-param-region']
    assert.deepEqual([...server.headerNames].toSorted(), [...fromUs, ...ofProtocol, ...ofModernEra].toSorted())
  })

  test("the bridge's own host and origin are served, foreign ones meet the gateway's refusal and reach no server", async () => {
    const own = new URL(bridge.url)
    const served = await send(bridge.url, { origin: own.origin })
    assert.deepEqual([served.status, served.code], [200, 'allowed'])
    const before = server.seen.length
    const refused: readonly (readonly [headers: Readonly<Record<string, string>>, status: number, code: string])[] = [
      [{ origin: 'http://evil.example' }, 403, 'origin_unknown'],
      [{ origin: 'null' }, 403, 'origin_unknown'],
      [{ origin: `https://${own.host}` }, 403, 'origin_unknown'],
      [{ origin: `http://localhost:${Number(own.port) + 1}` }, 403, 'origin_unknown'],
      [{ host: 'evil.example' }, 421, 'host_unknown'],
      [{ host: `evil.example:${own.port}`, origin: `http://evil.example:${own.port}` }, 421, 'host_unknown'],
    ]
    for (const [headers, status, code] of refused) {
      const answer = await send(bridge.url, headers)
      assert.deepEqual([answer.status, answer.code], [status, code], JSON.stringify(headers))
    }
    assert.equal(server.seen.length, before)
  })
})

function configuration(url: string): string {
  return `servers:
  everything: { url: "${url}", insecure_upstream: true }
roles:
  everybody: ["*:everything/*"]
  few: ["tools/call:everything/test_simple_text", "read:everything/test://static-text", "read:everything/test_simple_prompt"]
bindings:
  - { role: everybody, workloads: [${caller}] }
  - { role: few, workloads: [${narrowCaller}] }
${wideLimits}`
}

async function send(
  url: string,
  headers: Readonly<Record<string, string>>,
): Promise<{ readonly status: number; readonly code: string | undefined }> {
  const content = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
  const outgoing = request(url, { method: 'POST', headers: { ...content, ...headers }, agent: false })
  outgoing.end(initialize)
  const [response] = await once(outgoing, 'response')
  response.resume()
  await once(response, 'end')
  return { status: response.statusCode, code: response.headers['doorward-code'] }
}

interface Allowed {
  readonly index: number
  readonly entry: EntryEnvelope
}

/** The record once it holds so many outcomes, which follow the answers; what it holds after five seconds otherwise. */
async function settledRecord(
  system: TestDeployment,
  calls: number,
): Promise<{ allowed: Allowed[]; outcomes: EntryEnvelope[]; asked: number }> {
  for (let attempt = 0; ; attempt++) {
    const record = await system.record()
    const allowed = record.filter(({ entry }) => entry.kind === 'decision' && entry.body['decision'] === 'allow')
    const outcomes = record.map(({ entry }) => entry).filter(({ kind }) => kind === 'outcome')
    const asked = record.filter(({ entry }) => entry.body['event'] === 'server.discover').length
    if (outcomes.length + asked >= calls || attempt === 50) return { allowed, outcomes, asked }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

function asSeen({ entry }: Allowed): SeenRequest {
  const {
    request: http,
    action,
    resource,
  } = entry.body as {
    readonly request: { readonly method: string }
    readonly action: string
    readonly resource: { readonly name: string }
  }
  return seenRequest(http.method, action, resource.name)
}

function countsOf(requests: readonly SeenRequest[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const one of requests.toSorted()) counts[one] = (counts[one] ?? 0) + 1
  return counts
}

function byNumber(one: unknown, two: unknown): number {
  return Number(one) - Number(two)
}
