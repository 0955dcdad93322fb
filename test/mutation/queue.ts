/** What is left to judge of one target. */

import type { Mutant, Plan } from './instrument.ts'
import type { Judged } from './measured.ts'

type Done = (path: string, judged: readonly Judged[]) => Promise<void>

/** Mutants, source by source; a source is measured when all of its mutants are judged. */
export class Queue {
  readonly #waiting: Mutant[]
  readonly #open = new Map<string, { left: number; readonly judged: Judged[] }>()
  readonly #done: Done

  constructor({ mutants }: Plan, done: Done) {
    this.#waiting = [...mutants]
    this.#done = done
    for (const [path, of] of Map.groupBy(mutants, (one) => one.path))
      this.#open.set(path, { left: of.length, judged: [] })
  }

  get length(): number {
    return this.#waiting.length
  }

  take(): Mutant | undefined {
    return this.#waiting.shift()
  }

  async judged(mutant: Mutant, status: Judged['status']): Promise<void> {
    const source = this.#open.get(mutant.path)
    if (source === undefined) return
    source.judged.push({ mutant, status })
    source.left--
    if (source.left > 0) return
    const order = (one: Judged) => Number(one.mutant.id)
    await this.#done(
      mutant.path,
      source.judged.toSorted((a, b) => order(a) - order(b)),
    )
  }
}
