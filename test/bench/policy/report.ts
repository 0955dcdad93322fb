/** The numbers of deciding as text. Pure. */

import type { ChangeCost } from './change.ts'
import type { EngineName } from './engines.ts'
import type { Shape } from './population.ts'
import type { Timing, Timings } from './rounds.ts'

export interface Row {
  readonly shape: Shape
  readonly timings: Timings
  readonly cost: ChangeCost
}

export interface PolicyReport {
  readonly machine: string
  /** The load of the system while it was measured, as the kernel averages it over one minute. */
  readonly load: number
  readonly rows: readonly Row[]
}

const head = [
  'policies',
  'can apply',
  'own Cedar',
  'p50 µs',
  'p99 µs',
  'p50 of rounds',
  'cedar-wasm p50',
  'p99',
  'times ours',
  'casbin p50',
  'p99',
  'times ours',
]
const changeHead = ['policies', 'compile ms', 'prepare ms of CPU', 'prepare ms', 'closures ms', 'KiB kept']

export function textOf({ machine, load, rows }: PolicyReport): string {
  const decisions = rows.map(({ shape, timings }) => [
    `${shape.policies}`,
    `${shape.applying}`,
    shape.own ? 'yes' : 'no',
    ...ours(timings.engines.doorward),
    ...theirs(timings, 'cedar-wasm'),
    ...theirs(timings, 'casbin'),
  ])
  const changes = rows.map(({ cost }) => [
    `${cost.policies}`,
    ...[
      cost.compileMilliseconds,
      cost.prepareCpuMilliseconds,
      cost.prepareMilliseconds,
      cost.closuresMilliseconds,
      cost.keptBytes / 1024,
    ].map((value) => value.toFixed(0)),
  ])
  const allowed = rows.map(({ timings }) => `${timings.allowed} of ${timings.calls}`)
  return [
    `machine: ${machine}; load ${load.toFixed(1)}`,
    `calls allowed, by every engine the same: ${[...new Set(allowed)].join(', ')}`,
    '',
    ...table(head, decisions),
    '',
    ...table(changeHead, changes),
  ].join('\n')
}

function ours(timing: Timing | undefined): readonly string[] {
  if (timing === undefined) return ['–', '–', '–']
  const { p50, p99, rounds } = timing
  return [p50.toFixed(1), p99.toFixed(1), `${rounds[0].toFixed(1)}–${rounds[1].toFixed(1)}`]
}

function theirs({ engines, ratios }: Timings, name: EngineName): readonly string[] {
  const timing = engines[name]
  if (timing === undefined) return ['–', '–', '–']
  return [timing.p50.toFixed(0), timing.p99.toFixed(0), (ratios[name] ?? Number.NaN).toFixed(0)]
}

function table(names: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  return [names, names.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`)
}
