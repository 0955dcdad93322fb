/** The rounds of the report: every variant in every round, another one first each time, until the time is over. */

import { cpuIsKnown, residentBytes } from '../cpu.ts'
import { measureOne, turned } from '../measure.ts'
import type { Load } from '../measure.ts'
import { summed } from '../statistics.ts'
import type { RoundSample } from '../statistics.ts'
import type { Variant, VariantName } from '../system.ts'
import { stepNames } from './numbers.ts'
import type { LoadName, MeasuredTable, ReportNumbers } from './numbers.ts'
import type { ReportStage } from './stage.ts'

export interface Pace {
  readonly warming: Load
  readonly loads: Readonly<Record<LoadName, Load>>
  readonly rounds: number
}

const MAXIMUM_CALLS = 200_000
const bounded = { maximumCalls: MAXIMUM_CALLS }

/** Many short turns: what others do meanwhile hits neighbours alike, and the median leaves out the rounds in which it did not. */
export const fullPace: Pace = {
  warming: { connections: 16, milliseconds: 8000, maximumCalls: 15_000, warmupCalls: 0 },
  loads: {
    kept: { ...bounded, connections: 16, milliseconds: 400, warmupCalls: 100 },
    one: { ...bounded, connections: 1, milliseconds: 250, warmupCalls: 20 },
    fresh: { ...bounded, connections: 4, milliseconds: 250, warmupCalls: 4, fresh: true },
  },
  rounds: 40,
}

/** Shows that everything runs; its numbers are those of programs that are not compiled yet. */
export const quickPace: Pace = {
  warming: { connections: 16, milliseconds: 300, maximumCalls: 2000, warmupCalls: 0 },
  loads: {
    kept: { ...bounded, connections: 16, milliseconds: 200, warmupCalls: 50 },
    one: { ...bounded, connections: 1, milliseconds: 100, warmupCalls: 10 },
    fresh: { ...bounded, connections: 4, milliseconds: 100, warmupCalls: 4, fresh: true },
  },
  rounds: 2,
}

/** Those with TLS: their handshakes are a question of their own. */
const connectedAnew: ReadonlySet<VariantName> = new Set<VariantName>([...stepNames, 'haproxy', 'nginx'])

export interface RoundsOptions {
  readonly pace: Pace
  /** Of `performance.now()`: no round begins that would not end before, but the first. */
  readonly until: number
  readonly say: (what: string) => void
}

export async function measureRounds(
  stage: ReportStage,
  { pace, until, say }: RoundsOptions,
): Promise<Pick<ReportNumbers, 'rounds' | 'tables' | 'residentMebibytes'>> {
  const newSamples = () => new Map<VariantName, RoundSample[]>()
  const samples: Readonly<Record<LoadName, Map<VariantName, RoundSample[]>>> = {
    kept: newSamples(),
    one: newSamples(),
    fresh: newSamples(),
  }
  for (const variant of stage.variants) {
    say(`warming ${variant.name}`)
    await measureOne(stage, variant, pace.warming)
  }
  let rounds = 0
  let longest = 0
  while (rounds < pace.rounds && (rounds === 0 || performance.now() + longest < until)) {
    const began = performance.now()
    for (const variant of turned(stage.variants, rounds * 3)) {
      for (const name of loadsOf(variant)) {
        say(`round ${rounds + 1} of at most ${pace.rounds}: ${variant.name}`)
        const sample = await measureOne(stage, variant, pace.loads[name])
        samples[name].set(variant.name, [...(samples[name].get(variant.name) ?? []), sample])
      }
    }
    rounds++
    longest = Math.max(longest, performance.now() - began)
  }
  const table = (name: LoadName): MeasuredTable =>
    Object.fromEntries([...samples[name]].map(([variant, each]) => [variant, summed(each, cpuIsKnown)]))
  const memory = stage.variants.map(({ name, pid }) => [name, Math.round(residentBytes(pid) / 2 ** 20)] as const)
  return {
    rounds,
    tables: { kept: table('kept'), one: table('one'), fresh: table('fresh') },
    residentMebibytes: Object.fromEntries(memory),
  }
}

function loadsOf({ name }: Variant): readonly LoadName[] {
  return connectedAnew.has(name) ? ['kept', 'one', 'fresh'] : ['kept', 'one']
}
