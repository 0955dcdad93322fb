/**
 * `npm run security`: dependencies, secrets, licences, bill of materials and static rules. Exit 1 on any finding, and when something
 * was not run for which there is no other check. `--json` for programs; `--without-lint` leaves the static rules out. The bill of materials goes to out/sbom.cdx.json.
 */

import { repositoryRoot } from '../source-files.ts'
import type { CheckResult } from './check.ts'
import { checksOf } from './checks.ts'

const json = process.argv.includes('--json')
/** What is not run is asked by another one. */
const instead: Readonly<Record<string, string>> = { audit: 'advisories' }
const today = new Date().toISOString().slice(0, 10)
const checks = checksOf({ root: repositoryRoot, today, lint: !process.argv.includes('--without-lint') })

const marks = { passed: '✓', failed: '✗', not_run: '?' } as const
const results: CheckResult[] = []
for (const { run } of checks) {
  const result = run()
  results.push(result)
  if (json) continue
  console.log(`${marks[result.verdict]} ${result.name.padEnd(14)} ${result.summary}`)
  for (const finding of result.findings) console.log(`    ${finding}`)
}
const isAsked = ({ name }: CheckResult) => results.some((one) => one.name === instead[name] && one.verdict === 'passed')
const bad = results.filter((one) => one.verdict === 'failed' || (one.verdict === 'not_run' && !isAsked(one)))
const unasked = results.filter(({ verdict }) => verdict === 'not_run').map(({ name }) => name)
if (json) console.log(JSON.stringify({ ok: bad.length === 0, results }))
else
  console.log(
    `\n${results.length - bad.length - unasked.length} passed, ${bad.length} failed, ${unasked.length} not run${unasked.length > 0 ? `: ${unasked.join(', ')}` : ''}`,
  )
process.exitCode = bad.length === 0 ? 0 : 1
