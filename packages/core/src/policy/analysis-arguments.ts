/**
 * Arguments that a policy asks for and no tool has. To ask whether they are there is no error of types, so that a
 * misspelt name makes a rule which never applies, or always does.
 */

import type { Arguments } from './argument-type.ts'
import { nearestName } from './analysis-suggestion.ts'
import type { Guess } from './analysis-suggestion.ts'
import type { Expression, Policy } from './cedar/expression.ts'
import { partsOf } from './cedar/reads.ts'
import { pathOf } from './inferred-arguments.ts'

export interface UnknownArgument {
  /** From the arguments to the name that is not there. */
  readonly path: readonly string[]
  /** The name that was probably meant. */
  readonly near: string | null
  /** The names that there are in its place. */
  readonly there: readonly string[]
}

/** Each name once. `tools`: the arguments of every tool that the policy may meet; nothing is told without one. */
export function unknownArguments(
  policy: Policy,
  tools: readonly Arguments[],
  guess: Guess = nearestName,
): readonly UnknownArgument[] {
  const found = new Map<string, UnknownArgument>()
  for (const path of askedPaths(policy)) {
    const missing = missingIn(path, tools)
    if (missing === null) continue
    const { path: names, there } = missing
    const key = JSON.stringify(names)
    if (!found.has(key)) found.set(key, { ...missing, near: guess(names.at(-1) ?? '', there) })
  }
  return [...found.values()]
}

/** What stands behind `has`. */
function* askedPaths({ conditions }: Policy): Iterable<readonly string[]> {
  const open = conditions.map(({ body }) => body)
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const path = next.kind === 'has' ? askedPath(next) : null
    if (path !== null && path.length > 0) yield path
    open.push(...partsOf(next))
  }
}

function askedPath({ of, path }: Extract<Expression, { kind: 'has' }>): readonly string[] | null {
  if (of.kind === 'variable') return of.name === 'context' && path[0] === 'args' ? path.slice(1) : null
  const before = pathOf(of)
  return before === null ? null : [...before, ...path]
}

/** The part of the path that no tool has; null where one has it all, or may have it. */
function missingIn(path: readonly string[], tools: readonly Arguments[]): Omit<UnknownArgument, 'near'> | null {
  let deepest = 0
  const there = new Set<string>()
  for (const tool of tools) {
    const missing = missingOf(path, tool)
    if (missing === null) return null
    if (missing.length > deepest) there.clear()
    deepest = Math.max(deepest, missing.length)
    if (missing.length === deepest) for (const name of missing.names) there.add(name)
  }
  return deepest === 0 ? null : { path: path.slice(0, deepest), there: [...there] }
}

interface Missing {
  /** Of the path up to the name that is not there. */
  readonly length: number
  readonly names: Iterable<string>
}

function missingOf(path: readonly string[], { type, unjudged }: Arguments): Missing | null {
  let at = type
  for (const [i, name] of path.entries()) {
    const member = at.members.get(name)
    if (member === undefined) {
      const names = unjudged.filter((one) => one.split('.').length === i + 1).map((one) => one.split('.')[i] ?? '')
      const whole = path.slice(0, i + 1).join('.')
      return unjudged.some((one) => one === whole || one.startsWith(`${whole}.`))
        ? null
        : { length: i + 1, names: [...at.members.keys(), ...names] }
    }
    // What is not an object has no members: that is an error of types, and told as one.
    if (member.type.kind !== 'record') return null
    at = member.type
  }
  return null
}
