/** Sources with every mutant written into them, each behind a switch. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Instrumenter } from '@stryker-mutator/instrumenter'
import type { Target } from './targets.ts'

export const root = join(import.meta.dirname, '../..')

export interface Mutant {
  readonly id: string
  /** From the root of the repository. */
  readonly path: string
  /** From 1. */
  readonly line: number
  readonly mutator: string
  readonly original: string
  readonly replacement: string
}

export interface Plan {
  readonly tests: readonly string[]
  readonly slow: readonly string[]
  /** Text by URL. */
  readonly sources: Readonly<Record<string, string>>
  readonly mutants: readonly Mutant[]
}

interface Place {
  readonly line: number
  readonly column: number
}

/** Prose, which no decision depends on, is left as it is: which arguments of what are messages, from 0. */
const messages: ReadonlyMap<string, readonly number[]> = new Map([
  ['EvaluationError', [0]],
  ['TypeError', [0]],
  ['Unfit', [0]],
  ['wrongType', [0]],
  ['unreadable', [0, 1]],
  ['DoorwardError', [1]],
  ['deny', [1]],
  ['against', [1]],
  ['found', [1]],
  ['record', [1]],
  ['list', [1]],
  ['text', [1]],
])

interface Path {
  readonly node: {
    readonly type: string
    readonly callee?: { readonly name?: string }
    /** Of a string. */
    readonly value?: string
    /** Of a template. */
    readonly quasis?: readonly { readonly value: { readonly raw: string } }[]
  }
  readonly parentPath: Path | null
  /** Where it stands in its parent: `arguments` of a call, and which of them. */
  readonly listKey?: string
  readonly key: string | number | null
}

/** A text inside of a message, wherever in it; and where no text is read as a language, every text with a space. */
const ignorerOf = (isProse: boolean) => ({
  shouldIgnore(given: object): string | undefined {
    const path = given as Path
    if (!['StringLiteral', 'TemplateLiteral'].includes(path.node.type)) return undefined
    const { value, quasis = [] } = path.node
    const text = value ?? quasis.map((one) => one.value.raw).join('')
    if (isProse && text.includes(' ')) return 'prose'
    for (let at = path; at.parentPath !== null; at = at.parentPath) {
      const called = at.parentPath.node.callee?.name
      if (called === undefined || at.listKey !== 'arguments') continue
      if (messages.get(called)?.some((place) => place === at.key) === true) return 'prose'
    }
    return undefined
  },
})

const silent = new Proxy({}, { get: () => () => false })

/** Of some sources of the target. */
export async function planOf({ tests, prose = false, slow = [] }: Target, paths: readonly string[]): Promise<Plan> {
  const files = paths.map((path) => ({ name: path, content: readFileSync(join(root, path), 'utf8'), mutate: true }))
  const instrumenter = new Instrumenter(silent as never)
  const options = { plugins: null, excludedMutations: [], ignorers: [ignorerOf(prose)] }
  const result = await instrumenter.instrument(files, options)
  const texts = new Map(files.map(({ name, content }) => [name, content]))
  return {
    tests: tests.map((path) => pathToFileURL(join(root, path)).href),
    slow,
    sources: Object.fromEntries(
      result.files.map(({ name, content }) => [pathToFileURL(join(root, name)).href, content]),
    ),
    mutants: result.mutants
      .filter(({ status }) => status === undefined)
      .map(({ id, fileName, location: { start, end }, mutatorName, replacement }) => ({
        id,
        path: fileName,
        line: start.line + 1,
        mutator: mutatorName,
        original: textAt(texts.get(fileName) ?? '', start, end),
        replacement,
      })),
  }
}

/** Lines and columns from 0. */
function textAt(text: string, start: Place, end: Place): string {
  const lines = text.split('\n').slice(start.line, end.line + 1)
  const last = lines.length - 1
  return lines
    .map((line, i) => line.slice(i === 0 ? start.column : 0, i === last ? end.column : line.length))
    .join('\n')
}
