/** A part of the campaign in shares that are run one by one, and the report that gathers them. */

import { createHash } from 'node:crypto'

export interface Share {
  /** From 1. */
  readonly index: number
  readonly of: number
}

/** One share that was run. */
export interface SharedRun {
  readonly share: Share
  /** Commit of the sources; with a plus sign where they differed from it. */
  readonly revision: string
  readonly begun: Date
  readonly seconds: number
  readonly done: number
  readonly wanted: number
  readonly names: readonly string[]
  readonly findings: readonly string[]
}

const maxShares = 100
const heading = /^## (\d+)\/(\d+)$/
const findingMark = '- **finding**: '

/** `3/8`; null for anything else. */
export function readShare(text: string): Share | null {
  const [, index, of] = /^(\d{1,3})\/(\d{1,3})$/.exec(text) ?? []
  const share = { index: Number(index), of: Number(of) }
  return share.index >= 1 && share.index <= share.of && share.of <= maxShares ? share : null
}

/** By its name alone: whatever comes or goes beside it, it stays in its share. */
export function isInShare(name: string, { index, of }: Share): boolean {
  return createHash('sha256').update(name).digest().readUInt32BE() % of === index - 1
}

/**
 * The report with this share in it: shares of the same division stay as they were written, with their own revision and
 * day, and those that were never run are named.
 */
export function gathered(before: string, run: SharedRun, rule: string): string {
  const { of } = run.share
  const sections = new Map(sectionsOf(before, of))
  sections.set(run.share.index, sectionOf(run))
  const all = Array.from({ length: of }, (_, at) => at + 1)
  const missing = all.filter((index) => !sections.has(index))
  const kept = all.flatMap((index) => sections.get(index) ?? [])
  const findings = kept.join('\n').split(`\n${findingMark}`).length - 1
  return [
    `# Controls, in ${of} shares`,
    '',
    'Written by `npm run campaign -- --only controls --part N/M --report FILE`; docs/campaign.md says what it does.',
    '',
    `Rule: ${rule}.`,
    '',
    `- shares that were run: ${of - missing.length} of ${of}${missing.length > 0 ? `; never run: ${missing.join(', ')}` : ''}`,
    `- findings: ${findings}`,
    '',
    ...kept,
  ].join('\n')
}

function sectionsOf(text: string, of: number): readonly (readonly [index: number, section: string])[] {
  return text.split(/^(?=## )/m).flatMap((section) => {
    const [, index, division] = heading.exec(section.split('\n')[0] ?? '') ?? []
    return Number(division) === of ? [[Number(index), `${section.trimEnd()}\n`] as const] : []
  })
}

function sectionOf(run: SharedRun): string {
  const { share, revision, begun, done, wanted, names, findings } = run
  const short = done < wanted ? [`- ended before its end: ${wanted - done} were not looked at`] : []
  return [
    `## ${share.index}/${share.of}`,
    '',
    `${done} of ${wanted} at ${revision}, begun ${begun.toISOString().slice(0, 16)}Z, ${Math.round(run.seconds)} s, Node ${process.versions.node}.`,
    '',
    ...short,
    `- controls: ${names.join(', ')}`,
    ...findings.map((finding) => `${findingMark}\`${finding}\``),
    '',
  ].join('\n')
}
