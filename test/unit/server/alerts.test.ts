/** Findings of a log at the receivers that want them: in order, at least once, over outages and restarts. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { epochMillis, Secret } from '@doorward/core'
import type { Severity } from '@doorward/core'
import type { FileRecord, StandingFinding } from '@doorward/enforcement'
import { timerSleep } from '@doorward/sdk'
import { runUrgentAlerts } from '../../../packages/server/src/apps/alert-webhooks.ts'
import { RunningExports } from '../../../packages/server/src/apps/audit-exports.ts'
import { alertOf, isWanted } from '../../../packages/server/src/audit/alert/alert.ts'
import type { Alert } from '../../../packages/server/src/audit/alert/alert.ts'
import { sparingStates } from '../../../packages/server/src/audit/alert/sparing-states.ts'
import type { ExportState } from '../../../packages/server/src/audit/export/state.ts'
import { signatureOf } from '../../../packages/server/src/audit/export/webhook-sink.ts'
import type { AlertPlace } from '../../../packages/server/src/config/audit-exports.ts'
import { clientTls, httpsReceiver, testPki } from '../../fixtures/export-receivers.ts'
import type { HttpReceiver } from '../../fixtures/export-receivers.ts'
import { ORIGIN, newLog } from '../enforcement/record-fixture.ts'

const pki = testPki()
const secret = new Secret('canary-of-the-webhook')
const clock = () => epochMillis(Date.now())
const logged = (body: Readonly<Record<string, string | number | boolean>>, kind = 'detection' as const) =>
  ({ origin: ORIGIN, index: 7, entry: { v: 1, kind, time: epochMillis(5000), body } }) as const

test('what the record says of a finding becomes one document, the same id at its beginning and its end', () => {
  const told = { detector: 'denied_rate', subject: 'all', severity: 'high', since: 4000 }
  const begun = alertOf(logged({ ...told, detail: '700 refusals' }))
  const id = `${ORIGIN} denied_rate all 4000`
  const docs = 'docs/detectors.md#findings-by-rate-and-state'
  const rest = { v: 1, id, detector: 'denied_rate', subject: 'all', severity: 'high', started: 4000, docs }
  const from = { origin: ORIGIN, entry: `${ORIGIN}#7`, source: null }
  assert.deepEqual(begun, { ...rest, ...from, phase: 'begun', text: '700 refusals', ended: null })
  const ended = alertOf(logged({ ...told, ended: true, ended_at: 4900 }))
  assert.deepEqual(ended, { ...rest, ...from, phase: 'ended', text: '', ended: 4900 })
  const forged = alertOf(logged({ detector: 'DT-1', subject: 'key', reason: 'not_issued' }))
  assert.deepEqual([forged?.severity, forged?.started, forged?.text], ['critical', 5000, 'not_issued'])
  assert.deepEqual([alertOf(logged({ detector: 'DT-4', subject: 'x', ended: true }))?.started], [null])
  assert.equal(alertOf({ ...logged({}), entry: { ...logged({}).entry, kind: 'decision' } }), null)
  assert.equal(isWanted({ detector: 'DT-1', severity: 'high' }, { minimum: 'critical', kinds: null }), false)
  assert.equal(isWanted({ detector: 'DT-1', severity: 'high' }, { minimum: 'low', kinds: new Set(['DT-2']) }), false)
  assert.equal(isWanted({ detector: 'DT-1', severity: 'high' }, { minimum: 'high', kinds: new Set(['DT-1']) }), true)
})

const state: ExportState = {
  name: 'a',
  kind: 'alert',
  origin: ORIGIN,
  next: 3,
  state: 'delivering',
  since: 0,
  lagging: false,
  rejected: 0,
  error: null,
  pid: 1,
}

test('a cursor that passes what is no finding is made durable now and then, and always when something was delivered or fails', async () => {
  const written: ExportState[] = []
  const now = { at: 0, delivered: 0 }
  let kept: ExportState | null = null
  const states = sparingStates(
    { read: async () => kept, write: async (one) => void written.push((kept = one)) },
    { beginning: state, delivered: () => now.delivered, monotonic: () => now.at },
  )
  assert.deepEqual([await states.read(), written.length], [state, 1])
  await states.write({ ...state, next: 4 })
  for (let next = 5; next < 100; next++) await states.write({ ...state, next })
  assert.equal(written.length, 2)
  now.at += 10_000
  await states.write({ ...state, next: 100 })
  now.delivered++
  await states.write({ ...state, next: 101 })
  await states.write({ ...state, next: 101, state: 'failing', error: { code: 'x', message: '', at: 1 } })
  await states.write({ ...state, next: 102, state: 'failing', error: { code: 'x', message: '', at: 1 } })
  assert.deepEqual(
    written.map(({ next }) => next),
    [3, 4, 100, 101, 101],
  )
})

function place(receiver: HttpReceiver, more: Partial<AlertPlace> = {}): AlertPlace {
  return {
    name: 'ops',
    kind: 'webhook',
    spoolBytes: 2 ** 28,
    minimum: 'low',
    kinds: null,
    url: `https://localhost:${receiver.port}/alerts`,
    secret: async () => secret,
    tls: clientTls(pki),
    timeoutMilliseconds: 2000,
    ...more,
  }
}

/** What was received, each with its signature as it should be. */
function received({ receipts }: HttpReceiver): readonly Alert[] {
  return receipts.map(({ body, headers }) => {
    const signature = String(headers['doorward-signature'])
    const seconds = Number(/^t=(\d+),/.exec(signature)?.[1])
    assert.equal(signature, signatureOf(body, secret, seconds))
    assert.ok(Math.abs(seconds - Date.now() / 1000) < 60)
    return JSON.parse(body) as Alert
  })
}

