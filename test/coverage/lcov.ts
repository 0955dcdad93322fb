/** What a run of tests has covered, and what is less than there was. */

export interface Share {
  readonly covered: number
  readonly of: number
}

export const kinds = ['lines', 'branches', 'functions'] as const
export type Kind = (typeof kinds)[number]
export type Coverage = Readonly<Record<Kind, Share>>
/** Percent. */
export type Floor = Readonly<Record<Kind, number>>

/** By path, from a report in the form of lcov. */
export function coverageIn(lcov: string): ReadonlyMap<string, Coverage> {
  const files = new Map<string, Coverage>()
  for (const block of lcov.split('end_of_record')) {
    const path = /^SF:(.+)$/m.exec(block)?.[1]
    if (path === undefined) continue
    const count = (word: string) => Number(new RegExp(`^${word}:(\\d+)$`, 'm').exec(block)?.[1] ?? 0)
    const share = (letters: string) => ({ covered: count(`${letters}H`), of: count(`${letters}F`) })
    files.set(path.replaceAll('\\', '/'), { lines: share('L'), branches: share('BR'), functions: share('FN') })
  }
  return files
}

export function sumOf(files: readonly Coverage[]): Coverage {
  const sum = (kind: Kind): Share => ({
    covered: files.reduce((total, file) => total + file[kind].covered, 0),
    of: files.reduce((total, file) => total + file[kind].of, 0),
  })
  return { lines: sum('lines'), branches: sum('branches'), functions: sum('functions') }
}

export function percentOf({ covered, of }: Share): number {
  return of === 0 ? 0 : (covered / of) * 100
}

/** One line for each kind that is below its floor, and for an area that has none. */
export function belowFloor(name: string, coverage: Coverage, floor: Floor | undefined): readonly string[] {
  if (floor === undefined) return [`${name}: no floor; npm run security -- coverage --raise writes one`]
  return kinds
    .filter((kind) => percentOf(coverage[kind]) < floor[kind])
    .map((kind) => `${name}: ${percentOf(coverage[kind]).toFixed(2)} % of ${kind}, expected at least ${floor[kind]} %`)
}

/** As far as the coverage has risen, in whole tenths; never lower. */
export function raised(coverage: Coverage, floor: Floor | undefined): Floor {
  const of = (kind: Kind) => Math.max(floor?.[kind] ?? 0, Math.floor(percentOf(coverage[kind]) * 10) / 10)
  return { lines: of('lines'), branches: of('branches'), functions: of('functions') }
}
