/** Traces of a running gateway, at a collector that decodes by OpenTelemetry's own definitions. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { Secret } from '@doorward/core'
import type { Identity } from '@doorward/sdk'
import { silentLog } from '../../packages/server/src/observability/log.ts'
import type { CallLine } from '../../packages/server/src/observability/log.ts'
import { testPki } from '../fixtures/export-receivers.ts'
import { startSystem } from '../fixtures/running-system.ts'
import type { RunningSystem } from '../fixtures/running-system.ts'
import { traceReceiver } from '../fixtures/trace-receiver.ts'
import type { ReceivedSpan, TraceReceiver } from '../fixtures/trace-receiver.ts'
import { pemOf } from '../fixtures/trust-fixture.ts'
import { until } from './agent-stage.ts'

interface Called {
  readonly status: number
  readonly session: string
  readonly decision: string
  /** What reached the server meanwhile. */
  readonly upstream: string
}

const traceId = '0af7651916cd43dd8448eb211c80319c'
const parentId = 'b7ad6b7169203331'
const marked = { traceparent: `00-${traceId}-${parentId}-01` }

/** Calls one server as one workload, message by message. */
class Caller {
  readonly #system: RunningSystem
  readonly #identity: Identity
  #session = ''

  constructor(system: RunningSystem, identity: Identity) {
    this.#system = system
    this.#identity = identity
  }

  async open(): Promise<this> {
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
    this.#session = (await this.send({ id: 0, method: 'initialize', params })).session
    await this.send({ method: 'notifications/initialized' })
    return this
  }

  tool(name: string, headers: Readonly<Record<string, string>> = {}): Promise<Called> {
    return this.send({ id: 1, method: 'tools/call', params: { name, arguments: { secret: 'argument' } } }, headers)
  }

