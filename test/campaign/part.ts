/** One part of the campaign. */

import type { Share } from './share.ts'

export interface Assignment {
  readonly seed: number
  /** How many, if time allows. */
  readonly count: number
  /** False once the part should end: all done, or its time over. Shows progress. */
  readonly goOn: (done: number) => boolean
  /** Of what is to do, where the part is run in shares. */
  readonly share: Share | null
}

export interface PartReport {
  readonly done: number
  /** What must not be; empty when all is well. */
  readonly findings: readonly string[]
  /** What else the reader should know. */
  readonly facts: Readonly<Record<string, string | number>>
  /** What was done, where that is not the first of those that were to do. */
  readonly names?: readonly string[]
}

export interface Part {
  readonly name: string
  /** What it does and what must come out. */
  readonly rule: string
  readonly count: number
  readonly maximumSeconds: number
  /** Names of what it does, where it may be run in shares. */
  readonly names?: readonly string[]
  run(assignment: Assignment): Promise<PartReport>
}

const MAX_FINDINGS = 20

/** Findings, of which only the first are kept. */
export class Findings {
  readonly list: string[] = []
  #count = 0

  add(finding: string): void {
    this.#count++
    if (this.list.length < MAX_FINDINGS) this.list.push(finding)
  }

  get any(): boolean {
    return this.#count > 0
  }
}

/** Counts by name, most frequent first. */
export class Tally {
  readonly #counts = new Map<string, number>()

  add(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
  }

  toString(): string {
    const sorted = [...this.#counts].toSorted(([, a], [, b]) => b - a)
    return sorted.map(([name, count]) => `${name} ${count.toLocaleString('en')}`).join(', ')
  }
}

/** Bytes of a finding, so that it can be repeated. */
export function shown(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(0, 512)).toString('base64')
}
