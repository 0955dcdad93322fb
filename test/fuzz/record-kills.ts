/** A writer of the record that is killed in the middle, again and again, and what must be true afterwards. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { generateKeyPairSync } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ed25519LogKey } from '@doorward/enforcement'
import { isAbsent, readAll } from '../../packages/server/src/audit/read.ts'
import { logIn, redactionOf } from '../unit/enforcement/record-fixture.ts'
import type { Chance } from './chance.ts'

const child = join(import.meta.dirname, '../unit/enforcement/record-kill-child.ts')

export interface KillOptions {
  /** An empty folder. */
  readonly root: string
  readonly privateKey: ReturnType<typeof generateKeyPairSync>['privateKey']
  readonly chance: Chance
  /** Folder of a second sink that is demanded; none by default. */
  readonly secondSink?: string | undefined
  /** Asked before each kill. */
  readonly goOn: (kills: number) => boolean
}

export interface KillReport {
  readonly kills: number
  readonly acknowledged: number
  /** From the start of the writer's program to an open log, the longest. */
  readonly slowestStartMilliseconds: number
  /** What must not be. */
  readonly findings: readonly string[]
}

/** Kills until `goOn` says no, then reads and verifies the whole log. */
export async function killRepeatedly({ root, privateKey, chance, goOn, secondSink }: KillOptions): Promise<KillReport> {
  const keyFile = join(root, 'key.pem')
  await writeFile(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  const acknowledged = new Map<number, number>()
  const findings: string[] = []
  let [kills, slowest] = [0, 0]
  while (findings.length === 0 && goOn(kills)) {
    const args = [root, keyFile, String(kills * 1_000_000), ...(secondSink === undefined ? [] : [secondSink])]
    const run = await runAndKill(args, 1 + chance.next() * 1500)
    if (run.failure !== null) findings.push(`writer ${kills}: ${run.failure}`)
    for (const [index, value] of run.lines) {
      if (acknowledged.has(index)) findings.push(`index ${index} was given twice`)
      acknowledged.set(index, value)
    }
    slowest = Math.max(slowest, run.startMilliseconds)
    kills++
  }
  findings.push(...(await lost({ root, privateKey, secondSink }, acknowledged)))
  return { kills, acknowledged: acknowledged.size, slowestStartMilliseconds: slowest, findings: findings.slice(0, 20) }
}

async function lost(
  { root, privateKey, secondSink }: Pick<KillOptions, 'root' | 'privateKey' | 'secondSink'>,
  acknowledged: ReadonlyMap<number, number>,
): Promise<readonly string[]> {
  const log = logIn(root, ed25519LogKey(privateKey))
  // What a redaction has left undone concerns the sink, too.
  const record = await log.open(secondSink === undefined ? {} : { secondSink })
  await redactionOf(log, record).resume()
  const { size } = record.stats()
  await record.close()
  const found = new Map<number, unknown>()
  const gone = new Map<number, string>()
  for await (const each of readAll(log.dir))
    if (isAbsent(each)) gone.set(each.index, each.why)
    else found.set(each.index, each.entry.body['n'])
  const findings = [...acknowledged]
    .filter(([index, value]) => !gone.has(index) && found.get(index) !== value)
    .map(([index]) => `acknowledged entry ${index} is not in the log`)
  for (const [index, why] of gone)
    if (why !== 'expired' && why !== 'redacted') findings.push(`entry ${index} is ${why}`)
  if (found.size + gone.size !== size) findings.push(`${size} entries, ${found.size} readable, ${gone.size} absent`)
  return [...findings, ...(await log.verify()).problems.map((problem) => JSON.stringify(problem))]
}

interface Run {
  readonly lines: readonly (readonly [index: number, value: number])[]
  readonly startMilliseconds: number
  readonly failure: string | null
}

/** Runs a writer and kills it once it has acknowledged that many entries. */
async function runAndKill(args: readonly string[], entries: number): Promise<Run> {
  const begun = performance.now()
  const writer = spawn(process.execPath, ['--conditions=source', child, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, errors, lines, startMilliseconds] = ['', '', 0, 0]
  writer.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  writer.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (out === '') startMilliseconds = performance.now() - begun
    out += text
    lines += text.split('\n').length - 1
    if (lines > entries) writer.kill('SIGKILL')
  })
  const [, signal] = (await once(writer, 'close')) as [number | null, string | null]
  const whole = out.slice(0, out.lastIndexOf('\n')).split('\n').slice(1)
  return {
    lines: whole.map((line) => line.split(' ').map(Number) as [number, number]),
    startMilliseconds,
    failure: signal === 'SIGKILL' ? null : errors.slice(0, 400),
  }
}
