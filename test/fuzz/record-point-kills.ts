/** A long log whose writer is killed at every point of its disk, then at points of chance, and what must be true afterwards. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { generateKeyPairSync } from 'node:crypto'
import { appendFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ed25519LogKey } from '@doorward/enforcement'
import { isAbsent, readAll } from '../../packages/server/src/audit/read.ts'
import { logIn } from '../unit/enforcement/record-fixture.ts'
import type { Log } from '../unit/enforcement/record-fixture.ts'
import type { Chance } from './chance.ts'
import type { PointPlan } from './record-points-child.ts'
import { recordPoints } from './record-points.ts'
import type { RecordPoint } from './record-points.ts'

const child = join(import.meta.dirname, 'record-points-child.ts')

export interface PointKillOptions {
  /** An empty folder. */
  readonly root: string
  readonly privateKey: ReturnType<typeof generateKeyPairSync>['privateKey']
  readonly chance: Chance
  /** Entries before the first kill. */
  readonly entries: number
  /** Asked before each kill. */
  readonly goOn: (kills: number) => boolean
  /** How often a writer lets expire before it has reached nothing of its plan. */
  readonly turns: number
}

export interface PointKillReport {
  readonly kills: number
  /** Points at which a writer has died, and how often. */
  readonly points: ReadonlyMap<string, number>
  readonly acknowledged: number
  /** Entries in the end, and how many of them have expired. */
  readonly entries: number
  readonly expired: number
  /** Milliseconds from the start of opening to an open log, without Node's own start. */
  readonly opened: readonly number[]
  /** What must not be. */
  readonly findings: readonly string[]
}

/** As far as the tail of the journal may outgrow what was there at first. */
const KEPT_BYTES = 200_000
/** Writers that reach none of what is left; then it is left to chance. */
const MAX_MISSES = 4
const MAX_FINDINGS = 20

export async function killAtPoints(options: PointKillOptions): Promise<PointKillReport> {
  const { root, privateKey, chance, entries, goOn, turns } = options
  const keyFile = join(root, 'key.pem')
  await writeFile(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  const log = logIn(root, ed25519LogKey(privateKey))
  const acknowledged = await grow(log, entries)
  const maxBytes = (await journalBytes(log)) + KEPT_BYTES
  const findings: string[] = []
  const left = new Set<RecordPoint>(recordPoints)
  const points = new Map<string, number>()
  const opened: number[] = []
  let [kills, misses] = [0, 0]
  for (; findings.length === 0 && goOn(kills); kills++) {
    const named = left.size > 0 && misses < MAX_MISSES
    const plan = named
      ? { points: [...left], count: 1, maxBytes, turns }
      : { points: [chance.of(recordPoints)], count: 1 + chance.below(40), maxBytes, turns }
    if (named && misses > 0) await tear(log)
    const run = await runOnce([root, keyFile, String((kills + 1) * 10_000_000), JSON.stringify(plan)])
    findings.push(...run.problems.map((problem) => `writer ${kills}: ${problem}`))
    if (run.openedMilliseconds !== null) opened.push(run.openedMilliseconds)
    if (run.point !== null) points.set(run.point, (points.get(run.point) ?? 0) + 1)
    if (run.point !== null) left.delete(run.point)
    else if (named) misses++
    for (const [index, value] of run.lines) {
      if (acknowledged.has(index)) findings.push(`index ${index} was given twice`)
      acknowledged.set(index, value)
    }
  }
  const whole = await judge(log, acknowledged)
  findings.push(...whole.findings)
  const { entries: size, expired } = whole
  return {
    kills,
    points,
    acknowledged: acknowledged.size,
    entries: size,
    expired,
    opened,
    findings: findings.slice(0, MAX_FINDINGS),
  }
}

/** What each index was acknowledged with. */
async function grow(log: Log, entries: number): Promise<Map<number, number>> {
  const acknowledged = new Map<number, number>()
  const record = await log.open()
  let value = 0
  const write = async () => {
    while (value < entries) {
      const mine = value++
      acknowledged.set((await record.append({ kind: 'decision', body: { n: mine } })).index, mine)
    }
  }
  await Promise.all(Array.from({ length: 1000 }, write))
  await record.close()
  return acknowledged
}

/** As a write leaves it that the machine has not finished: nobody was told of it. */
async function tear(log: Log): Promise<void> {
  const last = (await log.segments()).at(-1)
  if (last !== undefined) await appendFile(last, new Uint8Array(30))
}

async function journalBytes(log: Log): Promise<number> {
  const sizes = await Promise.all((await log.segments()).map(async (path) => (await stat(path)).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

async function judge(log: Log, acknowledged: ReadonlyMap<number, number>) {
  const record = await log.open()
  const { size } = record.stats()
  await record.close()
  const findings: string[] = []
  let [next, expired] = [0, 0]
  for await (const found of readAll(log.dir)) {
    if (found.index !== next++) findings.push(`entry ${next - 1} is missing`)
    if (isAbsent(found)) expired++
    else if (acknowledged.has(found.index) && found.entry.body['n'] !== acknowledged.get(found.index))
      findings.push(`entry ${found.index} is another than was acknowledged`)
  }
  if (next !== size) findings.push(`${size} entries, ${next} readable`)
  for (const index of acknowledged.keys()) if (index >= size) findings.push(`acknowledged entry ${index} is lost`)
  const { problems } = await log.verify()
  return { entries: size, expired, findings: [...findings, ...problems.map((problem) => JSON.stringify(problem))] }
}

interface Run {
  readonly lines: readonly (readonly [index: number, value: number])[]
  readonly openedMilliseconds: number | null
  /** Where it has died; null when it has reached nothing. */
  readonly point: RecordPoint | null
  readonly problems: readonly string[]
}

/** A writer that is stuck is a finding. */
const STUCK_MILLISECONDS = 300_000

async function runOnce(args: readonly string[]): Promise<Run> {
  const writer = spawn(process.execPath, ['--conditions=source', child, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, errors] = ['', '']
  writer.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  writer.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  const timer = setTimeout(() => writer.kill('SIGABRT'), STUCK_MILLISECONDS)
  const [code, signal] = (await once(writer, 'close')) as [number | null, string | null]
  clearTimeout(timer)
  const [first, ...lines] = out.slice(0, out.lastIndexOf('\n') + 1).split('\n')
  return {
    lines: lines.filter((line) => line !== '').map((line) => line.split(' ').map(Number) as [number, number]),
    openedMilliseconds: first === undefined || first === '' ? null : Number(first),
    point: recordPoints.find((point) => errors.endsWith(point)) ?? null,
    problems: signal === 'SIGKILL' ? [] : [`ended with ${signal ?? code}: ${errors.slice(0, 400)}`],
  }
}

export type { PointPlan }
