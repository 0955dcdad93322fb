/** One decision after the other, each measured by itself, every engine in every round. */

import { quantile } from '../statistics.ts'
import type { Engine, EngineName } from './engines.ts'
import type { BenchCall } from './population.ts'

export interface Timing {
  /** Microseconds: of the round with the lowest median, which is the one that the machine disturbed least. */
  readonly p50: number
  readonly p99: number
  /** The medians of all rounds, lowest and highest. */
  readonly rounds: readonly [number, number]
}

export interface Timings {
  readonly engines: Partial<Readonly<Record<EngineName, Timing>>>
  /** How many of the calls were allowed, by every engine the same ones. */
  readonly allowed: number
  readonly calls: number
  /** Each engine's best median against ours. */
  readonly ratios: Partial<Readonly<Record<EngineName, number>>>
}

interface Sample {
  readonly p50: number
  readonly p99: number
}

/** Of the slow ones too: some of every kind, with and without the role. */
const LEAST_COMPARED = 24

/** Throws when two engines disagree. */
export function timeRounds(engines: readonly Engine[], calls: readonly BenchCall[], rounds: number): Timings {
  const allowed = agreed(engines, calls)
  const samples = new Map<EngineName, Sample[]>(engines.map(({ name }) => [name, []]))
  for (const engine of engines)
    for (let round = 0; round * engine.most < engine.warmup; round++) timeOne(engine, calls, round)
  for (let round = 0; round < rounds; round++)
    for (const engine of engines) samples.get(engine.name)?.push(timeOne(engine, calls, round))
  const least = (each: readonly Sample[] = []) => Math.min(...each.map(({ p50 }) => p50))
  return {
    engines: Object.fromEntries(Array.from(samples, ([name, each]) => [name, timingOf(each)])),
    allowed,
    calls: calls.length,
    ratios: Object.fromEntries(
      Array.from(samples, ([name, each]) => [name, least(each) / least(samples.get('doorward'))]),
    ),
  }
}

/** What every engine says of every call; those that are slow with many policies are asked of some. */
function agreed(engines: readonly Engine[], calls: readonly BenchCall[]): number {
  let allowed = 0
  for (const [i, call] of calls.entries()) {
    const answers = engines
      .filter(({ most }) => i < Math.max(LEAST_COMPARED, most * 3))
      .map((engine) => engine.ask(call, 0)())
    if (new Set(answers).size !== 1) {
      const said = engines.map(({ name }, at) => `${name} ${answers[at] === true ? 'allows' : 'denies'}`).join(', ')
      throw new Error(`the engines disagree: ${said}: ${JSON.stringify(call)}`)
    }
    if (answers[0] === true) allowed++
  }
  return allowed
}

function timeOne(engine: Engine, calls: readonly BenchCall[], round: number): Sample {
  const count = Math.min(engine.most, calls.length)
  const from = (round * count) % calls.length
  const asked = Array.from({ length: count }, (_, i) => {
    const call = calls[(from + i) % calls.length]
    if (call === undefined) throw new TypeError('no calls')
    return engine.ask(call, round)
  })
  const times = new Float64Array(count)
  for (const [i, ask] of asked.entries()) {
    const before = performance.now()
    ask()
    times[i] = (performance.now() - before) * 1000
  }
  times.sort()
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
}

function timingOf(samples: readonly Sample[]): Timing {
  const medians = samples.map(({ p50 }) => p50)
  const best = samples.reduce((least, sample) => (sample.p50 < least.p50 ? sample : least))
  return { ...best, rounds: [Math.min(...medians), Math.max(...medians)] }
}
