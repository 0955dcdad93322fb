/** The report, as it is committed; a later run reads in it what has been measured. */

import { decisionOn } from './decided.ts'
import { scoreOf } from './measured.ts'
import type { Measure, Measures } from './measured.ts'

/** Sources of a target, and those of them that nobody has measured as they are. */
export interface Area {
  readonly name: string
  readonly paths: readonly string[]
  readonly unmeasured: readonly string[]
}

export function measuredOf(paths: readonly string[], measures: Measures): readonly Measure[] {
  return paths.map((path) => measures.get(path)).filter((one) => one !== undefined)
}

export function reportText(areas: readonly Area[], measures: Measures): string {
  const all = areas.flatMap(({ paths }) => paths).filter((path) => measures.has(path))
  return [
    '# Mutation',
    '',
    'Written by `npm run mutation`: every change that Stryker knows, made to the sources one at a time. A change is noticed',
    'when a test fails, or does not end. Texts for people are not changed. A source with a digest was measured as it was then: the',
    'next run measures what has changed since, and goes on where this one ended. docs/campaign.md says more.',
    '',
    `All that was measured: ${mutantsOf(all, measures).toLocaleString('en')} changes, ${percent(all, measures)} noticed.`,
    '',
    '| area | sources | measured | as they are | changes | score |',
    '|---|---:|---:|---:|---:|---:|',
    ...areas.map((area) => areaRow(area, measures)),
    '',
    '| source | mutants | noticed | survived | not covered | score | digest |',
    '|---|---:|---:|---:|---:|---:|---|',
    ...all.map((path) => sourceRow(path, measures)),
    '',
    '## What no test noticed',
    '',
    ...all.flatMap((path) => measures.get(path)?.survivors ?? []).map(decided),
    '',
  ].join('\n')
}

function mutantsOf(paths: readonly string[], measures: Measures): number {
  return measuredOf(paths, measures).reduce((sum, { mutants }) => sum + mutants, 0)
}

function percent(paths: readonly string[], measures: Measures): string {
  return `${(scoreOf(measuredOf(paths, measures)) * 100).toFixed(1)} %`
}

function areaRow({ name, paths, unmeasured }: Area, measures: Measures): string {
  const measured = measuredOf(paths, measures).length
  const score = measured === 0 ? '' : percent(paths, measures)
  const cells = [name, paths.length, measured, paths.length - unmeasured.length, mutantsOf(paths, measures), score]
  return `| ${cells.join(' | ')} |`
}

function sourceRow(path: string, measures: Measures): string {
  const { mutants = 0, survived = 0, uncovered = 0, digest = '' } = measures.get(path) ?? {}
  const cells = [path, mutants, mutants - survived - uncovered, survived, uncovered, percent([path], measures), digest]
  return `| ${cells.join(' | ')} |`
}

function decided(line: string): string {
  const why = decisionOn(line)
  return why === null ? line : `${line} — ${why}`
}
