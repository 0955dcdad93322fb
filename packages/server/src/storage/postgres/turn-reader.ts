/** Rows by key, of which many are asked for at once: one statement for all that are asked for in one turn. */

import type { Row } from '../row.ts'

interface Asker {
  readonly resolve: (row: Row | null) => void
  readonly reject: (error: unknown) => void
}

export interface TurnReaderParts {
  /** The rows that have one of the keys. */
  readonly rowsOf: (keys: readonly string[]) => Promise<readonly Row[]>
  readonly keyOf: (row: Row) => string
}

export class TurnReader {
  readonly #parts: TurnReaderParts
  #asked = new Map<string, Asker[]>()

  constructor(parts: TurnReaderParts) {
    this.#parts = parts
  }

  /** As it stands after the call. Rejects as `rowsOf` does. */
  find(key: string): Promise<Row | null> {
    return new Promise((resolve, reject) => {
      if (this.#asked.size === 0) setImmediate(() => void this.#read())
      const askers = this.#asked.get(key) ?? []
      askers.push({ resolve, reject })
      this.#asked.set(key, askers)
    })
  }

  async #read(): Promise<void> {
    const asked = this.#asked
    this.#asked = new Map()
    const { rowsOf, keyOf } = this.#parts
    try {
      const rows = new Map((await rowsOf([...asked.keys()])).map((row) => [keyOf(row), row]))
      for (const [key, askers] of asked) for (const { resolve } of askers) resolve(rows.get(key) ?? null)
    } catch (error) {
      for (const { reject } of [...asked.values()].flat()) reject(error)
    }
  }
}