async function until(holds: () => boolean, what: string): Promise<void> {
  for (let looks = 0; !holds(); looks++) {
    if (looks > 500) throw new Error(`not in time: ${what}`)
    await timerSleep(20)
  }
}

const finding = (subject: string, severity: Severity = 'high') =>
  ({ kind: 'detection', body: { detector: 'limit_exhausted', subject, severity, detail: 'test', since: 1 } }) as const
const other = { kind: 'outcome', body: { of: 1, status: 'completed' } } as const

test('findings reach each receiver that wants them, from the first start on, over an outage and a restart, in order', async (t) => {
  const [ops, few] = [await httpsReceiver({ pki }, ''), await httpsReceiver({ pki }, '')]
  t.after(() => Promise.all([ops.close(), few.close()]))
  const log = await newLog()
  const record = await log.open()
  await record.append(finding('before the first start'))
  const places = [place(ops), place(few, { name: 'few', minimum: 'critical', kinds: new Set(['limit_exhausted']) })]
  const told: string[] = []
  const run = (writer: FileRecord) =>
    new RunningExports({
      exports: [],
      alerts: places,
      stateDir: join(log.dir, '..'),
      record: writer,
      recordFolder: log.dir,
      clock,
      redaction: { isGone: () => false },
      warn: (code, text) => void told.push(`${code} ${text}`),
    })
  const first = run(record)
  const subjects = (receiver: HttpReceiver) => received(receiver).map(({ subject }) => subject)
  for (let n = 0; n < 50; n++) await record.append(other)
  await record.append(finding('a'))
  await record.append(finding('b', 'critical'))
  await until(() => subjects(ops).length === 2 && subjects(few).length === 1, 'the first findings')
  assert.deepEqual([subjects(ops), subjects(few)], [['a', 'b'], ['b']])
  assert.match(received(ops)[0]?.entry ?? '', /^.+#51$/)
  ops.manner = 'close'
  await record.append(finding('c', 'critical'))
  await until(() => told.some((one) => one.startsWith('export_failing webhook ops of')), 'the outage')
  await until(() => subjects(few).length === 2, 'the one that is well')
  await first.stop()
  await record.append(finding('d'))
  ops.manner = 'well'
  const second = run(record)
  await until(() => subjects(ops).length === 4, 'what waited')
  assert.deepEqual(subjects(ops), ['a', 'b', 'c', 'd'])
  await second.stop()
  await record.close()
  const file = await readFile(join(log.dir, '..', 'alerts', 'ops.json'), 'utf8')
  assert.ok(!`${file}${told.join('\n')}${ops.receipts.map(({ body }) => body).join('\n')}`.includes(secret.reveal()))
})

test('a receiver with another certificate gets nothing, and what the record does not take arrives without an entry, once', async (t) => {
  const stranger = await httpsReceiver({ pki, shown: testPki().server }, '')
  const ops = await httpsReceiver({ pki }, '')
  const ending = new AbortController()
  t.after(() => Promise.all([stranger.close(), ops.close()]))
  const standing: StandingFinding = {
    detector: 'record_lag',
    subject: 'record',
    severity: 'critical',
    detail: 'test',
    since: epochMillis(9),
  }
  const waiting = [standing]
  const places = [
    place(stranger, { name: 'stranger' }),
    place(ops),
    place(ops, { name: 'none', kinds: new Set(['DT-1']) }),
  ]
  const running = runUrgentAlerts({ places, origin: ORIGIN, unrecorded: () => waiting, clock }, ending.signal)
  await until(() => ops.receipts.length > 0, 'the finding')
  await timerSleep(1200)
  const [alert] = received(ops)
  assert.deepEqual([ops.receipts.length, stranger.receipts.length], [1, 0])
  assert.deepEqual([alert?.entry, alert?.id, alert?.severity], [null, `${ORIGIN} record_lag record 9`, 'critical'])
  ending.abort()
  await running
})
