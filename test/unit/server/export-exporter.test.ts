import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { test } from 'node:test'
import { DoorwardError, epochMillis } from '@doorward/core'
import { timerSleep } from '@doorward/sdk'
import { backlogOf, oldestKept } from '../../../packages/server/src/audit/export/backlog.ts'
import { Exporter } from '../../../packages/server/src/audit/export/exporter.ts'
import type { ExporterParts } from '../../../packages/server/src/audit/export/exporter.ts'
import { absentEvent, exportEvent, gapEvent } from '../../../packages/server/src/audit/export/ocsf.ts'
import { DeliveryError } from '../../../packages/server/src/audit/export/sink.ts'
import type { ExportEvent, ExportSink } from '../../../packages/server/src/audit/export/sink.ts'
import { formatState, parseState } from '../../../packages/server/src/audit/export/state.ts'
import type { ExportState, ExportStates } from '../../../packages/server/src/audit/export/state.ts'
import { ORIGIN, newLog } from '../enforcement/record-fixture.ts'
import type { Log } from '../enforcement/record-fixture.ts'

const SMALL = { limits: { segmentBytes: 1500 } }
const entry = (n: number) => ({ kind: 'outcome', body: { of: n, status: 'completed' } }) as const

async function append(log: Log, count: number): Promise<void> {
  const record = await log.open(SMALL)
  for (let n = 0; n < count; n++) await record.append(entry(n))
  await record.close()
}

/** Keeps what it acknowledges; `judge` may throw instead. */
class FakeSink implements ExportSink {
  readonly kept: ExportEvent[] = []
  readonly sizes: number[] = []
  judge: (batch: readonly ExportEvent[], signal: AbortSignal) => Promise<number> | number = () => 0
  closed = false

  async deliver(batch: readonly ExportEvent[], signal: AbortSignal) {
    this.sizes.push(batch.length)
    const rejected = await this.judge(batch, signal)
    this.kept.push(...batch)
    return { rejected }
  }

  async close(): Promise<void> {
    this.closed = true
  }

  indices(): readonly number[] {
    return this.kept.map(({ index }) => index)
  }
}

class MemoryStates implements ExportStates {
  text: string | null = null
  readonly read = async () => (this.text === null ? null : parseState(this.text))
  readonly write = async (state: ExportState) => void (this.text = formatState(state))
}

function parts(log: Log, sink: ExportSink, more: Partial<ExporterParts> = {}): ExporterParts {
  return {
    name: 'siem',
    kind: 'fake',
    log: { folder: log.dir, origin: ORIGIN },
    sink,
    states: new MemoryStates(),
    eventOf: exportEvent,
    isGone: () => false,
    absentOf: absentEvent,
    gapOf: gapEvent,
    batch: { entries: 10, characters: 1_000_000, lingerMilliseconds: 5 },
    spoolBytes: 1_000_000,
    clock: () => epochMillis(Date.now()),
    chance: () => 0,
    sleep: (_, signal) => timerSleep(1, signal),
    pid: process.pid,
    onChange: () => undefined,
    ...more,
  }
}

/** Runs until `done`, for ten seconds at most. */
async function runUntil(exporter: Exporter, done: () => boolean): Promise<void> {
  const ending = new AbortController()
  const running = exporter.run(ending.signal)
  for (let looks = 0; !done() && looks < 1000; looks++) await timerSleep(10)
  ending.abort()
  await running
  assert.ok(done(), JSON.stringify(exporter.state()))
}

const upTo = (end: number, from = 0) => Array.from({ length: end - from }, (_, i) => from + i)

test('entries are delivered in order and in batches, and the next run goes on behind them', async () => {
  const log = await newLog()
  await append(log, 25)
  const [sink, states] = [new FakeSink(), new MemoryStates()]
  await runUntil(new Exporter(parts(log, sink, { states })), () => sink.kept.length >= 25)
  assert.deepEqual(sink.indices(), upTo(25))
  assert.ok(sink.sizes.every((size) => size <= 10) && sink.closed)
  assert.equal((await states.read())?.state, 'stopped')
  await append(log, 5)
  const later = new FakeSink()
  await runUntil(new Exporter(parts(log, later, { states })), () => later.kept.length >= 5)
  assert.deepEqual(later.indices(), upTo(30, 25))
})

test('a batch that is not acknowledged comes again, and the state tells what is wrong and when it is over', async () => {
  const log = await newLog()
  await append(log, 12)
  const sink = new FakeSink()
  let refusals = 0
  sink.judge = ([first]) => {
    if (first?.index === 10 && refusals++ < 3) throw new DeliveryError('export_refused', 'no')
    return 0
  }
  const seen: string[] = []
  const exporter = new Exporter(
    parts(log, sink, { onChange: ({ state, error }) => seen.push(`${state} ${error?.code}`) }),
  )
  await runUntil(exporter, () => sink.kept.length >= 12)
  assert.deepEqual(sink.indices(), upTo(12))
  assert.deepEqual(seen.slice(0, 2), ['failing export_refused', 'delivering export_refused'])
  assert.equal(exporter.state().next, 12)
})

