/** Which calls have a trace, and what their spans say. */

import { deepEqual, equal, notEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { StageTimes } from '@doorward/enforcement'
import type { RequestHead } from '@doorward/enforcement'
import { randomBytes } from '@doorward/sdk'
import { bounded, GatewayTrace, spansOf, traceBeginner } from '../../../packages/server/src/apps/gateway-traces.ts'
import type { CallReport } from '../../../packages/server/src/transports/streamable-http.ts'
import { callReport } from '../../fixtures/call-report.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const head = (headers: RequestHead['headers']): RequestHead => ({
  method: 'POST',
  path: '/mcp/files',
  query: '',
  headers,
})
const beginner = (ratio: number) => traceBeginner({ ratio, random: randomBytes, chance: () => 0.5 })

const report = (more: Partial<CallReport>): CallReport =>
  callReport(Object.assign(new StageTimes(() => 1, true), { closed: 9 }), more)

const tools = { origin: 1000, random: randomBytes }
const trace = () => new GatewayTrace(null, true, randomBytes)

test('a call without a trace has one where it is kept, and none otherwise', () => {
  equal(beginner(0.1)(head({})), null)
  const begun = beginner(1)(head({}))
  ok(begun instanceof GatewayTrace && begun.sampled)
  equal(begun.parentId, null)
  equal(begun.traceparent, `00-${begun.traceId}-${begun.upstreamId}-01`)
  notEqual(begun.spanId, begun.upstreamId)
})

test('a trace that is not kept goes on all the same, and says so', () => {
  const begun = beginner(0.0001)
  const marked = head({ traceparent: `00-${traceId}-b7ad6b7169203331-01`, tracestate: 'a=b' })
  // What was saved up at the start.
  for (let n = 0; n < 10; n++) equal(begun(marked)?.sampled, true)
  const over = begun(marked)
  deepEqual([over?.sampled, over?.traceId, over?.tracestate], [false, traceId, 'a=b'])
  ok(over?.traceparent.endsWith('-00'))
})

test('a server that fails fails both spans; a refusal of the caller fails none', () => {
  const times = Object.assign(new StageTimes(() => 1, true), { decided: 3, answered: 5, closed: 9 })
  const [root, upstream] = spansOf(report({ code: 'upstream_timeout', http: 504, times }), trace(), tools)
  deepEqual([root?.failed, upstream?.failed, upstream?.end], [true, true, 1005])
  deepEqual(
    [root?.attributes['error.type'], upstream?.attributes['error.type']],
    ['upstream_timeout', 'upstream_timeout'],
  )
  const spans = spansOf(report({ code: 'policy_denied', http: 200, outcome: null }), trace(), tools)
  deepEqual([spans.length, spans[0]?.failed, spans[0]?.attributes['doorward.decision']], [1, false, 'deny'])
})

test('what was asked for is named as the conventions have it, and never in the name of the span', () => {
  const named = (action: string | null, subject: string | null) => {
    const [root] = spansOf(report({ action, subject }), trace(), tools)
    const { attributes = {}, name = '' } = root ?? {}
    const keys = ['gen_ai.tool.name', 'gen_ai.prompt.name', 'mcp.resource.uri'].filter((key) => key in attributes)
    return [name, ...keys.map((key) => `${key}=${attributes[key]}`)]
  }
  deepEqual(named('tools/call', 'drop'), ['tools/call', 'gen_ai.tool.name=drop'])
  deepEqual(named('prompts/get', 'poem'), ['prompts/get', 'gen_ai.prompt.name=poem'])
  deepEqual(named('resources/read', 'file:///a'), ['resources/read', 'mcp.resource.uri=file:///a'])
  deepEqual(named('tools/list', ''), ['tools/list'])
  deepEqual(named(null, null), ['POST'])
})

test('a report that waits holds no more of what its caller has named than is shown', () => {
  equal(bounded(report({ subject: 'ü'.repeat(100_000) })).subject, 'ü'.repeat(512))
  const short = report({})
  equal(bounded(short), short)
})
