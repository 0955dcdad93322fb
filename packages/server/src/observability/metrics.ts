/**
 * Numbers that a process counts about itself. What is counted is fixed by a table of rows; the labels come from names that
 * are configured or our own, never from callers, and beyond a bound everything further counts as `other`. Counting allocates
 * nothing: whoever counts keeps the cell.
 */

export type MetricKind = 'counter' | 'gauge' | 'histogram' | 'summary' | 'info'

/** One metric family. */
export interface MetricRow {
  /** Without the suffixes that kinds bring along, such as `_total`; ends with its unit (`_seconds`, `_bytes`) where it has one. */
  readonly name: string
  readonly kind: MetricKind
  readonly help: string
  readonly labels: readonly string[]
  /** Upper bounds of a histogram, rising; +Inf comes by itself. */
  readonly buckets?: readonly number[]
}

/** What the value was measured on: the decision id, and the trace where there is one. */
export interface Exemplar {
  readonly decision: string | null
  readonly traceId: string | null
}

/** Of a counter or gauge. */
export class Cell {
  value = 0
  exemplar: Exemplar | null = null

  add(amount = 1): void {
    this.value += amount
  }
}

export class HistogramCell {
  readonly bounds: readonly number[]
  /** One for each bound, and one for what is above them all; each for itself. */
  readonly counts: Float64Array
  readonly exemplars: (Exemplar | null)[]
  readonly exemplarValues: Float64Array
  sum = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = new Float64Array(bounds.length + 1)
    this.exemplarValues = new Float64Array(bounds.length + 1)
    this.exemplars = Array.from({ length: bounds.length + 1 }, () => null)
  }

  observe(value: number, exemplar: Exemplar | null = null): void {
    const { bounds, counts } = this
    let bucket = 0
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++
    counts[bucket]! += 1
    this.sum += value
    if (exemplar === null) return
    this.exemplars[bucket] = exemplar
    this.exemplarValues[bucket] = value
  }
}

/** Sum and count, which somebody else keeps. */
export class SummaryCell {
  sum = 0
  count = 0
}

/** Cells of one family; far more than configured names and codes make together. */
const MAX_CELLS = 4096
const SEPARATOR = '\u0000'

/** The cells of one row by the values of its labels. */
export class Family<C> {
  readonly row: MetricRow
  readonly #make: () => C
  readonly #cells = new Map<string, { readonly values: readonly string[]; readonly cell: C }>()

  constructor(row: MetricRow, make: () => C) {
    this.row = row
    this.#make = make
    if (row.labels.length === 0 && row.kind !== 'info') this.cell()
  }

  /** The cell of these values, in the order of the row's labels. Keep it where it is used often. */
  cell(...values: readonly string[]): C {
    const { labels, name } = this.row
    if (values.length !== labels.length) throw new TypeError(`${name} has ${labels.length} labels`)
    const key = values.join(SEPARATOR)
    const found = this.#cells.get(key)
    if (found !== undefined) return found.cell
    const full = this.#cells.size >= MAX_CELLS && values.some((value) => value !== 'other')
    if (full) return this.cell(...values.map(() => 'other'))
    const cell = this.#make()
    this.#cells.set(key, { values, cell })
    return cell
  }

  /** Forgets every cell: for what is told anew with each scrape. */
  clear(): void {
    this.#cells.clear()
  }

  *[Symbol.iterator](): Iterator<{ readonly values: readonly string[]; readonly cell: C }> {
    yield* this.#cells.values()
  }
}

export type AnyFamily = Family<Cell> | Family<HistogramCell> | Family<SummaryCell>

/** The families of one process. */
export class Metrics {
  readonly #families = new Map<MetricRow, AnyFamily>()
  readonly #collectors: (() => void | Promise<void>)[] = []
  #collecting: Promise<void> | null = null

  constructor(rows: readonly MetricRow[]) {
    for (const row of rows) this.#families.set(row, familyOf(row))
  }

  /** Of a counter, gauge or info. Throws a TypeError for another row. */
  numbers(row: MetricRow): Family<Cell> {
    const family = this.#families.get(row)
    if (family === undefined || !isNumbers(family)) throw new TypeError(`${row.name} counts no numbers here`)
    return family
  }

  histogram(row: MetricRow): Family<HistogramCell> {
    const family = this.#families.get(row)
    if (family === undefined || !isHistogram(family)) throw new TypeError(`${row.name} is no histogram here`)
    return family
  }

  summary(row: MetricRow): Family<SummaryCell> {
    const family = this.#families.get(row)
    if (family === undefined || !isSummary(family)) throw new TypeError(`${row.name} is no summary here`)
    return family
  }

  /** Sets the only cell of a row without labels. */
  set(row: MetricRow, value: number): void {
    this.numbers(row).cell().value = value
  }

  /** Of a row with one label whose values exclude each other: 1 for the one that holds, 0 for the others. */
  setState(row: MetricRow, states: readonly string[], holds: string, ...before: readonly string[]): void {
    const family = this.numbers(row)
    for (const state of states) family.cell(...before, state).value = state === holds ? 1 : 0
  }

  /** Runs before each scrape, and sets what is not counted as it happens. */
  onScrape(collect: () => void | Promise<void>): void {
    this.#collectors.push(collect)
  }

  /** All families, with everything up to date. Scrapes at the same time share one collection. */
  async collect(): Promise<readonly AnyFamily[]> {
    this.#collecting ??= this.#collectAll().finally(() => (this.#collecting = null))
    await this.#collecting
    return [...this.#families.values()]
  }

  async #collectAll(): Promise<void> {
    for (const collect of this.#collectors) await collect()
  }
}

function familyOf(row: MetricRow): AnyFamily {
  switch (row.kind) {
    case 'counter':
    case 'gauge':
    case 'info':
      return new Family(row, () => new Cell())
    case 'histogram': {
      const { buckets = [] } = row
      return new Family(row, () => new HistogramCell(buckets))
    }
    case 'summary':
      return new Family(row, () => new SummaryCell())
  }
}

export function isHistogram(family: AnyFamily): family is Family<HistogramCell> {
  return family.row.kind === 'histogram'
}

export function isSummary(family: AnyFamily): family is Family<SummaryCell> {
  return family.row.kind === 'summary'
}

function isNumbers(family: AnyFamily): family is Family<Cell> {
  return !isHistogram(family) && !isSummary(family)
}
