/** Rules about what of arguments and results is kept: what they mean, and every mistake in them. */

import { compileKeepRules, compilePaths, isDoorwardError, nearestName, parsePermission, takesAll } from '@doorward/core'
import type { KeepNode, KeepRule, KeepRules, Permission } from '@doorward/core'
import type { KeepSection } from './audit-schema.ts'

interface KeepProblem {
  readonly keys: readonly (string | number)[]
  readonly message: string
  readonly expected: string | null
  readonly got: string | null
}

interface Place {
  readonly keys: KeepProblem['keys']
  readonly problems: KeepProblem[]
}

/** Null without rules. The configuration has been checked by `keepProblems`. */
export function keepRules(keep: readonly KeepSection[], servers: readonly string[]): KeepRules | null {
  return compileKeepRules(
    keep.map((one) => ruleOf(one)),
    servers,
  )
}

function ruleOf(one: KeepSection): KeepRule {
  const { calls, arguments: paths, result, max_bytes: maxBytes } = one
  return {
    calls: calls.map((call) => parsePermission(call)),
    arguments: paths === undefined ? null : nodeOf(paths),
    result: result?.store === true ? 'store' : result?.hmac === true ? 'hmac' : null,
    maxBytes,
  }
}

function nodeOf(paths: NonNullable<KeepSection['arguments']>): KeepNode {
  const compiled = compilePaths(paths)
  if ('problems' in compiled) throw new TypeError('paths that were not checked')
  return compiled.node
}

export function keepProblems(keep: readonly KeepSection[], servers: readonly string[]): readonly KeepProblem[] {
  const problems: KeepProblem[] = []
  const before: Permission[] = []
  for (const [index, one] of keep.entries()) {
    const place = { keys: ['audit', 'keep', index], problems }
    before.push(...callsOf(one, servers, { place, before: [...before] }))
    pathProblems(one, place)
    whatProblems(one, place)
  }
  return problems
}

function callsOf(
  { calls }: KeepSection,
  servers: readonly string[],
  { place, before }: { readonly place: Place; readonly before: readonly Permission[] },
): readonly Permission[] {
  return calls.flatMap((text, index) => {
    const say = (message: string, expected: string | null, got: string | null = text) =>
      void place.problems.push({ keys: [...place.keys, 'calls', index], message, expected, got })
    const call = readCall(text, say)
    if (call === null) return []
    const server = call.scope?.server
    if (server !== undefined && !servers.includes(server)) {
      const near = nearestName(server, servers)
      say('no such server', near === null ? `one of ${servers.join(', ')}` : `such as ${near}`, server)
    }
    const earlier = before.find((each) => takesAll(each, call))
    if (earlier !== undefined)
      say(`an earlier rule takes these calls: ${earlier.text}`, 'narrow rules before wide ones')
    return [call]
  })
}

function readCall(text: string, say: (message: string, expected: string | null) => void): Permission | null {
  try {
    return parsePermission(text)
  } catch (error) {
    if (!isDoorwardError(error)) throw error
    say(error.message, error.expected ?? null)
    return null
  }
}

function pathProblems({ arguments: paths }: KeepSection, { keys, problems }: Place): void {
  const compiled = paths === undefined ? null : compilePaths(paths)
  if (paths === undefined || compiled === null || !('problems' in compiled)) return
  for (const { mode, index, message, expected } of compiled.problems) {
    const got = paths[mode][index] ?? null
    problems.push({ keys: [...keys, 'arguments', mode, index], message, expected, got })
  }
}

function whatProblems({ arguments: paths, result }: KeepSection, { keys, problems }: Place): void {
  const none = paths === undefined && result === undefined
  if (none) {
    problems.push({ keys, message: 'the rule keeps nothing', expected: 'arguments or result', got: null })
  }
  if (result?.store === true && result.hmac === true) {
    problems.push({ keys: [...keys, 'result'], message: 'a result is kept once', expected: 'store or hmac', got: null })
  }
  if (result !== undefined && !result.store && !result.hmac) {
    problems.push({
      keys: [...keys, 'result'],
      message: 'nothing of the result is kept',
      expected: 'store: true or hmac: true',
      got: null,
    })
  }
}
