import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { otlpSink } from '../../packages/server/src/audit/export/otlp-sink.ts'
import { someEvents } from '../contract/export-sink.ts'
import { clientTls, testPki } from '../fixtures/export-receivers.ts'
import { otlpReceiver } from '../fixtures/otlp-receiver.ts'

test('a receiver with the definitions of OpenTelemetry decodes every record of a batch', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'doorward-otlp-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const pki = testPki()
  const receiver = await otlpReceiver(t, folder, pki)
  t.after(() => receiver.close())
  const url = `https://localhost:${receiver.port}/v1/logs`
  const sink = otlpSink({ url, tls: clientTls(pki), timeoutMilliseconds: 5000, authorization: null, version: '1.2.3' })
  const events = someEvents(2 ** 40, 100)
  assert.deepEqual(await sink.deliver(events, new AbortController().signal), { rejected: 0 })
  await sink.close()
  for (let looks = 0; receiver.records.length < events.length && looks < 100; looks++) await delay(20)
  assert.deepEqual(
    receiver.records,
    events.map(({ origin, index, kind, time, json }) => ({
      resource: { 'service.name': 'doorward', 'service.instance.id': origin },
      scope: 'doorward.audit',
      time: time * 1_000_000,
      severity: 10,
      text: 'INFO2',
      attributes: {
        'event.name': `doorward.${kind}`,
        'doorward.origin': origin,
        'doorward.index': index,
        'doorward.kind': kind,
      },
      body: json,
    })),
  )
})
