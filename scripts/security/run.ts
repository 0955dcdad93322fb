/**
 * `npm run security`: dependencies, secrets, licences, bill of materials and static rules. Exit 1 on any finding, and when something
 * was not run for which there is no other check. `--json` for programs; `--without-lint` leaves the static rules out. The bill of materials goes to out/sbom.cdx.json.
 */

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repositoryRoot } from '../source-files.ts'
import { checkAdvisories } from './advisories.ts'
import type { AdvisoryList, Exception } from './advisories.ts'
import { checkAudit } from './audit.ts'
import type { CheckResult } from './check.ts'
import { lockedPackages } from './lock.ts'
import { checkLicences, checkOrigins } from './packages.ts'
import { writeBom } from './sbom.ts'
import { checkSecrets } from './secrets.ts'

const json = process.argv.includes('--json')
const maxFileBytes = 2 * 1024 * 1024

/** What is not run is asked by another one. */
const instead: Readonly<Record<string, string>> = { audit: 'advisories' }

function read(path: string): string {
  return readFileSync(join(repositoryRoot, path), 'utf8')
}

/** Null where git does not say what is committed. */
function committedFiles() {
  const { stdout, status } = spawnSync('git', ['ls-files', '-z'], {
    cwd: repositoryRoot,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  if (status !== 0 || stdout === '') return null
  return stdout
    .split('\0')
    .filter((path) => path !== '' && path !== 'package-lock.json')
    .map((path) => ({ path, bytes: readFileSync(join(repositoryRoot, path)) }))
    .filter(({ bytes }) => bytes.length <= maxFileBytes && !bytes.subarray(0, 8000).includes(0))
    .map(({ path, bytes }) => ({ path, text: bytes.toString('utf8') }))
}

function installedLicense(name: string): string | null {
  try {
    const { license } = JSON.parse(read(join('node_modules', name, 'package.json'))) as { readonly license?: string }
    return license ?? null
  } catch {
    return null
  }
}

function staticRules(): CheckResult {
  const { status, stdout } = spawnSync(process.execPath, ['scripts/lint.ts'], { cwd: repositoryRoot, encoding: 'utf8' })
  const findings = status === 0 ? [] : stdout.trim().split('\n').slice(0, 20)
  return {
    name: 'static rules',
    verdict: status === 0 ? 'passed' : 'failed',
    summary: status === 0 ? 'clean' : 'problems',
    findings,
  }
}

function secretsCommitted(): CheckResult {
  const files = committedFiles()
  const name = 'secrets'
  if (files === null)
    return {
      name,
      verdict: 'not_run',
      summary: 'git does not say what is committed: run this in a clone of your own',
      findings: [],
    }
  return checkSecrets(files, data('known-secrets.json') as Reasons)
}

const data = (name: string): unknown => JSON.parse(read(join('scripts', 'security', name)))
type Reasons = Readonly<Record<string, string>>
const today = new Date().toISOString().slice(0, 10)
/** As names of packages: the registry knows advisories by ids of its own. */
const exceptionsNow = () =>
  new Set(
    (data('exceptions.json') as readonly Exception[]).filter(({ until }) => until > today).map((one) => one.package),
  )
const packages = lockedPackages(read('package-lock.json'))
const checks: readonly (() => CheckResult)[] = [
  () => checkAudit(repositoryRoot, exceptionsNow()),
  () =>
    checkAdvisories({
      packages,
      list: data('advisories.json') as AdvisoryList,
      exceptions: data('exceptions.json') as readonly Exception[],
      today,
    }),
  () => checkOrigins(packages, new Set(Object.keys(data('scripted-tools.json') as Reasons))),
  () => checkLicences({ packages, installedLicense }),
  secretsCommitted,
  () => writeBom(repositoryRoot, join('out', 'sbom.cdx.json')),
  // The tests have run it already.
  ...(process.argv.includes('--without-lint') ? [] : [staticRules]),
]

const marks = { passed: '✓', failed: '✗', not_run: '?' } as const
const results: CheckResult[] = []
for (const check of checks) {
  const result = check()
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
