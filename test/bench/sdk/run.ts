/**
 * `npm run bench -- sdk [--seconds N] [--json]`: what a call costs a program that protects itself, its record durable, beside a bare
 * server of `node:https` with mutual TLS, over kept connections, in turns. Exit 0 when it was measured, 1 where the system does
 * not tell the CPU time of a process, 2 for unknown arguments.
 */

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:https'
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cpuIsKnown, cpuMicroseconds } from '../cpu.ts'
import type { Served } from './callee-process.ts'

const DEFAULT_SECONDS = 12
const MAXIMUM_SECONDS = 120
const ROUNDS = 6
const WARM_CALLS = 5000
const CONNECTIONS = 16

const variants = ['bare', 'protected'] as const
type Variant = (typeof variants)[number]

interface Program extends Served {
  readonly variant: Variant
  readonly child: ChildProcess
  readonly agent: Agent
  firstMilliseconds: number
}

interface Round {
  readonly calls: number
  readonly seconds: number
  readonly cpuMicroseconds: number
  readonly latencies: readonly number[]
}

export async function benchSdk(args: readonly string[]): Promise<number> {
  const options = readOptions(args)
  if (typeof options === 'string') {
    console.error(`${options}\nusage: npm run bench -- sdk [--seconds N] [--json]`)
    return 2
  }
  const programs: Program[] = []
  try {
    for (const variant of variants) programs.push(await start(variant))
    const rows = await measured(programs, (options.seconds * 1000) / ROUNDS)
    console.log(options.json ? JSON.stringify(rows, null, 2) : textOf(rows))
    return cpuIsKnown ? 0 : 1
  } finally {
    for (const { child, agent } of programs) {
      agent.destroy()
      child.disconnect()
      await once(child, 'exit')
    }
  }
}

function readOptions(args: readonly string[]): { readonly seconds: number; readonly json: boolean } | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { seconds: { type: 'string' }, json: { type: 'boolean', default: false } },
    })
    const seconds = Number(values.seconds ?? DEFAULT_SECONDS)
    if (!(seconds > 0 && seconds <= MAXIMUM_SECONDS)) return `--seconds: expected 1 to ${MAXIMUM_SECONDS}`
    return { seconds, json: values.json }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

async function start(variant: Variant): Promise<Program> {
  const child = fork(join(import.meta.dirname, 'callee-process.ts'), [variant], {
    execArgv: ['--conditions=source'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const [served] = (await once(child, 'message')) as [Served]
  const { key, cert, ca } = served
  const agent = new Agent({
    key,
    cert,
    ca,
    keepAlive: true,
    maxSockets: CONNECTIONS,
    checkServerIdentity: () => undefined,
    minVersion: 'TLSv1.3',
  })
  const program = { ...served, variant, child, agent, firstMilliseconds: 0 }
  program.firstMilliseconds = await one(program)
  return program
}

/** One call; the milliseconds that it took. */
function one({ agent, port, token }: Program): Promise<number> {
  return new Promise((resolve, reject) => {
    const began = performance.now()
    const headers = { authorization: `Bearer ${token}`, host: 'callee.acme.test' }
    const call = request({ agent, host: '127.0.0.1', port, path: '/orders/7', headers }, (answer) => {
      if (answer.statusCode !== 200)
        reject(new Error(`answered ${answer.statusCode} ${String(answer.headers['doorward-code'])}`))
      answer.once('end', () => resolve(performance.now() - began)).resume()
    })
    call.once('error', reject).end()
  })
}

async function measured(programs: readonly Program[], milliseconds: number): Promise<readonly Row[]> {
  for (const program of programs) await callAll(program, (calls) => calls < WARM_CALLS)
  const rounds = new Map<Variant, Round[]>()
  for (let round = 0; round < ROUNDS; round++) {
    // Another one begins each time.
    for (const program of round % 2 === 0 ? programs : programs.toReversed()) {
      const before = cpuMicroseconds(program.child.pid ?? 0)
      const began = performance.now()
      const latencies = await callAll(program, () => performance.now() - began < milliseconds)
      const seconds = (performance.now() - began) / 1000
      const cpu = cpuMicroseconds(program.child.pid ?? 0) - before
      const own = rounds.get(program.variant) ?? []
      own.push({ calls: latencies.length, seconds, cpuMicroseconds: cpu, latencies })
      rounds.set(program.variant, own)
    }
  }
  return programs.map((program) => rowOf(program, rounds.get(program.variant) ?? []))
}

async function callAll(program: Program, more: (calls: number) => boolean): Promise<readonly number[]> {
  const latencies: number[] = []
  let begun = 0
  const loop = async () => {
    while (more(begun)) {
      begun++
      latencies.push(await one(program))
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, loop))
  return latencies
}

interface Row {
  readonly variant: Variant
  readonly callsPerSecond: number
  readonly p50: number
  readonly p99: number
  readonly cpuPerCall: number
  readonly leastPerRound: number
  readonly mostPerRound: number
  readonly startMilliseconds: number
  readonly firstMilliseconds: number
}

function rowOf({ variant, startMilliseconds, firstMilliseconds }: Program, rounds: readonly Round[]): Row {
  const sum = (of: (round: Round) => number) => rounds.reduce((total, round) => total + of(round), 0)
  const calls = sum((round) => round.calls)
  const sorted = rounds.flatMap(({ latencies }) => latencies).toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN
  const each = rounds.map((round) => round.cpuMicroseconds / round.calls)
  return {
    variant,
    callsPerSecond: calls / sum(({ seconds }) => seconds),
    p50: at(0.5),
    p99: at(0.99),
    cpuPerCall: sum((round) => round.cpuMicroseconds) / calls,
    leastPerRound: Math.min(...each),
    mostPerRound: Math.max(...each),
    startMilliseconds,
    firstMilliseconds,
  }
}

function textOf(rows: readonly Row[]): string {
  const [bare, own] = rows
  const head = `${CONNECTIONS} connections      calls/s    p50 ms    p99 ms  CPU µs/call   per round   start ms   first call ms`
  const lines = rows.map((row) =>
    [
      row.variant.padEnd(18),
      row.callsPerSecond.toFixed(0).padStart(9),
      row.p50.toFixed(3).padStart(10),
      row.p99.toFixed(3).padStart(10),
      row.cpuPerCall.toFixed(0).padStart(13),
      `${row.leastPerRound.toFixed(0)}–${row.mostPerRound.toFixed(0)}`.padStart(12),
      row.startMilliseconds.toFixed(0).padStart(11),
      row.firstMilliseconds.toFixed(0).padStart(16),
    ].join(''),
  )
  const added = own === undefined || bare === undefined ? Number.NaN : own.cpuPerCall - bare.cpuPerCall
  const load = loadavg()[0]?.toFixed(1) ?? '?'
  const machine = `machine: ${availableParallelism()} cores, load ${load}; Node ${process.versions.node}`
  return [machine, '', head, ...lines, '', `protect adds ${added.toFixed(0)} µs of CPU to a call`].join('\n')
}
