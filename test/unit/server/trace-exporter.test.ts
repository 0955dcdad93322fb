/** Spans reach their collector, or are dropped and counted: nobody waits for them, and nothing grows. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { TraceExporter } from '../../../packages/server/src/apps/trace-exporter.ts'
import { gatewayRows, rowsOf } from '../../../packages/server/src/observability/metric-rows.ts'
import { Metrics } from '../../../packages/server/src/observability/metrics.ts'
import type { Span } from '../../../packages/server/src/observability/trace-otlp.ts'
import { clientTls, httpsReceiver, testPki } from '../../fixtures/export-receivers.ts'
import { until } from '../../scenarios/agent-stage.ts'

const span: Span = {
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  parentId: null,
  name: 'tools/call',
  kind: 'server',
  start: 1_700_000_000_000.125,
  end: 1_700_000_000_001,
  attributes: { 'http.response.status_code': 200, 'error.type': null },
  failed: false,
}
const two = () => [span, span]

async function stage(t: TestContext) {
  const pki = testPki()
  const collector = await httpsReceiver({ pki }, '{}')
  const metrics = new Metrics(rowsOf.gateway)
  const told: string[] = []
  const exporter = new TraceExporter({
    target: {
      url: `https://localhost:${collector.port}/v1/traces`,
      tls: clientTls(pki),
      timeoutMilliseconds: 300,
    },
    authorization: null,
    resource: { serviceName: 'doorward-gateway', instance: 'here', version: '1' },
    metrics,
    chance: () => 1,
    lingerMilliseconds: 20,
    warn: (code) => void told.push(code),
  })
  const ending = new AbortController()
  const running = exporter.run(ending.signal)
  const stop = async () => {
    ending.abort()
    await running
  }
  t.after(async () => {
    await stop()
    await collector.close()
  })
  const counted = (): Readonly<Record<string, number>> =>
    Object.fromEntries([...metrics.numbers(gatewayRows.spans)].map(({ values, cell }) => [values[0] ?? '', cell.value]))
  return { collector, exporter, told, counted, stop }
}

test('spans go in batches, with exact times; an answer may reject some', async (t) => {
  const { collector, exporter, counted, stop } = await stage(t)
  collector.answers.push({ status: 200, body: '{"partialSuccess":{"rejectedSpans":"3"}}' })
  for (let n = 0; n < 200; n++) exporter.add(two)
  await stop()
  deepEqual(counted(), { exported: 397, dropped: 0, rejected: 3 })
  equal(collector.receipts.length, 2)
  const { resourceSpans } = JSON.parse(collector.receipts[0]?.body ?? '') as {
    readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly object[] }[] }[]
  }
  deepEqual(resourceSpans[0]?.scopeSpans[0]?.spans[0], {
    traceId: span.traceId,
    spanId: span.spanId,
    name: 'tools/call',
    kind: 2,
    startTimeUnixNano: '1700000000000125000',
    endTimeUnixNano: '1700000000001000000',
    attributes: [{ key: 'http.response.status_code', value: { intValue: '200' } }],
  })
})

test('a batch is sent again where OTLP says so, and given up where it does not', async (t) => {
  const { collector, exporter, counted, told } = await stage(t)
  collector.answers.push({ status: 503 })
  exporter.add(two)
  await until(() => counted()['exported'] === 2, 'sent again')
  deepEqual(told, ['tracing_failing', 'tracing_delivering'])
  for (const answer of [{ status: 400 }, { status: 302 }, { status: 200, body: 'nonsense' }]) {
    const { dropped = 0 } = counted()
    collector.answers.push(answer)
    exporter.add(two)
    await until(() => counted()['dropped'] === dropped + 2, `given up at ${answer.status}`)
  }
  equal(counted()['exported'], 2)
})

test('while a collector is silent the queue fills up, and what does not fit is dropped', async (t) => {
  const { collector, exporter, counted, told, stop } = await stage(t)
  collector.manner = 'silent'
  exporter.add(two)
  await until(() => told.includes('tracing_failing'), 'it is told')
  for (let n = 0; n < 3000; n++) exporter.add(two)
  deepEqual(counted(), { exported: 0, dropped: (3000 - 2048) * 2, rejected: 0 })
  const began = performance.now()
  await stop()
  ok(performance.now() - began < 2000)
  deepEqual(counted(), { exported: 0, dropped: 3001 * 2, rejected: 0 })
})
