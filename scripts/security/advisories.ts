/**
 * Known-vulnerable versions by the repository's own dated list, for where the registry does not answer audits. An exception that
 * does not count, or no longer, is a finding.
 */

import { resultOf } from './check.ts'
import type { CheckResult } from './check.ts'
import { exceptionsOn } from './exceptions.ts'
import type { Exception } from './exceptions.ts'
import type { LockedPackage } from './lock.ts'

export interface Advisory {
  readonly id: string
  readonly package: string
  /** `>=1.2.0 <1.2.5`, several joined by `||`; `=1.2.3` for one version. */
  readonly vulnerable: string
  readonly severity: 'low' | 'moderate' | 'high' | 'critical'
  readonly what: string
}

export interface AdvisoryList {
  /** ISO date on which somebody last looked. */
  readonly asOf: string
  readonly advisories: readonly Advisory[]
}

/** After so many days somebody has to look again. */
const freshDays = 90

export interface AdvisoryQuestion {
  readonly packages: readonly LockedPackage[]
  readonly list: AdvisoryList
  readonly exceptions: readonly Exception[]
  /** ISO date. */
  readonly today: string
}

export function checkAdvisories({ packages, list, exceptions, today }: AdvisoryQuestion): CheckResult {
  const { inForce, findings: outOfForce } = exceptionsOn(today, exceptions)
  const findings = [...list.advisories.flatMap((advisory) => hits(advisory, packages, inForce)), ...outOfForce]
  const age = Math.round((Date.parse(today) - Date.parse(list.asOf)) / 86_400_000)
  if (age > freshDays)
    findings.push(
      `the list is ${age} days old: look for new advisories and set asOf in scripts/security/advisories.json`,
    )
  return resultOf(
    'advisories',
    findings,
    `${packages.length} packages against ${list.advisories.length} advisories as of ${list.asOf}`,
  )
}

function hits(
  advisory: Advisory,
  packages: readonly LockedPackage[],
  exceptions: readonly Exception[],
): readonly string[] {
  if (exceptions.some(({ id, package: name }) => id === advisory.id && name === advisory.package)) return []
  return packages
    .filter(({ name, version }) => name === advisory.package && inRange(version, advisory.vulnerable))
    .map(
      ({ name, version }) =>
        `${advisory.severity}: ${name} ${version} (${advisory.id}): ${advisory.what}; vulnerable ${advisory.vulnerable}`,
    )
}

/** A prerelease counts as the release that it precedes. Throws for a range that is not of the form above. */
export function inRange(version: string, range: string): boolean {
  return range.split('||').some((part) =>
    part
      .trim()
      .split(/\s+/)
      .every((bound) => meets(version, bound)),
  )
}

function meets(version: string, bound: string): boolean {
  const match = /^(>=|<=|<|>|=)(\d+\.\d+\.\d+)$/.exec(bound)
  if (match === null) throw new Error(`not a bound of versions: ${bound}`)
  const order = compared(version, match[2] ?? '')
  switch (match[1]) {
    case '>=':
      return order >= 0
    case '<=':
      return order <= 0
    case '<':
      return order < 0
    case '>':
      return order > 0
    case '=':
    case undefined:
    default:
      return order === 0
  }
}

function compared(one: string, other: string): number {
  const [a, b] = [one, other].map((text) => text.split(/[-+]/)[0]!.split('.').map(Number))
  for (let i = 0; i < 3; i++) {
    const difference = (a?.[i] ?? 0) - (b?.[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
