/** What the registry knows of the packages (`npm audit`). Not every mirror answers: then nothing is passed. */

import { spawnSync } from 'node:child_process'
import { resultOf } from './check.ts'
import type { CheckResult } from './check.ts'

const patienceMilliseconds = 60_000

/** `excepted`: names of packages for which there is a reason that has not ended. */
export function checkAudit(root: string, excepted: ReadonlySet<string>): CheckResult {
  const { stdout, error } = spawnSync('npm', ['audit', '--json', '--audit-level=low'], {
    cwd: root,
    encoding: 'utf8',
    timeout: patienceMilliseconds,
    maxBuffer: 64 * 1024 * 1024,
  })
  return auditResult(stdout ?? '', error?.message ?? null, excepted)
}

/** Of what npm printed. */
export function auditResult(
  stdout: string,
  failure: string | null,
  excepted: ReadonlySet<string> = new Set(),
): CheckResult {
  const answer = parsed(stdout)
  const found = answer?.['vulnerabilities']
  if (typeof found !== 'object' || found === null) {
    const why = failure ?? messageIn(answer)
    return { name: 'audit', verdict: 'not_run', summary: `the registry did not answer: ${why}`, findings: [] }
  }
  const entries = Object.entries(
    found as Readonly<Record<string, { readonly severity?: string; readonly range?: string }>>,
  )
  const findings = entries
    .filter(([name]) => !excepted.has(name))
    .map(([name, { severity = 'unknown', range = '' }]) => `${severity}: ${name} ${range}`)
  return resultOf('audit', findings, 'the registry knows of nothing')
}

function parsed(text: string): Readonly<Record<string, unknown>> | null {
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>
  } catch {
    return null
  }
}

function messageIn(answer: Readonly<Record<string, unknown>> | null): string {
  const message = answer?.['message']
  return typeof message === 'string' ? message.slice(0, 200) : 'no answer'
}
