/** Which members of an object are kept, and how: paths of names with dots between them, `*` for all that remain. */

export type KeepMode = 'store' | 'hmac' | 'redact'

/** A member that is named: as a whole by its mode, or in parts by its members. */
export interface KeepNode {
  readonly mode: KeepMode | null
  readonly members: ReadonlyMap<string, KeepNode>
  /** What becomes of members that are not named; null leaves them out, name and all. */
  readonly rest: KeepMode | null
}

export type KeepPaths = Readonly<Record<KeepMode, readonly string[]>>

export interface PathProblem {
  readonly mode: KeepMode
  readonly index: number
  readonly message: string
  readonly expected: string
}

interface Building {
  mode: KeepMode | null
  members: Map<string, Building>
  rest: KeepMode | null
}

const MAX_SEGMENTS = 8
const MAX_NAME = 128
const modes = ['store', 'hmac', 'redact'] as const

/** The tree of all paths, or every mistake in them. */
export function compilePaths(
  paths: KeepPaths,
): { readonly node: KeepNode } | { readonly problems: readonly PathProblem[] } {
  const node: Building = { mode: null, members: new Map(), rest: null }
  const problems: PathProblem[] = []
  for (const mode of modes) {
    for (const [index, path] of paths[mode].entries()) {
      const problem = problemOf(path) ?? add(node, path, mode)
      if (problem !== null) problems.push({ mode, index, ...problem })
    }
  }
  return problems.length > 0 ? { problems } : { node }
}

type Said = Pick<PathProblem, 'message' | 'expected'>

function problemOf(path: string): Said | null {
  const names = path.split('.')
  if (/^[$/]|\[/.test(path)) {
    const plain = path
      .replace(/^\$?[./]*/, '')
      .replaceAll(/\[["']?|["']?\]/g, '.')
      .replaceAll(/[./]+/g, '.')
      .replace(/\.$/, '')
    return { message: 'neither JSONPath nor JSON Pointer', expected: `names with dots between them, such as ${plain}` }
  }
  if (names.length > MAX_SEGMENTS) return { message: 'the path is too deep', expected: `at most ${MAX_SEGMENTS} names` }
  const star = names.findIndex((name) => name.includes('*'))
  if (star >= 0 && (star !== names.length - 1 || names[star] !== '*')) {
    const prefix = names.slice(0, star).join('.')
    const expected = `${prefix === '' ? '' : `${prefix}.`}* for all that remain there`
    return { message: 'a star stands alone, at the end', expected }
  }
  if (names.some((name) => name === '' || name.length > MAX_NAME || name.trim() !== name)) {
    const expected = names
      .map((name) => name.trim())
      .filter((name) => name !== '')
      .join('.')
      .slice(0, MAX_NAME)
    return { message: 'not a path', expected: expected === '' ? 'a name' : `such as ${expected}` }
  }
  return null
}

function add(root: Building, path: string, mode: KeepMode): Said | null {
  const names = path.split('.')
  let at = root
  for (const [depth, name] of names.entries()) {
    if (at.mode !== null) return twice(names.slice(0, depth).join('.'))
    if (name === '*') {
      if (at.rest !== null) return twice(path)
      at.rest = mode
      return null
    }
    const next = at.members.get(name) ?? { mode: null, members: new Map(), rest: null }
    at.members.set(name, next)
    at = next
  }
  if (at.mode !== null || at.members.size > 0 || at.rest !== null) return twice(path)
  at.mode = mode
  return null
}

function twice(path: string): Said {
  return { message: `${path} is named already, as a whole or in parts`, expected: 'each member once' }
}
