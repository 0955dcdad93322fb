/**
 * Runs the MCP conformance suite against two URLs and compares what it finds, check by check: per scenario the
 * multiset of (check id, status), with `INFO` left out.
 */

import { execFile } from 'node:child_process'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

export const suite = fileURLToPath(
  new URL('../../../node_modules/@modelcontextprotocol/conformance/dist/index.js', import.meta.url),
)
export const suiteTimeoutMs = 240_000
const run = promisify(execFile)

/** Scenario name → check id and status (`id status`) → how often it occurred. */
export type ConformanceChecks = ReadonlyMap<string, ReadonlyMap<string, number>>

export interface ConformanceRun {
  readonly checks: ConformanceChecks
  readonly scenarios: number
  readonly passed: number
  readonly failed: number
}

export interface CheckDifference {
  readonly scenario: string
  readonly check: string
  readonly status: string
  /** Occurrences in the first and in the second run. */
  readonly first: number
  readonly second: number
}

export interface Comparison {
  readonly first: ConformanceRun
  readonly second: ConformanceRun
  readonly differences: readonly CheckDifference[]
}

/** The frozen requirement set of a revision, or every scenario of the suite that there is for it. */
export type ConformanceRequest = { readonly requirements: string } | { readonly suite: string }

const newestLegacy: ConformanceRequest = { requirements: '2025-11-25' }

/** Runs the suite against both URLs at the same time. URLs must be plain http on localhost, as the suite demands. */
export async function compareConformance(
  firstUrl: string,
  secondUrl: string,
  request: ConformanceRequest = newestLegacy,
): Promise<Comparison> {
  const [first, second] = await Promise.all([runConformance(firstUrl, request), runConformance(secondUrl, request)])
  return { first, second, differences: differences(first.checks, second.checks) }
}

/** One run of the suite. The suite's exit code covers scored scenarios only and is therefore not looked at. */
export async function runConformance(url: string, request: ConformanceRequest = newestLegacy): Promise<ConformanceRun> {
  const asked =
    'suite' in request ? ['--suite', 'all', '--spec-version', request.suite] : ['--requirements', request.requirements]
  const out = await mkdtemp(join(tmpdir(), 'doorward-conformance-'))
  try {
    const args = [suite, 'server', '--url', url, ...asked, '-o', out]
    await run(process.execPath, args, { timeout: suiteTimeoutMs, maxBuffer: 64 * 1024 * 1024 }).catch(exitedOnly)
    return summary(await readChecks(out))
  } finally {
    await rm(out, { recursive: true, force: true })
  }
}

/** A suite that found failures exits with 1; anything else (a time-out, a crash) is an error of ours. */
function exitedOnly(error: Error & { readonly code?: unknown; readonly killed?: boolean }): void {
  if (error.code !== 1 || error.killed === true) throw error
}

export async function readChecks(out: string): Promise<ConformanceChecks> {
  const checks = new Map<string, Map<string, number>>()
  for (const folder of await readdir(out)) {
    const scenario = scenarioOf(folder)
    const counts = checks.get(scenario) ?? new Map<string, number>()
    checks.set(scenario, counts)
    const listed = JSON.parse(await readFile(join(out, folder, 'checks.json'), 'utf8')) as readonly {
      readonly id: string
      readonly status: string
    }[]
    for (const { id, status } of listed) {
      if (status === 'INFO') continue
      const key = `${id} ${status}`
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
  }
  return checks
}

/** `server-<scenario>-<ISO time with dashes>` → scenario; of an authorization server the same, with its own prefix. */
export function scenarioOf(folder: string): string {
  const match = /^(?:authorization-)?server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$/.exec(folder)
  if (match?.[1] === undefined) throw new Error(`not a result folder of the conformance suite: ${folder}`)
  return match[1]
}

export function summary(checks: ConformanceChecks): ConformanceRun {
  let passed = 0
  let failed = 0
  for (const counts of checks.values()) {
    for (const [key, count] of counts) {
      if (key.endsWith(' SUCCESS')) passed += count
      if (key.endsWith(' FAILURE')) failed += count
    }
  }
  return { checks, scenarios: checks.size, passed, failed }
}

/** Every (scenario, check, status) whose number of occurrences differs, in order of scenario and check. */
export function differences(first: ConformanceChecks, second: ConformanceChecks): readonly CheckDifference[] {
  const found: CheckDifference[] = []
  for (const scenario of sortedUnion(first.keys(), second.keys())) {
    const one = first.get(scenario) ?? new Map<string, number>()
    const two = second.get(scenario) ?? new Map<string, number>()
    for (const key of sortedUnion(one.keys(), two.keys())) {
      const counts = { first: one.get(key) ?? 0, second: two.get(key) ?? 0 }
      if (counts.first === counts.second) continue
      const space = key.lastIndexOf(' ')
      found.push({ scenario, check: key.slice(0, space), status: key.slice(space + 1), ...counts })
    }
  }
  return found
}

function sortedUnion(one: Iterable<string>, two: Iterable<string>): readonly string[] {
  return [...new Set([...one, ...two])].toSorted()
}
