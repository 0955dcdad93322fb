/**
 * `npm run security [-- PART …]`: without words every part, each told as passed, failed or not run. `checks`: dependencies, secrets,
 * licences, bill of materials and static rules; `fuzz` and the others take words of their own. Exit 1 on any finding, and when something
 * was not run for which there is no other check and which may not wait; 2 for unknown words. `--json` for programs; `--without-lint` leaves the static rules
 * out. The bill of materials goes to out/sbom.cdx.json.
 */

import { repositoryRoot } from '../source-files.ts'
import type { CheckResult } from './check.ts'
import { checksOf } from './checks.ts'
import { checkPart, longParts, runPart } from './parts.ts'

/** Measuring what has changed may take longer than there is: where it is not done, that is told. */
const mayWait: ReadonlySet<string> = new Set(['mutation'])
/** What is not run is asked by another one. */
const instead: Readonly<Record<string, string>> = { audit: 'advisories' }
const marks = { passed: '✓', failed: '✗', not_run: '?' } as const

process.exitCode = main(process.argv.slice(2))

function main(words: readonly string[]): number {
  const [first = '', ...rest] = words
  const part = longParts.find(({ name }) => name === first)
  if (part !== undefined) return runPart(repositoryRoot, part, rest)
  const unknown = words.find(
    (word, i) => !['--json', '--without-lint'].includes(word) && !(i === 0 && word === 'checks'),
  )
  if (unknown !== undefined) {
    console.error(
      `unknown: ${unknown}; npm run security [-- ${['checks', ...longParts.map(({ name }) => name)].join('|')}]`,
    )
    return 2
  }
  return runAll(words)
}

function runAll(words: readonly string[]): number {
  const json = words.includes('--json')
  const today = new Date().toISOString().slice(0, 10)
  const checks = checksOf({ root: repositoryRoot, today, lint: !words.includes('--without-lint') })
  const more = words[0] === 'checks' ? [] : longParts.map((part) => ({ run: () => checkPart(repositoryRoot, part) }))
  const results: CheckResult[] = []
  for (const { run } of [...checks, ...more]) {
    const result = run()
    results.push(result)
    if (!json) show(result)
  }
  const isAsked = ({ name }: CheckResult) =>
    results.some((one) => one.name === instead[name] && one.verdict === 'passed')
  const bad = results.filter(
    (one) => one.verdict === 'failed' || (one.verdict === 'not_run' && !isAsked(one) && !mayWait.has(one.name)),
  )
  if (json) console.log(JSON.stringify({ ok: bad.length === 0, results }))
  else console.log(`\n${lastLine(results)}`)
  return bad.length === 0 ? 0 : 1
}

function show(result: CheckResult): void {
  console.log(`${marks[result.verdict]} ${result.name.padEnd(14)} ${result.summary}`)
  for (const finding of result.findings) console.log(`    ${finding}`)
}

function lastLine(results: readonly CheckResult[]): string {
  const of = (verdict: CheckResult['verdict']) => results.filter((one) => one.verdict === verdict)
  const unasked = of('not_run').map(({ name }) => name)
  const names = unasked.length > 0 ? `: ${unasked.join(', ')}` : ''
  return `${of('passed').length} passed, ${of('failed').length} failed, ${unasked.length} not run${names}`
}
