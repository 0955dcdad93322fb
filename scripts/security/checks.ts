/** Which checks there are, of one repository. */

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkAdvisories } from './advisories.ts'
import type { AdvisoryList } from './advisories.ts'
import { checkAudit } from './audit.ts'
import type { CheckResult } from './check.ts'
import { exceptionsOn } from './exceptions.ts'
import type { Exception } from './exceptions.ts'
import { lockedPackages } from './lock.ts'
import { checkLicences, checkOrigins } from './packages.ts'
import { writeBom } from './sbom.ts'
import { checkSecrets } from './secrets.ts'
import type { CommittedFile, KnownSecret } from './secrets.ts'

export interface ChecksQuestion {
  /** The repository; what is known and excepted is its own. */
  readonly root: string
  /** ISO date. */
  readonly today: string
  /** Run the static rules; the tests have run them already. */
  readonly lint: boolean
}

export interface Check {
  readonly name: string
  readonly run: () => CheckResult
}

export function checksOf({ root, today, lint }: ChecksQuestion): readonly Check[] {
  const data = (name: string): unknown => JSON.parse(read(root, join('scripts', 'security', name)))
  const exceptions = data('exceptions.json') as readonly Exception[]
  const packages = lockedPackages(read(root, 'package-lock.json'))
  const scripted = new Set(Object.keys(data('scripted-tools.json') as Readonly<Record<string, string>>))
  const list = data('advisories.json') as AdvisoryList
  const installed = (name: string) => installedLicense(root, name)
  const checks: readonly Check[] = [
    { name: 'audit', run: () => checkAudit(root, exceptionsOn(today, exceptions).inForce) },
    { name: 'advisories', run: () => checkAdvisories({ packages, list, exceptions, today }) },
    { name: 'origins', run: () => checkOrigins(packages, scripted) },
    { name: 'licences', run: () => checkLicences({ packages, installedLicense: installed }) },
    { name: 'secrets', run: () => secretsCommitted(root, data('known-secrets.json') as readonly KnownSecret[]) },
    { name: 'sbom', run: () => writeBom(root, join('out', 'sbom.cdx.json')) },
  ]
  return lint ? [...checks, { name: 'static rules', run: () => staticRules(root) }] : checks
}

function read(root: string, path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

/** Null where git does not say what is committed. */
function committedFiles(root: string): readonly CommittedFile[] | null {
  const { stdout, status } = spawnSync('git', ['-c', `safe.directory=${root}`, 'ls-files', '-z'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  if (status !== 0 || stdout === '') return null
  return stdout
    .split('\0')
    .filter((path) => path !== '')
    .map((path) => ({ path, bytes: readFileSync(join(root, path)) }))
}

function installedLicense(root: string, name: string): string | null {
  try {
    const { license } = JSON.parse(read(root, join('node_modules', name, 'package.json'))) as {
      readonly license?: string
    }
    return license ?? null
  } catch {
    return null
  }
}

function staticRules(root: string): CheckResult {
  const { status, stdout } = spawnSync(process.execPath, ['scripts/lint.ts'], { cwd: root, encoding: 'utf8' })
  const findings = status === 0 ? [] : stdout.trim().split('\n').slice(0, 20)
  return {
    name: 'static rules',
    verdict: status === 0 ? 'passed' : 'failed',
    summary: status === 0 ? 'clean' : 'problems',
    findings,
  }
}

function secretsCommitted(root: string, known: readonly KnownSecret[]): CheckResult {
  const files = committedFiles(root)
  if (files !== null) return checkSecrets(files, known)
  return {
    name: 'secrets',
    verdict: 'not_run',
    summary: 'git does not say what is committed: run this in a clone of your own',
    findings: [],
  }
}
