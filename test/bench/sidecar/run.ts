/**
 * `npm run bench -- sidecar [--seconds N] [--json]`: what a call between two programs costs a pair of sidecars, every control and the
 * record included, beside a pair of HAProxy with mutual TLS between them: the same program, the same callers, in turns. Exit 0
 * when both were measured, 1 where HAProxy is not installed or the system does not tell the CPU time of a process, 2 for unknown
 * arguments.
 */

import { once } from 'node:events'
import { chmod, mkdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openSdkStage } from '../../fixtures/sdk-stage.ts'
import { cpuIsKnown } from '../cpu.ts'
import { openCallers } from '../sdk/callers.ts'
import { alternate } from '../sdk/turns.ts'
import type { Turns } from '../sdk/turns.ts'
import { median } from '../statistics.ts'
import { openHaproxyPair } from './haproxy-pair.ts'
import { openSidecarPair } from './sidecar-pair.ts'
import type { Pair } from './sidecar-pair.ts'

const DEFAULT_SECONDS = 24
const MAXIMUM_SECONDS = 120
const CONNECTIONS = [1, 16]
/** Whichever is over first. */
const WARM = { calls: 20_000, milliseconds: 6000 }
const REQUEST = 'GET /orders/7 HTTP/1.1\r\nHost: orders.local\r\n\r\n'

interface Row {
  readonly connections: number
  readonly sidecars: Turns
  readonly haproxies: Turns
  /** The median over the turns. */
  readonly ratio: number
}

export async function benchSidecar(args: readonly string[]): Promise<number> {
  const options = readOptions(args)
  if (typeof options === 'string') {
    console.error(`${options}\nusage: npm run bench -- sidecar [--seconds N] [--json]`)
    return 2
  }
  await using stack = new AsyncDisposableStack()
  const pairs = await opened(stack)
  if (pairs === null || !cpuIsKnown) {
    console.error('NOT MEASURED: HAProxy is not installed, or this system tells no CPU time')
    return 1
  }
  const rows: Row[] = []
  for (const connections of CONNECTIONS)
    rows.push(await measured(pairs, connections, options.seconds / CONNECTIONS.length))
  console.log(options.json ? JSON.stringify(rows, null, 2) : textOf(rows))
  return 0
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

/** Sidecars first. */
async function opened(stack: AsyncDisposableStack): Promise<readonly [Pair, Pair] | null> {
  const stage = await openSdkStage()
  stack.defer(() => stage.close())
  const folder = join(stage.folders.root, 'run')
  await mkdir(folder, { mode: 0o755 })
  // Programs reach sockets in it.
  await chmod(stage.folders.root, 0o755)
  const program = await openProgram(join(folder, 'program.sock'), stack)
  const [, between = 0, looked = 0] = stage.ports
  const haproxies = await openHaproxyPair(program, folder, { between, looked })
  if (haproxies === null) return null
  stack.defer(() => haproxies.close())
  const sidecars = await openSidecarPair(stage, program, folder)
  stack.defer(() => sidecars.close())
  return [sidecars, haproxies]
}

async function openProgram(path: string, stack: AsyncDisposableStack): Promise<string> {
  const body = 'x'.repeat(200)
  const server = createServer({ keepAliveTimeout: 60_000 }, (_request, response) => response.end(body))
  await once(server.listen({ path }), 'listening')
  await chmod(path, 0o666)
  stack.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  return path
}

async function measured(pairs: readonly [Pair, Pair], connections: number, seconds: number): Promise<Row> {
  const contenders = []
  for (const { pids, socketPath } of pairs) {
    const callers = await openCallers({ socketPath }, REQUEST, connections)
    const began = performance.now()
    await callers.call((begun) => begun < WARM.calls && performance.now() - began < WARM.milliseconds)
    contenders.push({ pids, callers })
  }
  const [sidecars, haproxies] = await alternate(contenders, seconds)
  for (const { callers } of contenders) callers.close()
  if (sidecars === undefined || haproxies === undefined) throw new TypeError('two pairs have turns')
  const ratio = median(sidecars.cpuOfTurns.map((cpu, turn) => cpu / (haproxies.cpuOfTurns[turn] ?? Number.NaN)))
  return { connections, sidecars, haproxies, ratio }
}

function textOf(rows: readonly Row[]): string {
  const load = loadavg()[0]?.toFixed(1) ?? '?'
  const machine = `machine: ${availableParallelism()} cores, load ${load}; Node ${process.versions.node}`
  const head = 'connections  pair           calls/s    p50 ms    p99 ms  CPU µs/call   quarter–three quarters'
  const lines = rows.flatMap(({ connections, sidecars, haproxies, ratio }) => [
    lineOf(connections, 'sidecars', sidecars),
    lineOf(connections, 'HAProxy', haproxies),
    `CPU, sidecars / HAProxy, ${connections} connections: ${ratio.toFixed(1)}`,
  ])
  return [machine, '', head, ...lines].join('\n')
}

function lineOf(connections: number, name: string, turns: Turns): string {
  return [
    String(connections).padStart(11),
    `  ${name.padEnd(12)}`,
    turns.callsPerSecond.toFixed(0).padStart(10),
    turns.p50.toFixed(3).padStart(10),
    turns.p99.toFixed(3).padStart(10),
    turns.cpuPerCall.toFixed(0).padStart(13),
    `${turns.quarter.toFixed(0)}–${turns.threeQuarters.toFixed(0)}`.padStart(25),
  ].join('')
}
