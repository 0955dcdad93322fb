/** Known holes that we live with for a while: each with a reason and an end, which is never far. */

export interface Exception {
  /** As our own list says it: a CVE. */
  readonly id: string
  /** As the registry says it, GHSA-…; without one the registry is not excused. */
  readonly ghsa?: string
  readonly package: string
  readonly reason: string
  /** ISO date from which it holds no more; at most half a year away. */
  readonly until: string
}

export interface Exceptions {
  readonly inForce: readonly Exception[]
  /** Of what does not count, or no longer. */
  readonly findings: readonly string[]
}

const longestDays = 183
const aDate = /^\d{4}-\d{2}-\d{2}$/

/** `today` as an ISO date. */
export function exceptionsOn(today: string, exceptions: readonly Exception[]): Exceptions {
  const judged = exceptions.map((one) => ({ one, problem: problemOf(one, today) }))
  return {
    inForce: judged.flatMap(({ one, problem }) => (problem === null ? [one] : [])),
    findings: judged.flatMap(({ one, problem }) =>
      problem === null ? [] : [`the exception for ${one.id} of ${one.package} ${problem}`],
    ),
  }
}

function problemOf({ reason, until }: Exception, today: string): string | null {
  if (typeof reason !== 'string' || reason.trim() === '') return 'has no reason'
  if (!aDate.test(until) || Number.isNaN(Date.parse(until))) return `ends on no date: expected yyyy-mm-dd, got ${until}`
  if (until <= today) return `ended on ${until}: mend it, or say again why not`
  const days = (Date.parse(until) - Date.parse(today)) / 86_400_000
  return days > longestDays ? `holds for more than ${longestDays} days` : null
}
