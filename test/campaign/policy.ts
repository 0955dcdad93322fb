/** The closures that decide against the official Cedar build, on policies, entities and requests by chance. */

import { differences } from '../fuzz/cedar-difference.ts'
import { everyOperator } from '../fuzz/cedar-operators.ts'
import type { Counts } from '../fuzz/cedar-operators.ts'
import type { Assignment, Part, PartReport } from './part.ts'

async function run(assignment: Assignment): Promise<PartReport> {
  const { done, found, counts } = differences(assignment)
  const missing = everyOperator.filter((name) => !counts.has(name))
  const gap = missing.length === 0 || done < 100_000 ? [] : [`never came: ${missing.join(', ')}`]
  const facts = {
    decisions: tally(counts, 'decision '),
    operators: tally(counts, 'operator '),
    functions: tally(counts, 'function '),
  }
  return { done, findings: [...found, ...gap], facts }
}

/** Those whose name begins so, most frequent first. */
function tally(counts: Counts, prefix: string): string {
  const chosen = [...counts].filter(([name]) => name.startsWith(prefix)).toSorted(([, a], [, b]) => b - a)
  return chosen.map(([name, count]) => `${name.slice(prefix.length)} ${count.toLocaleString('en')}`).join(', ')
}

export const policy: Part = {
  name: 'policy',
  rule: 'decision, determining policies and failures are those of the official build, for every pair of policies and request',
  count: 1_000_000,
  maximumSeconds: 3600,
  run,
}
