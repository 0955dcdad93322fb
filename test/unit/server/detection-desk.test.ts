/** What becomes of findings: on record in order, however long the record does not take them; and the looks that find them. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { DoorwardError, epochMillis, epochSeconds } from '@doorward/core'
import { WitnessedRecord } from '@doorward/enforcement'
import type { Found } from '@doorward/enforcement'
import { DetectionDesk } from '../../../packages/server/src/apps/detection-desk.ts'
import type { DeskParts } from '../../../packages/server/src/apps/detection-desk.ts'
import { keepFindings, readFindings } from '../../../packages/server/src/apps/detection-file.ts'
import type { KeptFinding } from '../../../packages/server/src/apps/detection-file.ts'
import {
  policyLook,
  recordLook,
  renewalLook,
  trustLook,
  witnessLook,
} from '../../../packages/server/src/apps/detection-looks.ts'
import { memoryRecord } from '../../../packages/enforcement/src/record/memory-record.ts'

const origin = 'test.example/gateway/main'
const folder = await mkdtemp(join(tmpdir(), 'doorward-desk-'))
after(() => rm(folder, { recursive: true, force: true }))

const found = (subject: string, severity: Found['severity'] = 'high'): Found => ({
  detector: 'limit_exhausted',
  subject,
  severity,
  detail: 'test',
})

function stage(more: Partial<DeskParts> = {}) {
  const record = memoryRecord(origin)
  const now = { at: 0, found: [] as readonly Found[], refuses: false, covered: 100 }
  const entered: string[] = []
  const warned: string[] = []
  const told: string[] = []
  const problems: unknown[] = []
  let kept: readonly KeptFinding[] = []
  const desk = new DetectionDesk({
    looks: [() => now.found],
    before: [],
    enter: async (body) => {
      if (now.refuses) throw new DoorwardError('record_unavailable', 'test')
      const { subject, severity, ended } = body as { subject: string; severity: string; ended?: true }
      entered.push(`${subject} ${severity}${ended === true ? ' ended' : ''}`)
      return record.append({ kind: 'detection', body })
    },
    covered: () => now.covered,
    onTold: ({ subject }, phase) => void told.push(`${subject} ${phase}`),
    keep: async (findings) => void (kept = findings),
    warn: (code, text) => void warned.push(`${code} ${text}`),
    onProblem: (error) => void problems.push(error),
    clock: () => epochMillis(1_800_000_000_000 + now.at),
    monotonic: () => now.at,
    pauseMilliseconds: 1,
    ...more,
  })
  const look = async (all: readonly Found[], milliseconds = 1000) => {
    now.at += milliseconds
    now.found = all
    await desk.look()
  }
  return { now, desk, entered, warned, told, problems, look, kept: () => kept }
}

test('a finding is told and entered when it begins, grows worse and ends, and what lasts is told once a minute', async () => {
  const { look, entered, warned, told, kept, desk } = stage()
  await look([found('a', 'medium')])
  await look([found('a', 'medium')])
  assert.deepEqual(
    kept().map(({ subject, entry }) => [subject, entry]),
    [['a', `${origin}#0`]],
  )
  await look([found('a', 'critical')])
  await look([found('a', 'low')], 60_000)
  assert.equal(desk.current()[0]?.severity, 'critical')
  await look([])
  assert.deepEqual(entered, ['a medium', 'a critical', 'a critical ended'])
  assert.deepEqual(told, ['a begun', 'a begun', 'a lasting', 'a ended'])
  assert.equal(warned.length, 3)
  assert.deepEqual(kept(), [])
})

test('what the record does not take is told at once, waits, and is entered in order, with nothing left out', async () => {
  const { look, now, entered, warned, told, problems, desk } = stage()
  now.refuses = true
  await look([found('a')])
  assert.deepEqual([entered, told, warned.length, problems.length], [[], [], 1, 1])
  assert.deepEqual(desk.unrecorded(), [], 'not after a moment')
  await look([found('a'), found('b')], 3000)
  assert.deepEqual(
    desk.unrecorded().map(({ subject }) => subject),
    ['a'],
  )
  await look([found('b')])
  assert.equal(problems.length, 1, 'told once')
  now.refuses = false
  await look([found('b')])
  assert.deepEqual(entered, ['a high', 'b high', 'a high ended'])
  assert.deepEqual(told, ['a begun', 'b begun', 'a ended'])
  assert.deepEqual(desk.unrecorded(), [])
})

test('a finding whose entry no checkpoint covers counts as unrecorded, for nobody can read it', async () => {
  const { look, now, desk } = stage()
  now.covered = 0
  await look([found('a')])
  await look([found('a')], 3000)
  assert.equal(desk.unrecorded().length, 1)
  now.covered = 1
  assert.equal(desk.unrecorded().length, 0)
})

test('however much waits for the record, so much is kept, and the rest is told', async () => {
  const { look, now, warned, entered } = stage()
  now.refuses = true
  const many = Array.from({ length: 500 }, (_, i) => found(`s${i}`))
  for (let round = 0; round < 4; round++) {
    await look(many, 60_000)
    await look([], 1000)
  }
  assert.ok(warned.some((one) => one.startsWith('detection_unrecorded')))
  now.refuses = false
  await look([])
  assert.equal(entered.length, 1024)
})

test('a look that throws keeps no other back', async () => {
  const broken = () => {
    throw new Error('broken')
  }
  const { desk, entered, problems } = stage({ looks: [broken, () => [found('a')]] })
  await desk.look()
  assert.deepEqual([entered.length, problems.length], [1, 1])
})

test('what stands is kept in a file, and what is no such file is said', async () => {
  assert.equal(await readFindings(folder), null)
  const kept = { origin, pid: 7, at: 5, findings: [{ ...found('a'), since: epochMillis(3), entry: null }] }
  await keepFindings(folder, kept)
  assert.deepEqual(await readFindings(folder), kept)
  for (const text of ['', '{}', '{"v":1,"origin":"o","pid":1,"at":1,"findings":[{}]}', '{"v":2}']) {
    await writeFile(join(folder, 'detections.json'), text)
    await assert.rejects(readFindings(folder), { code: 'detections_file' })
  }
})

const severities = (all: readonly Found[]) => all.map(({ severity }) => severity)

test('renewal_late, trust_state_stale, policy_refused: as late, as stale and as wrong as it is', () => {
  const time = { now: 0, age: 0 }
  const certificate = { notBefore: epochSeconds(1000), notAfter: epochSeconds(2000) }
  const renewal = renewalLook(
    'id',
    75,
    () => certificate,
    () => epochSeconds(time.now),
  )
  const at = (now: number) => {
    time.now = now
    return severities(renewal())
  }
  assert.deepEqual([at(1700), at(1750), at(1880), at(2000)], [[], ['medium'], ['high'], ['critical']])
  const trust = trustLook(
    50,
    { fullSeconds: 60, reducedSeconds: 300 },
    { isThere: () => true, ageSeconds: () => time.age },
  )
  const old = (age: number) => {
    time.age = age
    return severities(trust())
  }
  assert.deepEqual([old(29), old(30), old(61), old(301)], [[], ['medium'], ['high'], ['critical']])
  const none = trustLook(50, { fullSeconds: 60, reducedSeconds: 300 }, { isThere: () => false, ageSeconds: () => 0 })
  assert.deepEqual(severities(none()), ['critical'])
  assert.deepEqual(policyLook(true, () => null)(), [])
  assert.deepEqual(severities(policyLook(true, () => ({ code: 'x', problems: ['a'] }))()), ['medium'])
  assert.deepEqual(policyLook(false, () => ({ code: 'x', problems: ['a'] }))(), [])
})

test('record_lag: an export or a webhook that fails is one when it has failed for as long, one that lags at once', () => {
  const time = { now: 100_000 }
  const stats = () => ({ state: 'open', failure: null, size: 1, checkpointSize: 1, queued: 0 })
  const base = {
    name: 'ops',
    kind: 'alert',
    origin,
    next: 0,
    since: 95_000,
    lagging: false,
    rejected: 0,
    error: null,
    pid: 1,
  }
  const look = (state: 'delivering' | 'failing', lagging = false) =>
    recordLook(10, {
      stats,
      exports: () => [{ ...base, state, lagging }],
      clock: () => epochMillis(time.now),
      monotonic: () => time.now,
    })().map(({ subject, severity }) => `${subject} ${severity}`)
  assert.deepEqual([look('failing'), look('delivering', true)], [[], ['alert ops high']])
  time.now = 106_000
  assert.deepEqual([look('failing'), look('delivering')], [['alert ops medium'], []])
})

test('witness_refused: a log that nobody has seen for ten seconds, and one that a witness remembers otherwise', () => {
  const time = { now: 0 }
  const witnessed = new WitnessedRecord(memoryRecord(origin))
  const look = witnessLook(true, witnessed, () => time.now)
  assert.deepEqual(look(), [])
  time.now = 10_000
  assert.deepEqual(severities(look()), ['high'])
  witnessed.seen()
  assert.deepEqual(look(), [])
  witnessed.refuse(new DoorwardError('record_rollback', 'test'))
  assert.deepEqual(severities(look()), ['critical'])
  assert.deepEqual(witnessLook(false, witnessed, () => time.now)(), [])
})
