/**
 * `npm run bench -- sdk [--seconds N] [--json] [--profile FOLDER]`: what a call costs a program that protects itself, its record durable,
 * beside a bare server of `node:https` with mutual TLS and the parts in between, over kept connections, in turns. Exit 0 when it
 * was measured, 1 where the system does not tell the CPU time of a process, 2 for unknown arguments.
 */

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cpuIsKnown } from '../cpu.ts'
import { median } from '../statistics.ts'
import type { Served } from './callee-process.ts'
import { openCallers } from './callers.ts'
import { alternate } from './turns.ts'
import type { Contender, Turns } from './turns.ts'
import { variants, variantTexts } from './variants.ts'
import type { Variant } from './variants.ts'

const DEFAULT_SECONDS = 24
const MAXIMUM_SECONDS = 60
/** Whichever is over first. */
const WARM = { calls: 20_000, milliseconds: 6000 }
const CONNECTIONS = [1, 16, 64]
const WARM_CONNECTIONS = 16

interface Options {
  readonly seconds: number
  readonly json: boolean
  readonly profile: string | undefined
}

interface Program extends Served {
  readonly variant: Variant
  readonly child: ChildProcess
  readonly firstMilliseconds: number
}

interface Row extends Turns {
  readonly variant: Variant
  readonly connections: number
}

export async function benchSdk(args: readonly string[]): Promise<number> {
  const options = readOptions(args)
  if (typeof options === 'string') {
    console.error(`${options}\nusage: npm run bench -- sdk [--seconds N] [--json] [--profile FOLDER]`)
    return 2
  }
  const programs: Program[] = []
  try {
    for (const variant of variants) programs.push(await start(variant, options))
    await measured(programs, WARM_CONNECTIONS, 0)
    const rows: Row[] = []
    for (const connections of CONNECTIONS)
      rows.push(...(await measured(programs, connections, options.seconds / CONNECTIONS.length)))
    const starts = programs.map(({ variant, startMilliseconds, firstMilliseconds }) => {
      return { variant, startMilliseconds, firstMilliseconds }
    })
    console.log(options.json ? JSON.stringify({ rows, starts }, null, 2) : textOf(rows, starts))
    return cpuIsKnown ? 0 : 1
  } finally {
    await Promise.all(programs.map(({ child }) => ended(child)))
  }
}

function readOptions(args: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { seconds: { type: 'string' }, json: { type: 'boolean', default: false }, profile: { type: 'string' } },
    })
    const seconds = Number(values.seconds ?? DEFAULT_SECONDS)
    if (!(seconds > 0 && seconds <= MAXIMUM_SECONDS)) return `--seconds: expected 1 to ${MAXIMUM_SECONDS}`
    return { seconds, json: values.json, profile: values.profile }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

async function start(variant: Variant, { profile }: Options): Promise<Program> {
  const profiling =
    profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`, `--cpu-prof-name=${variant}.cpuprofile`]
  const child = fork(join(import.meta.dirname, 'callee-process.ts'), [variant], {
    execArgv: ['--conditions=source', ...profiling],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const [served] = (await once(child, 'message')) as [Served]
  const began = performance.now()
  const callers = await openCallers(served, textOfCall(served), 1)
  const firstMilliseconds = performance.now() - began
  callers.close()
  return { ...served, variant, child, firstMilliseconds }
}

const END_MILLISECONDS = 5000

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  const late = setTimeout(() => child.kill('SIGKILL'), END_MILLISECONDS)
  child.disconnect()
  await exit
  clearTimeout(late)
}

function textOfCall({ token }: Served): string {
  return `GET /orders/7 HTTP/1.1\r\nHost: callee.acme.test\r\nAuthorization: Bearer ${token}\r\n\r\n`
}

async function measured(programs: readonly Program[], connections: number, seconds: number): Promise<readonly Row[]> {
  const open: Contender[] = []
  for (const program of programs) {
    const callers = await openCallers(program, textOfCall(program), connections)
    const began = performance.now()
    await callers.call((begun) => begun < WARM.calls && performance.now() - began < WARM.milliseconds)
    open.push({ pids: [program.child.pid ?? 0], callers })
  }
  const turns = await alternate(open, seconds)
  for (const { callers } of open) callers.close()
  return programs.map(({ variant }, i) => ({ variant, connections, ...turns[i]! }))
}

type Starts = readonly Pick<Program, 'variant' | 'startMilliseconds' | 'firstMilliseconds'>[]

function textOf(rows: readonly Row[], starts: Starts): string {
  const load = loadavg()[0]?.toFixed(1) ?? '?'
  const machine = `machine: ${availableParallelism()} cores, load ${load}; Node ${process.versions.node}`
  const sections = CONNECTIONS.map((connections) => sectionOf(rows.filter((row) => row.connections === connections)))
  const began = starts.map(
    ({ variant, startMilliseconds, firstMilliseconds }) =>
      `${variantTexts[variant].padEnd(32)}${startMilliseconds.toFixed(0).padStart(9)}${firstMilliseconds.toFixed(0).padStart(16)}`,
  )
  return [machine, ...sections, `${' '.repeat(32)} start ms   first call ms`, ...began].join('\n\n')
}

function sectionOf(rows: readonly Row[]): string {
  const connections = `${rows[0]?.connections ?? 0} connections`.padEnd(32)
  const head = `${connections}  calls/s    p50 ms    p99 ms  CPU µs/call   quarter–three quarters   its share`
  const lines = rows.map((row, i) =>
    [
      variantTexts[row.variant].padEnd(32),
      row.callsPerSecond.toFixed(0).padStart(9),
      row.p50.toFixed(3).padStart(10),
      row.p99.toFixed(3).padStart(10),
      row.cpuPerCall.toFixed(0).padStart(13),
      `${row.quarter.toFixed(0)}–${row.threeQuarters.toFixed(0)}`.padStart(25),
      addedTo(rows[i - 1], row)
        .toFixed(0)
        .padStart(12),
    ].join(''),
  )
  const added = addedTo(rows[0], rows.at(-1))
  return [head, ...lines, `protect adds ${added.toFixed(0)} µs of CPU to a call`].join('\n')
}

/** The median over the turns of what one needs more than the other in the same turn: whatever else ran hit both. */
function addedTo(less: Row | undefined, more: Row | undefined): number {
  if (more === undefined) return Number.NaN
  return median(more.cpuOfTurns.map((cpu, turn) => cpu - (less?.cpuOfTurns[turn] ?? 0)))
}