  /** Opens the stream of the session, and leaves it; the decision. */
  stream(headers: Readonly<Record<string, string>>): Promise<string> {
    const { url, audience } = this.#system.endpoint
    const own = { accept: 'text/event-stream', 'mcp-session-id': this.#session, ...headers }
    return this.#get(url, audience, own)
  }

  /** Asks for the receipt of a decision; the decision about that. */
  receipt(decision: string, headers: Readonly<Record<string, string>>): Promise<string> {
    const { origin } = new URL(this.#system.endpoint.url)
    return this.#get(`${origin}/v1/receipt?entry=${encodeURIComponent(decision)}`, origin, headers)
  }

  async #get(url: string, audience: string, headers: Readonly<Record<string, string>>): Promise<string> {
    const answer = await this.#identity.call(url, {
      audience,
      expectedId: this.#system.endpoint.expectedId,
      headers,
    })
    answer.body.on('error', () => undefined).destroy()
    return String(answer.headers['doorward-decision'])
  }

  async send(message: object, headers: Readonly<Record<string, string>> = {}): Promise<Called> {
    const { endpoint, tap } = this.#system
    const { chain, privateKey } = this.#identity.credentials.current()
    const token = (await this.#identity.token(endpoint.audience)).reveal()
    const before = tap.bytes
    const body = JSON.stringify({ jsonrpc: '2.0', ...message })
    const options = {
      method: 'POST',
      agent: false,
      // Its certificate has a SPIFFE ID and no address; here only bytes are looked at.
      checkServerIdentity: () => undefined,
      ca: this.#identity.material().anchors.map(pemOf),
      cert: chain.map(pemOf).join(''),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      headers: {
        authorization: `Bearer ${token}`,
        accept: 'application/json, text/event-stream',
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        ...(this.#session === '' ? {} : { 'mcp-session-id': this.#session, 'mcp-protocol-version': '2025-11-25' }),
        ...headers,
      },
    }
    return new Promise((resolve, reject) => {
      const asking = request(endpoint.url, options, (response) => {
        response.resume().on('end', () => {
          const { statusCode: status = 0, headers: told } = response
          const [session, decision] = [told['mcp-session-id'], told['doorward-decision']].map(String)
          resolve({ status, session: session ?? '', decision: decision ?? '', upstream: tap.since(before) })
        })
      })
      asking.on('error', reject).end(body)
    })
  }
}

describe('traces', () => {
  const pki = testPki()
  const lines: CallLine[] = []
  const warnings: string[] = []
  let folder: string
  let system: RunningSystem
  let receiver: TraceReceiver
  let caller: Caller

  before(async (t) => {
    folder = await mkdtemp(join(tmpdir(), 'doorward-traces-'))
    receiver = await traceReceiver(t as TestContext, folder, pki)
    system = await startSystem({
      gateway: {
        tracing: {
          url: `https://localhost:${receiver.port}/v1/traces`,
          ratio: 1,
          serviceName: 'our gateway',
          tls: async () => ({ ca: pki.ca, own: null }),
          authorization: async () => new Secret('Bearer of the collector'),
        },
      },
      gatewayOptions: {
        log: { ...silentLog, call: (line) => void lines.push(line) },
        report: (event) => void (event.type === 'warning' && warnings.push(event.code)),
      },
    })
    caller = await new Caller(system, await system.open(await system.join('agent/planner'))).open()
  })
  after(async () => {
    await system.stop()
    await receiver.close()
    await rm(folder, { recursive: true, force: true })
  })

  /** The spans of one decision, once they are all there. */
  async function spansOf(decision: string, count: number): Promise<readonly ReceivedSpan[]> {
    let found: readonly ReceivedSpan[] = []
    await until(() => {
      const root = receiver.spans.find(({ attributes }) => attributes?.['doorward.decision_id'] === decision)
      found = receiver.spans.filter((one) => one === root || (root !== undefined && one.parentId === root.spanId))
      return found.length >= count
    }, `${count} spans of ${decision}`)
    return found
  }

  test('a call continues the trace of its caller, stage by stage, and its server continues ours', async () => {
    const before = Date.now()
    const called = await caller.tool('read_note', { ...marked, tracestate: 'rojo=00f067aa0ba902b7' })
    equal(called.status, 200)
    const [root, ...below] = await spansOf(called.decision, 6)
    ok(root !== undefined)
    deepEqual([root.traceId, root.parentId, root.name, root.kind, root.status], [traceId, parentId, 'tools/call', 2, 0])
    deepEqual(root.resource['service.name'], 'our gateway')
    equal(root.resource['service.instance.id'], 'spiffe://test.example/doorward/gateway/main')
    equal(root.authorization, 'Bearer of the collector')
    deepEqual(root.attributes, {
      'http.request.method': 'POST',
      'http.response.status_code': 200,
      'url.scheme': 'https',
      'url.path': '/mcp/files',
      'network.protocol.version': '1.1',
      'mcp.method.name': 'tools/call',
      'gen_ai.tool.name': 'read_note',
      'doorward.server': 'files',
      'doorward.caller': 'spiffe://test.example/agent/planner',
      'doorward.decision': 'allow',
      'doorward.decision_id': called.decision,
      'doorward.code': 'allowed',
    })
    deepEqual(
      below.map(({ name, kind }) => [name, kind]),
      [
        ['identify', 1],
        ['classify', 1],
        ['authorize', 1],
        ['record', 1],
        ['tools/call', 3],
      ],
    )
    for (const one of [root, ...below]) {
      equal(one.traceId, traceId)
      ok(one.start >= root.start && one.end <= root.end && one.end >= one.start, one.name)
    }
    ok(root.start >= before - 1000 && root.end <= Date.now() + 1000)
    const upstream = below.at(-1)
    match(called.upstream, new RegExp(`\\ntraceparent: 00-${traceId}-${upstream?.spanId}-01\\r`, 'i'))
    match(called.upstream, /\ntracestate: rojo=00f067aa0ba902b7\r/i)
    ok(!called.upstream.includes(parentId))
    equal(lines.find(({ decision }) => decision === called.decision)?.traceId, traceId)
  })

  test('what a caller has not marked is not kept, and its server is told so', async () => {
    const count = receiver.spans.length
    const called = await caller.tool('read_note', { traceparent: `00-${traceId}-${parentId}-00` })
    const later = await caller.tool('read_note')
    await spansOf(later.decision, 6)
    ok(receiver.spans.slice(count).every(({ traceId: one }) => one !== traceId))
    match(called.upstream, new RegExp(`\\ntraceparent: 00-${traceId}-[0-9a-f]{16}-00\\r`, 'i'))
    equal(lines.find(({ decision }) => decision === called.decision)?.traceId, null)
  })

  test('a traceparent that is not valid is as if it were not there, and neither goes on', async () => {
    const wrong = `00-${'0'.repeat(32)}-${parentId}-01`
    const called = await caller.tool('read_note', { traceparent: wrong, tracestate: 'a=b' })
    const [root] = await spansOf(called.decision, 6)
    equal(root?.parentId, '')
    match(root?.traceId ?? '', /^(?!0{32})(?!0af7)[0-9a-f]{32}$/)
    match(called.upstream, new RegExp(`\\ntraceparent: 00-${root?.traceId}-`, 'i'))
    ok(!called.upstream.includes(wrong) && !/tracestate/i.test(called.upstream))
  })

  test('a denied call has a span with its code, and nothing goes to the server', async () => {
    const called = await caller.tool('write_note', marked)
    const [root, ...below] = await spansOf(called.decision, 3)
    deepEqual(
      [root?.attributes['doorward.decision'], root?.attributes['doorward.code'], root?.attributes['error.type']],
      ['deny', 'policy_denied', 'policy_denied'],
    )
    deepEqual(
      below.map(({ name }) => name),
      ['identify', 'classify'],
    )
    equal(called.upstream, '')
  })

  test('what a caller says of its trace in the message passes as it is, beside our own header', async () => {
    const _meta = { traceparent: `00-${traceId}-${parentId}-01`, tracestate: 'a=b' }
    const called = await caller.send({
      id: 9,
      method: 'tools/call',
      params: { name: 'read_note', arguments: {}, _meta },
    })
    const [root] = await spansOf(called.decision, 6)
    ok(called.upstream.includes(`"_meta":${JSON.stringify(_meta)}`))
    match(called.upstream, new RegExp(`\\ntraceparent: 00-${root?.traceId}-`, 'i'))
  })

  test('the stream of a session has a span when it ends, and so has a request to our own API', async () => {
    const stream = await caller.stream(marked)
    const [root, ...below] = await spansOf(stream, 5)
    deepEqual([root?.traceId, root?.parentId, root?.name], [traceId, parentId, 'GET'])
    equal(root?.attributes['url.path'], '/mcp/files')
    equal(root?.attributes['mcp.method.name'], undefined)
    ok(below.some(({ kind }) => kind === 3))
    const { decision } = await caller.tool('read_note')
    const receipt = await caller.receipt(decision, marked)
    const spans = await spansOf(receipt, 5)
    deepEqual([spans[0]?.name, spans[0]?.traceId], ['GET /v1/receipt', traceId])
    equal(spans[0]?.attributes['url.path'], '/v1/receipt')
    deepEqual(
      spans.map(({ kind }) => kind).filter((kind) => kind === 3),
      [],
    )
  })

  test('no span holds a token, an argument or a session', async () => {
    const all = JSON.stringify(receiver.spans.map((one) => ({ ...one, authorization: null })))
    for (const word of ['argument', 'Bearer', 'eyJ', 'session']) ok(!all.includes(word), word)
  })

  test('a collector that is away keeps no call waiting, and that is told', async () => {
    await receiver.close()
    const began = performance.now()
    for (let n = 0; n < 20; n++) equal((await caller.tool('read_note')).status, 200)
    ok(performance.now() - began < 10_000)
    await until(() => warnings.includes('tracing_failing'), 'it is told')
  })
})
