/** A part of the campaign in shares that are run one by one, and the report that gathers them. */

import { createHash } from 'node:crypto'

export interface Share {
  /** From 1. */
  readonly index: number
  readonly of: number
}

/** One share that was run. */
export interface SharedRun {
  /** Name of the part. */
  readonly part: string
  readonly share: Share
  /** Commit of the sources; with a plus sign where they differed from it. */
  readonly revision: string
  readonly begun: Date
  readonly seconds: number
  readonly done: number
  readonly wanted: number
  readonly names: readonly string[]
  readonly findings: readonly string[]
  /** What else the reader should know; nothing by default. */
  readonly facts?: Readonly<Record<string, string | number>>
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

/** What was done of a share: as the part says it, or in the order of its names. */
export function namesDone(
  part: { readonly names?: readonly string[] },
  { done, names }: { readonly done: number; readonly names?: readonly string[] },
  share: Share,
): readonly string[] {
  return names ?? (part.names ?? []).filter((name) => isInShare(name, share)).slice(0, done)
}

/** What the words say; a text tells why they say nothing. */
export function shareAsked(
  { part, count }: { readonly part?: string | undefined; readonly count?: string | undefined },
  chosen: readonly { readonly names?: readonly string[] }[],
): Share | null | string {
  if (part === undefined) return null
  const share = readShare(part)
  if (share === null || chosen.length !== 1 || chosen[0]?.names === undefined)
    return '--part: expected a share as 3/8, of --only controls, --only probe or --only shipped'
  // A share that was cut short would be told as one that came to its end.
  return count === undefined ? share : '--part: expected no --count beside it, a share is run whole'
}

/**
 * The report with this share in it: shares of the same part and division stay as they were written, with their own
 * revision and day, and those that were never run are named. What somebody has written beside them stays.
 */
export function gathered(before: string, run: SharedRun, rule: string): string {
  const { part, share } = run
  const { of } = share
  const title = `${part.slice(0, 1).toUpperCase()}${part.slice(1)}`
  const chunks = before.split(/^(?=## )/m)
  const isOurs = titleOf(before) === title
  const sections = new Map(isOurs ? sectionsOf(chunks, of) : [])
  sections.set(run.share.index, sectionOf(run))
  const all = Array.from({ length: of }, (_, at) => at + 1)
  const missing = all.filter((index) => !sections.has(index))
  const kept = all.flatMap((index) => sections.get(index) ?? [])
  const findings = kept.join('\n').split(`\n${findingMark}`).length - 1
  return [
    `# ${title}, in ${of} shares`,
    '',
    `Written by \`npm run campaign -- --only ${part} --part N/M --report FILE\`; docs/campaign.md says what it does.`,
    '',
    `Rule: ${rule}.`,
    '',
    `- shares that were run: ${of - missing.length} of ${of}${missing.length > 0 ? `; never run: ${missing.join(', ')}` : ''}`,
    `- findings: ${findings}`,
    '',
    ...(isOurs ? introductionOf(chunks[0] ?? '') : []),
    ...kept,
    ...chunks.flatMap((one) => (one.startsWith('## ') && !heading.test(firstLine(one)) ? [`${one.trimEnd()}\n`] : [])),
  ].join('\n')
}

function titleOf(text: string): string {
  return /^# (.*?)(?:, in \d+ shares)?$/.exec(firstLine(text))?.[1] ?? ''
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? ''
}

/** What is not written by `gathered` above the first share. */
function introductionOf(text: string): readonly string[] {
  const lines = text.split('\n').slice(1)
  const own = lines.filter(
    (line) => !/^(?:Written by `npm run campaign|Rule: |- shares that were run: |- findings: )/.test(line),
  )
  const words = own
    .join('\n')
    .replaceAll(/\n{3,}/g, '\n\n')
    .trim()
  return words === '' ? [] : [words, '']
}

function sectionsOf(chunks: readonly string[], of: number): readonly (readonly [index: number, section: string])[] {
  return chunks.flatMap((section) => {
    const [, index, division] = heading.exec(firstLine(section)) ?? []
    return Number(division) === of ? [[Number(index), `${section.trimEnd()}\n`] as const] : []
  })
}

function sectionOf(run: SharedRun): string {
  const { share, revision, begun, done, wanted, names, findings, facts = {} } = run
  const short = done < wanted ? [`- ended before its end: ${wanted - done} were not looked at`] : []
  return [
    `## ${share.index}/${share.of}`,
    '',
    `${done} of ${wanted} at ${revision}, begun ${begun.toISOString().slice(0, 16)}Z, ${Math.round(run.seconds)} s, Node ${process.versions.node}.`,
    '',
    ...short,
    `- controls: ${names.join(', ')}`,
    ...Object.entries(facts).flatMap(([name, value]) => (name === 'controls' ? [] : [`- ${name}: ${value}`])),
    ...findings.map((finding) => `${findingMark}\`${finding}\``),
    '',
  ].join('\n')
}
