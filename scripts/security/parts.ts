/** Parts of `npm run security` that run code of ours for long: each a program of its own, which tells what it has found. */

import { spawnSync } from 'node:child_process'
import type { CheckResult } from './check.ts'

export interface LongPart {
  readonly name: string
  /** From the root of the repository. */
  readonly program: string
  /** With which it is run among the others. */
  readonly words: readonly string[]
}

export const longParts: readonly LongPart[] = [
  { name: 'fuzz', program: 'test/fuzz/run.ts', words: [] },
  { name: 'coverage', program: 'test/coverage/run.ts', words: [] },
  { name: 'mutation', program: 'test/mutation/run.ts', words: ['--minutes', '20'] },
]

/** On their own with the words given; what they say is shown as they say it. */
export function runPart(root: string, { program }: LongPart, words: readonly string[]): number {
  const { status } = spawnSync(process.execPath, ['--conditions=source', program, ...words], {
    cwd: root,
    stdio: 'inherit',
  })
  return status ?? 1
}

export function checkPart(root: string, { name, program, words }: LongPart): CheckResult {
  const { status, stdout } = spawnSync(process.execPath, ['--conditions=source', program, ...words, '--json'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
    timeout: 2 * 3_600_000,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return partResult(name, { status, stdout })
}

/**
 * Nothing but 0 with no finding is passed; at 3 it has not been run, by what it says. All else is failed: a part that is broken is not
 * one that waits.
 */
export function partResult(
  name: string,
  ended: { readonly status: number | null; readonly stdout: string },
): CheckResult {
  const told = toldIn(ended.stdout)
  if (told !== null && ended.status === 0 && told.findings.length === 0)
    return { name, verdict: 'passed', summary: told.summary, findings: [] }
  if (told !== null && ended.status === 1 && told.findings.length > 0)
    return { name, verdict: 'failed', summary: `${told.findings.length} found`, findings: told.findings }
  if (told !== null && ended.status === 3) return { name, verdict: 'not_run', ...told }
  const summary = `it ended with ${ended.status ?? 'a signal'} and does not say what it found: run npm run security -- ${name}`
  return { name, verdict: 'failed', summary, findings: [summary] }
}

interface Told {
  readonly summary: string
  readonly findings: readonly string[]
}

/** In the last line. */
function toldIn(stdout: string): Told | null {
  try {
    const told = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Partial<Told> | null
    const { summary, findings } = told ?? {}
    const isWhole = typeof summary === 'string' && Array.isArray(findings)
    return isWhole ? { summary, findings } : null
  } catch {
    return null
  }
}
