import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { isDoorwardError } from '@doorward/core'
import type { ExportEvent } from '../../packages/server/src/audit/export/sink.ts'
import { syslogSink } from '../../packages/server/src/audit/export/syslog-sink.ts'
import { someEvents } from '../contract/export-sink.ts'
import { freePorts } from '../fixtures/deployment.ts'
import { clientTls, testPki } from '../fixtures/export-receivers.ts'
import { hasTool } from '../fixtures/outside-tools.ts'
import { runRsyslog } from '../fixtures/rsyslog.ts'
import type { Rsyslog } from '../fixtures/rsyslog.ts'

const never = new AbortController().signal

async function received(rsyslog: Rsyslog, count: number): Promise<readonly string[]> {
  for (let looks = 0; looks < 100 && (await rsyslog.lines()).length < count; looks++) await delay(50)
  return rsyslog.lines()
}

const lineOf = ({ origin, index, kind, json }: ExportEvent) =>
  `[doorward@32473 origin="${origin}" index="${index}" kind="${kind}"]\t${json}`

test('rsyslog receives every event over mutual TLS, whole, in order and once, and comes back after an outage', async (t) => {
  if (!hasTool(t, 'rsyslogd')) return
  const folder = await mkdtemp(join(tmpdir(), 'doorward-rsyslog-'))
  const [pki, port] = [testPki(), (await freePorts(1))[0] ?? 0]
  const place = { folder: join(folder, 'receiver'), port, pki, permitted: 'doorward-gateway' }
  let rsyslog = await runRsyslog(place)
  t.after(async () => {
    await rsyslog.kill()
    await rm(folder, { recursive: true, force: true })
  })
  const options = { host: 'localhost', port, timeoutMilliseconds: 5000, machine: 'gate-1' }
  const sink = syslogSink({ ...options, tls: clientTls(pki) })
  const [first, large, last] = [someEvents(0, 200), someEvents(200, 1, 'ü'.repeat(7000)), someEvents(201, 20)]
  await sink.deliver(first, never)
  await sink.deliver(large, never)
  assert.deepEqual(await received(rsyslog, 201), [...first, ...large].map(lineOf))

  const stranger = testPki()
  for (const client of [stranger.client, pki.otherName]) {
    const refused = syslogSink({ ...options, tls: clientTls({ ...pki, client }) })
    await assert.rejects(refused.deliver(last, never), (error) => isDoorwardError(error))
  }
  await rsyslog.kill()
  await assert.rejects(sink.deliver(last, never), (error) => isDoorwardError(error, 'export_unreachable'))
  rsyslog = await runRsyslog(place)
  await sink.deliver(last, never)
  assert.deepEqual(await received(rsyslog, 221), [...first, ...large, ...last].map(lineOf))
})
