/** Finding a repeated string in time that no choice of strings can make quadratic. */

/**
 * A string that stands twice in `strings`, or undefined. Sorts instead of hashing:
 * hash tables of the platform have had collisions that a sender can choose (CVE-2025-27209,
 * CVE-2026-21717). O(n log n) comparisons.
 */
export function firstRepeated(strings: readonly string[]): string | undefined {
  const sorted = strings.toSorted()
  for (let i = 1; i < sorted.length; i++) if (sorted[i] === sorted[i - 1]) return sorted[i]
  return undefined
}
