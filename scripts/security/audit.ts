/** What the registry knows of the packages (`npm audit`). Not every mirror answers: then nothing is passed. */

import { spawnSync } from 'node:child_process'
import { resultOf } from './check.ts'
import type { CheckResult } from './check.ts'
import type { Exception } from './exceptions.ts'

const patienceMilliseconds = 60_000

/** `exceptions` are those in force. */
export function checkAudit(root: string, exceptions: readonly Exception[]): CheckResult {
  const { stdout, error } = spawnSync('npm', ['audit', '--json', '--audit-level=low'], {
    cwd: root,
    encoding: 'utf8',
    timeout: patienceMilliseconds,
    maxBuffer: 64 * 1024 * 1024,
  })
  return auditResult(stdout ?? '', error?.message ?? null, exceptions)
}

/** One advisory for a package, as `via` has it. */
interface Via {
  readonly name?: string
  readonly title?: string
  readonly url?: string
  readonly severity?: string
  readonly range?: string
}

/** By advisories of its own, and by packages that it needs. */
interface Vulnerable {
  readonly severity?: string
  readonly range?: string
  readonly via?: readonly (Via | string)[]
}

type Vulnerabilities = Readonly<Record<string, Vulnerable>>

/** Of what npm printed. */
export function auditResult(
  stdout: string,
  failure: string | null,
  exceptions: readonly Exception[] = [],
): CheckResult {
  const answer = parsed(stdout)
  const found = answer?.['vulnerabilities']
  if (typeof found !== 'object' || found === null) {
    const why = failure ?? messageIn(answer)
    return { name: 'audit', verdict: 'not_run', summary: `the registry did not answer: ${why}`, findings: [] }
  }
  const all = found as Vulnerabilities
  const findings = Object.keys(all).flatMap((name) => linesOf(name, all, exceptions))
  return resultOf('audit', findings, 'the registry knows of nothing')
}

/** An exception is for one advisory: the next one for the same package is a finding. */
function linesOf(name: string, all: Vulnerabilities, exceptions: readonly Exception[]): readonly string[] {
  const { severity = 'unknown', range = '', via } = all[name] ?? {}
  if (!Array.isArray(via) || via.length === 0) return [`${severity}: ${name} ${range}`]
  return (via as readonly (Via | string)[])
    .filter((one) => !isExcused(one, name, exceptions))
    .flatMap((one) => {
      if (typeof one !== 'string')
        return [`${one.severity ?? severity}: ${name} ${one.range ?? range} (${idOf(one)}): ${one.title ?? ''}`]
      // What it needs has lines of its own, where anything of it is not excused.
      return hasAdvisory(one, all) ? [] : [`${severity}: ${name} ${range}, by way of ${one}`]
    })
}

/** Of its own, or by way of what it needs; packages may need each other. */
function hasAdvisory(name: string, all: Vulnerabilities, seen: ReadonlySet<string> = new Set()): boolean {
  if (seen.has(name)) return false
  const via = all[name]?.via ?? []
  return via.some((one) => typeof one !== 'string' || hasAdvisory(one, all, new Set([...seen, name])))
}

function isExcused(via: Via | string, name: string, exceptions: readonly Exception[]): boolean {
  if (typeof via === 'string') return false
  const id = idOf(via)
  return exceptions.some((one) => one.ghsa !== undefined && one.ghsa === id && one.package === (via.name ?? name))
}

function idOf({ url = '' }: Via): string {
  return /GHSA-[0-9a-z-]+$/i.exec(url)?.[0] ?? 'without an id'
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
