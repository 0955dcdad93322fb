/** All targets, and what a run of one of them does. */

import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { seeded } from '../chance.ts'
import { mutate } from '../mutate.ts'
import { certificate } from './certificate.ts'
import { json } from './json.ts'
import { log } from './log.ts'
import { policy } from './policy.ts'
import { request } from './request.ts'
import type { FuzzTarget, OpenTarget } from './target.ts'
import { token } from './token.ts'

export const fuzzTargets: readonly FuzzTarget[] = [certificate, token, json, request, policy, log]

/** What was found once, each as the bytes that it was found with. */
export const keptFolder = join(import.meta.dirname, '../kept')

export function keptInputs(name: string): readonly Uint8Array[] {
  const folder = join(keptFolder, name)
  if (!existsSync(folder)) return []
  return globSync('*.bin', { cwd: folder })
    .toSorted()
    .map((file) => new Uint8Array(readFileSync(join(folder, file))))
}

/** More would be long runs of the same. */
const MAX_STARTS = 2000
/** What is made longer again and again costs time and shows nothing. */
const MAX_BYTES = 16_384

export interface FuzzRun {
  readonly seed: number
  /** Asked before each input, of which this is the number, from 0. */
  readonly goOn: (number: number, input: Uint8Array) => boolean
}

export interface FuzzResult {
  readonly done: number
  /** How often the reader said what. */
  readonly verdicts: ReadonlyMap<string, number>
  readonly found: FuzzFinding | null
}

export interface FuzzFinding {
  readonly what: string
  readonly input: Uint8Array
}

/**
 * Good inputs first, and those that were found once; then inputs bent by chance. One to which the reader says what it has not said
 * before is bent on: its answers stand for the branches that it has taken.
 */
export function runTarget(
  { starts: good, words, judge }: OpenTarget,
  kept: readonly Uint8Array[],
  { seed, goOn }: FuzzRun,
): FuzzResult {
  const chance = seeded(seed)
  const starts = [...good, ...kept]
  const first = starts.length
  const verdicts = new Map<string, number>()
  for (let done = 0; ; done++) {
    const input = done < first ? starts[done]! : mutate(chance.of(starts), chance, words).slice(0, MAX_BYTES)
    if (!goOn(done, input)) return { done, verdicts, found: null }
    try {
      const verdict = judge(input)
      const before = verdicts.get(verdict) ?? 0
      verdicts.set(verdict, before + 1)
      if (before === 0 && done >= first && starts.length < MAX_STARTS) starts.push(input)
    } catch (error) {
      const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
      return { done: done + 1, verdicts, found: { what: what.slice(0, 400), input } }
    }
  }
}
