/** `RateLimit` and `RateLimit-Policy` of a refusal (draft-ietf-httpapi-ratelimit-headers-11). */

import type { ExhaustedLimit } from '../denial.ts'

/** Nothing is left of the limit; `t` is there where it is known when some of it comes back. */
export function rateLimitFields(
  { name, unit, quota, windowSeconds }: ExhaustedLimit,
  retryAfterSeconds: number | null,
): Readonly<Record<string, string>> {
  const policy = sfString(name)
  const counted = unit === 'requests' ? '' : `;qu="${unit}"`
  const window = windowSeconds === null ? '' : `;w=${windowSeconds}`
  const reset = retryAfterSeconds === null ? '' : `;t=${retryAfterSeconds}`
  return {
    'RateLimit-Policy': `${policy};q=${quota}${counted}${window}`,
    RateLimit: `${policy};r=0${reset}`,
  }
}

/** A string of structured fields (RFC 9651 §3.3.3), which holds ASCII alone. */
function sfString(text: string): string {
  return `"${text.replaceAll(/[^\x20-\x7e]/g, '?').replaceAll(/["\\]/g, String.raw`\$&`)}"`
}
