/**
 * `npm run bench -- steady [--seconds N] [--calls N] [--json]`: what a call waits at 70 % of what the gateway can do, beside
 * forwarding blindly at the same rate, and how much memory the gateway has after 100,000 and after a million calls. Exit 0
 * when everything was measured, 2 for unknown arguments.
 */

import { parseArgs } from 'node:util'
import { residentBytes } from '../cpu.ts'
import { measureOne, warming } from '../measure.ts'
import type { Load } from '../measure.ts'
import { summed } from '../statistics.ts'
import type { Measured, RoundSample } from '../statistics.ts'
import { startSystem } from '../system.ts'
import type { BenchSystem, Variant } from '../system.ts'

const usage = 'usage: npm run bench -- steady [--seconds N] [--calls N] [--json]'
const SHARE = 0.7
const ROUNDS = 3
const CONNECTIONS = 32
/** Memory is looked at after each. */
const CHUNKS = 10

interface Options {
  /** Measured seconds per variant at the steady load. */
  readonly seconds: number
  readonly calls: number
  readonly json: boolean
}

interface SteadyReport {
  /** Calls per second with 16 connections, one call under way on each. */
  readonly capacity: number
  readonly perSecond: number
  readonly blind: Measured
  readonly full: Measured
  readonly memory: readonly { readonly calls: number; readonly bytes: number }[]
}

export async function benchSteady(args: readonly string[]): Promise<number> {
  const options = readOptions(args)
  if (typeof options === 'string') {
    console.error(`${options}\n${usage}`)
    return 2
  }
  await using stack = new AsyncDisposableStack()
  const system = await startSystem(stack, { others: false })
  const report = await measure(system, options)
  console.log(options.json ? JSON.stringify(report, null, 2) : textOf(report))
  return 0
}

function readOptions(args: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seconds: { type: 'string', default: '30' },
        calls: { type: 'string', default: '1000000' },
        json: { type: 'boolean', default: false },
      },
    })
    const [seconds, calls] = [Number(values.seconds), Number(values.calls)]
    if (!(seconds > 0 && seconds <= 600)) return '--seconds: expected 1 to 600'
    if (!(calls >= 1000 && calls <= 10_000_000)) return '--calls: expected 1000 to 10000000'
    return { seconds, calls, json: values.json }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

async function measure(system: BenchSystem, { seconds, calls, json }: Options): Promise<SteadyReport> {
  const say = (text: string) => void (process.stderr.isTTY && !json && process.stderr.write(`\r\u001b[K${text}`))
  const [blind, full] = [variantOf(system, 'blind'), variantOf(system, 'full')]
  say('warming up')
  for (const variant of [blind, full]) await measureOne(system, variant, warming)
  const most = { connections: 16, milliseconds: 5000, maximumCalls: 200_000, warmupCalls: 2000 }
  const capacity = summed([await measureOne(system, full, most)], false).callsPerSecond
  const perSecond = Math.round(capacity * SHARE)
  const milliseconds = (seconds * 1000) / ROUNDS
  const load: Load = { connections: CONNECTIONS, milliseconds, maximumCalls: 1_000_000, warmupCalls: 500, perSecond }
  const samples: { readonly [name: string]: RoundSample[] } = { blind: [], full: [] }
  for (let round = 0; round < ROUNDS; round++) {
    say(`${perSecond} calls/s, round ${round + 1} of ${ROUNDS}`)
    for (const variant of [blind, full]) samples[variant.name]?.push(await measureOne(system, variant, load))
  }
  const memory: { calls: number; bytes: number }[] = []
  const some = { connections: 16, milliseconds: 600_000, maximumCalls: calls / CHUNKS, warmupCalls: 0 }
  for (let chunk = 1; chunk <= CHUNKS; chunk++) {
    say(`memory: ${(chunk * calls) / CHUNKS} of ${calls} calls`)
    await measureOne(system, full, some)
    memory.push({ calls: (chunk * calls) / CHUNKS, bytes: residentBytes(full.pid) })
  }
  say('')
  return { capacity, perSecond, blind: summed(samples['blind']!, false), full: summed(samples['full']!, false), memory }
}

function variantOf({ variants }: BenchSystem, name: Variant['name']): Variant {
  const variant = variants.find((one) => one.name === name)
  if (variant === undefined) throw new TypeError(`${name} is not running`)
  return variant
}

function textOf({ capacity, perSecond, blind, full, memory }: SteadyReport): string {
  const milliseconds = (microseconds: number) => (microseconds / 1000).toFixed(2).padStart(10)
  const row = (name: string, { callsPerSecond, p50Microseconds, p99Microseconds }: Measured) =>
    name.padEnd(40) +
    callsPerSecond.toFixed(0).padStart(10) +
    milliseconds(p50Microseconds) +
    milliseconds(p99Microseconds)
  const added = (of: 'p50Microseconds' | 'p99Microseconds') => milliseconds(full[of] - blind[of])
  const [first, last] = [memory[0], memory.at(-1)]
  return [
    `at ${perSecond} calls/s, ${SHARE * 100} % of ${capacity.toFixed(0)}, on ${CONNECTIONS} connections`,
    `${''.padEnd(40)}${['calls/s', 'p50 ms', 'p99 ms'].map((name) => name.padStart(10)).join('')}`,
    row('gateway forwarding blindly', blind),
    row('gateway, every control, durable record', full),
    `${'added'.padEnd(50)}${added('p50Microseconds')}${added('p99Microseconds')}`,
    '',
    'memory of the gateway after so many calls, MiB',
    ...memory.map(
      ({ calls, bytes }) => `${calls.toLocaleString('en').padStart(12)}${(bytes / 2 ** 20).toFixed(1).padStart(10)}`,
    ),
    `last / first${((last?.bytes ?? Number.NaN) / (first?.bytes ?? Number.NaN)).toFixed(3).padStart(10)}`,
  ].join('\n')
}
