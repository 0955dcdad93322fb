/** The run: every variant in every round, so that whatever the machine does hits all of them alike. */

import { cpuIsKnown, cpuMicroseconds } from './cpu.ts'
import { callPath } from './messages.ts'
import type { LoadResult } from './messages.ts'
import { median, summed } from './statistics.ts'
import type { Measured, RoundSample } from './statistics.ts'
import type { BenchSystem, Variant, VariantName } from './system.ts'

export interface MeasureOptions {
  /** Measured time per variant with 16 connections. */
  readonly seconds: number
  readonly onRound: (round: number, rounds: number) => void
}

export type VariantTable = Partial<Readonly<Record<VariantName, Measured>>>

export interface Measurement {
  readonly rounds: number
  /** 16 kept connections, one call under way on each. */
  readonly many: VariantTable
  /** One kept connection. */
  readonly one: VariantTable
  /** Microseconds of CPU per call: the median of the rounds. */
  readonly stages: Readonly<Record<string, number>>
}

export const connectionCounts = { many: 16, one: 1 } as const
const ROUND_MILLISECONDS = 2000
/** With one connection latency is the question, which needs fewer calls. */
const ONE_MILLISECONDS = 1000
const MAXIMUM_CALLS = 200_000
const WARMUP_CALLS = { many: 2000, one: 300 } as const

export async function measureAll(system: BenchSystem, { seconds, onRound }: MeasureOptions): Promise<Measurement> {
  const rounds = Math.max(1, Math.round((seconds * 1000) / ROUND_MILLISECONDS))
  const samples = { many: new Map<VariantName, RoundSample[]>(), one: new Map<VariantName, RoundSample[]>() }
  const stages: Record<string, number>[] = []
  for (let round = 0; round < rounds; round++) {
    onRound(round + 1, rounds)
    for (const variant of turned(system.variants, round)) {
      for (const kind of ['many', 'one'] as const) {
        const sample = await measureOne(system, variant, kind)
        samples[kind].set(variant.name, [...(samples[kind].get(variant.name) ?? []), sample])
      }
    }
    system.stages.send({})
    stages.push((await system.stages.next<{ costs: Record<string, number> }>()).costs)
  }
  const table = (kind: 'many' | 'one') =>
    Object.fromEntries([...samples[kind]].map(([name, each]) => [name, summed(each, cpuIsKnown)]))
  return { rounds, many: table('many'), one: table('one'), stages: medians(stages) }
}

/** Another variant goes first in each round. */
function turned<Item>(items: readonly Item[], by: number): readonly Item[] {
  const at = by % items.length
  return [...items.slice(at), ...items.slice(0, at)]
}

async function measureOne(system: BenchSystem, variant: Variant, kind: 'many' | 'one'): Promise<RoundSample> {
  const { load } = system
  load.send({
    port: variant.port,
    path: callPath,
    token: await system.token(),
    connections: connectionCounts[kind],
    milliseconds: kind === 'many' ? ROUND_MILLISECONDS : ONE_MILLISECONDS,
    maximumCalls: MAXIMUM_CALLS,
    warmupCalls: WARMUP_CALLS[kind],
  })
  await load.next<{ event: 'measuring' }>()
  const before = cpuMicroseconds(variant.pid)
  load.send({ event: 'go' })
  const result = await load.next<LoadResult>()
  return { ...result, cpuMicroseconds: cpuMicroseconds(variant.pid) - before }
}

function medians(repetitions: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, number>> {
  const names = Object.keys(repetitions[0] ?? {})
  return Object.fromEntries(names.map((name) => [name, median(repetitions.map((costs) => costs[name] ?? Number.NaN))]))
}
