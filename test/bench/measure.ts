/** The run: every variant in every round, so that whatever the machine does hits all of them alike. */

import { cpuIsKnown, cpuMicroseconds } from './cpu.ts'
import type { LoadRequest, LoadResult } from './messages.ts'
import { median, summed } from './statistics.ts'
import type { Measured, RoundSample } from './statistics.ts'
import type { BenchSystem, Variant, VariantName } from './system.ts'

export interface MeasureOptions {
  /** Measured time per variant with 16 connections. */
  readonly seconds: number
  /** Round 0 is the warm-up. */
  readonly onRound: (round: number, rounds: number) => void
}

export type VariantTable = Partial<Readonly<Record<VariantName, Measured>>>

export interface Measurement {
  readonly rounds: number
  /** 16 kept connections, one call under way on each. */
  readonly many: VariantTable
  /** 64 of them, for the variants that concurrency says something about. */
  readonly crowd: VariantTable
  /** One kept connection. */
  readonly one: VariantTable
  /** Microseconds of CPU per call: the median of the rounds. */
  readonly stages: Readonly<Record<string, number>>
}

export type Load = Pick<LoadRequest, LoadKeys>
type LoadKeys = 'connections' | 'milliseconds' | 'maximumCalls' | 'warmupCalls' | 'perSecond' | 'fresh'

const ROUND_MILLISECONDS = 2000
const MAXIMUM_CALLS = 200_000
const loads = {
  many: { connections: 16, milliseconds: ROUND_MILLISECONDS, maximumCalls: MAXIMUM_CALLS, warmupCalls: 2000 },
  crowd: { connections: 64, milliseconds: ROUND_MILLISECONDS, maximumCalls: MAXIMUM_CALLS, warmupCalls: 2000 },
  // Latency is the question, which needs fewer calls.
  one: { connections: 1, milliseconds: ROUND_MILLISECONDS / 2, maximumCalls: MAXIMUM_CALLS, warmupCalls: 300 },
} as const satisfies Readonly<Record<string, Load>>
const crowded: ReadonlySet<VariantName> = new Set(['blind', 'full', 'haproxy'])
/** Until the compilers of every process have settled; not measured. */
export const warming: Load = { connections: 16, milliseconds: 20_000, maximumCalls: 15_000, warmupCalls: 0 }

export async function measureAll(system: BenchSystem, { seconds, onRound }: MeasureOptions): Promise<Measurement> {
  const rounds = Math.max(1, Math.round((seconds * 1000) / ROUND_MILLISECONDS))
  const newSamples = () => new Map<VariantName, RoundSample[]>()
  const samples = { many: newSamples(), crowd: newSamples(), one: newSamples() }
  const stages: Record<string, number>[] = []
  onRound(0, rounds)
  for (const variant of system.variants) await measureOne(system, variant, warming)
  for (let round = 0; round < rounds; round++) {
    onRound(round + 1, rounds)
    for (const variant of turned(system.variants, round)) {
      for (const kind of ['many', 'crowd', 'one'] as const) {
        if (kind === 'crowd' && !crowded.has(variant.name)) continue
        const sample = await measureOne(system, variant, loads[kind])
        samples[kind].set(variant.name, [...(samples[kind].get(variant.name) ?? []), sample])
      }
    }
    system.stages.send({})
    stages.push((await system.stages.next<{ costs: Record<string, number> }>()).costs)
  }
  const table = (kind: keyof typeof samples) =>
    Object.fromEntries([...samples[kind]].map(([name, each]) => [name, summed(each, cpuIsKnown)]))
  return { rounds, many: table('many'), crowd: table('crowd'), one: table('one'), stages: medians(stages) }
}

/** Another variant goes first in each round. */
export function turned<Item>(items: readonly Item[], by: number): readonly Item[] {
  const at = by % items.length
  return [...items.slice(at), ...items.slice(0, at)]
}

/** One variant under one load. */
export async function measureOne(
  system: Pick<BenchSystem, 'load' | 'token'>,
  variant: Variant,
  load: Load,
): Promise<RoundSample> {
  const { port, pid, path, plain } = variant
  const token = plain ? '' : await system.token(path)
  const process = system.load
  process.send({ ...load, port, path, plain, token } satisfies LoadRequest)
  await process.next<{ event: 'measuring' }>()
  const before = cpuMicroseconds(pid)
  process.send({ event: 'go' })
  const result = await process.next<LoadResult>()
  return { ...result, cpuMicroseconds: cpuMicroseconds(pid) - before }
}

function medians(repetitions: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, number>> {
  const names = Object.keys(repetitions[0] ?? {})
  return Object.fromEntries(names.map((name) => [name, median(repetitions.map((costs) => costs[name] ?? Number.NaN))]))
}