test('an acknowledgement that could not be kept is not taken for one', async () => {
  const log = await newLog()
  await append(log, 3)
  const [sink, states] = [new FakeSink(), new MemoryStates()]
  const { write } = states
  let failures = 0
  const failing: ExportStates = {
    read: states.read,
    write: async (state) => {
      if (state.next > 0 && failures++ === 0) throw new DoorwardError('file_unreadable', 'the disk is full')
      await write(state)
    },
  }
  await runUntil(new Exporter(parts(log, sink, { states: failing })), () => sink.kept.length >= 6)
  assert.deepEqual(sink.indices(), [...upTo(3), ...upTo(3)], 'at least once')
})

test('a batch that is too large is halved until the receiver takes it', async () => {
  const log = await newLog()
  await append(log, 20)
  const sink = new FakeSink()
  sink.judge = ({ length }) => {
    if (length > 3) throw new DeliveryError('export_too_large', 'no')
    return 0
  }
  await runUntil(new Exporter(parts(log, sink)), () => sink.kept.length >= 20)
  assert.deepEqual(sink.indices(), upTo(20))
})

test('what a receiver says not to keep is counted and told', async () => {
  const log = await newLog()
  await append(log, 4)
  const sink = new FakeSink()
  sink.judge = () => 2
  const told: number[] = []
  const exporter = new Exporter(parts(log, sink, { onChange: ({ rejected }) => told.push(rejected) }))
  await runUntil(exporter, () => sink.kept.length >= 4)
  assert.ok((told[0] ?? 0) >= 2)
  assert.equal(exporter.state().next, 4)
})

test('what was deleted before it was delivered is told to the receiver, never skipped silently', async () => {
  const log = await newLog()
  await append(log, 40)
  const [first, second] = await log.segments()
  await rm(first!)
  const begins = Number(/(\d+)\.journal$/.exec(second!)?.[1])
  const sink = new FakeSink()
  const exporter = new Exporter(parts(log, sink))
  await runUntil(exporter, () => exporter.state().next >= 40)
  assert.deepEqual([sink.kept[0]?.kind, sink.kept[0]?.index], ['gap', 0])
  assert.deepEqual(sink.indices().slice(1), upTo(40, begins))
  assert.equal(exporter.state().error?.code, 'export_gap')
})

test('another log, a shorter log and an unreadable state are failures, and nothing is delivered', async () => {
  const log = await newLog()
  await append(log, 3)
  const other = {
    name: 'siem',
    kind: 'fake',
    next: 0,
    state: 'stopped',
    since: 0,
    lagging: false,
    rejected: 0,
    error: null,
    pid: 1,
  } as const
  const kept: readonly (readonly [string, ExportStates['read']])[] = [
    ['export_other_log', async () => ({ ...other, origin: 'other.example/gateway/main' })],
    ['export_ahead', async () => ({ ...other, origin: ORIGIN, next: 4 })],
    ['export_state', () => Promise.reject(new DoorwardError('export_state', 'no'))],
  ]
  for (const [code, read] of kept) {
    const sink = new FakeSink()
    const exporter = new Exporter(parts(log, sink, { states: { read, write: async () => undefined } }))
    await runUntil(exporter, () => exporter.state().error?.code === code)
    assert.equal(sink.kept.length, 0)
  }
})

test('a receiver that never answers is let go when the export ends', async () => {
  const log = await newLog()
  await append(log, 3)
  const sink = new FakeSink()
  sink.judge = (_, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('stopped'))))
  const exporter = new Exporter(parts(log, sink))
  await runUntil(exporter, () => sink.sizes.length > 0)
  assert.deepEqual([exporter.state().next, exporter.state().state, sink.closed], [0, 'stopped', true])
})

test('more waiting than the spool holds is lagging, and says from where on retention must keep entries', async () => {
  const log = await newLog()
  await append(log, 60)
  const sink = new FakeSink()
  sink.judge = () => {
    throw new DeliveryError('export_unreachable', 'no')
  }
  const all = await backlogOf(log.dir, 0)
  assert.equal(all.entries, 60)
  const exporter = new Exporter(parts(log, sink, { spoolBytes: Math.round(all.bytes / 2) }))
  assert.equal(await exporter.oldestNeeded(), 0, 'before it is known what was delivered, all of it')
  await runUntil(exporter, () => exporter.state().lagging && exporter.state().error !== null)
  const needed = await exporter.oldestNeeded()
  assert.ok(needed > 0 && needed < 60)
  assert.ok((await backlogOf(log.dir, needed)).bytes <= all.bytes / 2)
  assert.equal(await oldestKept(log.dir, 0, all.bytes + 1), 0)
  assert.equal(await oldestKept(log.dir, 60, 1), 60)
  assert.deepEqual(await backlogOf(log.dir, 60), { entries: 0, bytes: 0 })
})

test('only a whole state is a state', () => {
  const state: ExportState = {
    name: 'a',
    kind: 'file',
    origin: ORIGIN,
    next: 3,
    state: 'failing',
    since: 1,
    lagging: true,
    rejected: 0,
    error: { code: 'c', message: 'm', at: 2 },
    pid: 9,
  }
  assert.deepEqual(parseState(formatState(state)), state)
  for (const bad of [
    '',
    '{}',
    'null',
    '[]',
    formatState({ ...state, next: -1 }),
    formatState(state).replace('"v":1', '"v":2'),
    formatState({ ...state, state: 'other' as 'failing' }),
    formatState({ ...state, error: {} as never }),
  ])
    assert.equal(parseState(bad), null, bad)
})
