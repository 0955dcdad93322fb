/** The known name that was probably meant. */

const MAX_LENGTH = 128
const MAX_CANDIDATES = 1000

/** The nearest one that differs in at most a third of its characters (by Damerau and Levenshtein, letters in any case); null without one. Looks at the first 1000. */
export function nearestName(name: string, known: Iterable<string>): string | null {
  let best: string | null = null
  let least = Math.max(1, Math.floor(name.length / 3)) + 1
  const wanted = name.slice(0, MAX_LENGTH).toLowerCase()
  let left = MAX_CANDIDATES
  for (const candidate of known) {
    if (left-- === 0) break
    const distance = editDistance(wanted, candidate.slice(0, MAX_LENGTH).toLowerCase(), least)
    if (distance >= least || candidate === name) continue
    least = distance
    best = candidate
  }
  return best
}

export type Guess = typeof nearestName

/** `nearestName` for so many names, and null for the rest: each takes up to some milliseconds. */
export function guesses(count: number): Guess {
  let left = count
  return (name, known) => (left-- > 0 ? nearestName(name, known) : null)
}

/** At least `limit` where it is more. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1)
      row.push(cost)
    }
    if (Math.min(...row) >= limit) return limit
    before = last
    last = row
  }
  return last[b.length] ?? limit
}
