/**
 * `npm test`: type check, lint, a build of every package, and every `*.test.ts` under test/, whose deployments run what was
 * built. `npm test -- unit/core refusals` builds the command, and runs only the test files whose path contains one of the words; `--slowest` tells
 * which ten files took longest. The last line is `N passed, N failed`; exit 1 when anything failed. With CI=true a skipped
 * test counts as failed.
 */

import { spawnSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { batchesOf } from './runner/batches.ts'
import type { TestRecord } from './runner/reporter.ts'
import { type FileRun, runBatch } from './runner/run-files.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
/** Few files instead of some hundred: starting it is most of what a deployment costs. */
const program = fileURLToPath(new URL('../packages/server/dist/main.js', import.meta.url))
/** One more than has work all the time: files wait for clocks and disks for a third of theirs. */
const concurrency = 3
const fileTimeoutSeconds = 180
const budgetSeconds = 1700
/** They wait for most of their time, for clocks and for each other: one of them at a time runs beside the others. */
const waiting: ReadonlySet<string> = new Set(
  [
    'authority-kills-postgres',
    'authority-kills',
    'authority-partition',
    'authority-recover',
    'authority-rotate',
    'authority-silent',
    'clock-authority',
    'dark',
  ].map((name) => `test/scenarios/${name}.test.ts`),
)
/** Of a failure, at once; the whole of it follows at the end. */
const shownDetailChars = 600
const inCi = process.env['CI'] === 'true'

const totals = { passed: 0, failed: 0, skipped: 0 }
const failures: string[] = []
const { values: asked, positionals: words } = parseArgs({
  options: { slowest: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const slowestFiles = 10
const times: { readonly path: string; readonly seconds: number }[] = []

if (words.length === 0) {
  check('types', ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json'])
  check('lint', ['scripts/lint.ts'])
}
// All of them where all is tested: what is published is packed and installed.
if (words.length === 0) check('packages', ['scripts/build.ts'])
else check('command', ['scripts/build.ts', 'server'])
await runAll(testFiles())
if (asked.slowest) tellSlowest()
for (const failure of failures) console.log(`\nFAILED ${failure}`)
console.log(
  `\n${totals.passed} passed, ${totals.failed} failed${totals.skipped > 0 ? `, ${totals.skipped} skipped` : ''}`,
)
process.exitCode = totals.failed === 0 ? 0 : 1

/** Scenarios and refusals first: they take longest, and the short ones fill the gaps at the end. */
function testFiles(): readonly string[] {
  const paths = globSync('test/**/*.test.ts', {
    cwd: root,
    exclude: (name) => name === 'third_party' || name === 'node_modules',
  })
    .map((path) => path.replaceAll('\\', '/'))
    .toSorted()
  const chosen = words.length === 0 ? paths : paths.filter((path) => words.some((word) => path.includes(word)))
  if (chosen.length === 0) fail('test files', `no path contains ${words.join(' or ')}`)
  const long = (path: string): boolean => /^test\/(scenarios|refusals)\//.test(path)
  return [...chosen.filter(long), ...chosen.filter((path) => !long(path))]
}

function check(name: string, args: readonly string[]): void {
  const { status, stdout, stderr, error } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  if (status === 0) {
    totals.passed++
    console.log(`ok      ${name}`)
    return
  }
  console.log(`FAILED  ${name}`)
  fail(name, error?.message ?? `${stdout}${stderr}`)
}

function fail(name: string, detail: string): void {
  totals.failed++
  failures.push(`${name}\n${detail}`)
}

async function runAll(paths: readonly string[]): Promise<void> {
  const budget = AbortSignal.timeout(budgetSeconds * 1000)
  const worker = async (queue: (readonly string[])[]): Promise<void> => {
    for (let batch = queue.shift(); batch !== undefined; batch = queue.shift()) {
      const runs = await runBatch(batch, { cwd: root, timeoutSeconds: fileTimeoutSeconds, signal: budget, program })
      runs.forEach(report)
    }
  }
  const queue = [
    ...batchesOf(
      paths.filter((path) => !waiting.has(path)),
      (path) => readFileSync(join(root, path), 'utf8'),
    ),
  ]
  const beside = paths.filter((path) => waiting.has(path)).map((path) => [path])
  await Promise.all([worker(beside), ...Array.from({ length: concurrency }, () => worker(queue))])
}

function report(run: FileRun): void {
  const of = (kind: TestRecord['kind']): readonly TestRecord[] => run.records.filter((record) => record.kind === kind)
  const failed = inCi ? [...of('failed'), ...of('skipped')] : of('failed')
  const skipped = inCi ? [] : of('skipped')
  totals.passed += of('passed').length
  totals.skipped += skipped.length
  times.push(run)
  const counts = [`${of('passed').length} passed`, ...(failed.length > 0 ? [`${failed.length} failed`] : [])]
  console.log(
    `${failed.length === 0 ? 'ok    ' : 'FAILED'}  ${run.path}: ${counts.join(', ')} (${run.seconds.toFixed(1)} s)`,
  )
  for (const { name, detail } of skipped) console.log(`          skipped: ${name}: ${detail}`)
  for (const { name, detail } of of('note')) console.log(`          note: ${name}: ${detail}`)
  for (const { kind, name, detail } of failed) {
    console.log(`          ${kind}: ${name}: ${detail.slice(0, shownDetailChars)}`)
    fail(`${run.path}: ${name}`, kind === 'skipped' ? `skipped, which CI does not accept: ${detail}` : detail)
  }
  if (failed.length > 0 && run.output.trim() !== '') failures.push(`output of ${run.path}\n${run.output.trimEnd()}`)
}

function tellSlowest(): void {
  console.log('\nslowest:')
  for (const { path, seconds } of times.toSorted((a, b) => b.seconds - a.seconds).slice(0, slowestFiles)) {
    console.log(`${seconds.toFixed(1).padStart(8)} s  ${path}`)
  }
}
