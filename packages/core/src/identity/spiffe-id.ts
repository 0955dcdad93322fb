/** SPIFFE IDs, parsed once and never normalised (SPIFFE-ID §2; reference ids SID-1 … SID-8). */

import { DoorwardError } from '../error.ts'

/** A lowercase trust domain name of at most 255 bytes. */
export type TrustDomain = string & { readonly __trustDomain: unique symbol }

/** A workload's name: one trust domain and zero or more whole path segments. */
export interface SpiffeId {
  /** The full text, `spiffe://<trust domain>[/<segment>…]`. */
  readonly uri: string
  readonly trustDomain: TrustDomain
  readonly segments: readonly string[]
}

const MAX_ID = 2048
const MAX_TRUST_DOMAIN = 255

function isTrustDomainCode(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 48 && code <= 57) || code === 45 || code === 46 || code === 95
}

function isSegmentCode(code: number): boolean {
  return isTrustDomainCode(code) || (code >= 65 && code <= 90)
}

function every(text: string, allowed: (code: number) => boolean): boolean {
  for (let i = 0; i < text.length; i++) if (!allowed(text.charCodeAt(i))) return false
  return true
}

function segmentProblem(segment: string): string | null {
  if (segment === '') return 'an empty path segment'
  if (segment === '.' || segment === '..') return `a relative path segment '${segment}'`
  return every(segment, isSegmentCode) ? null : 'a path segment with a character outside a-z A-Z 0-9 . _ -'
}

function trustDomainProblem(name: string): string | null {
  if (name === '') return 'an empty trust domain'
  if (name.length > MAX_TRUST_DOMAIN) return `a trust domain of ${name.length} bytes`
  return every(name, isTrustDomainCode) ? null : 'a trust domain with a character outside a-z 0-9 . _ -'
}

/** What is wrong with the text as a SPIFFE ID, or the parsed ID. Never throws. */
export function readSpiffeId(text: string): SpiffeId | { readonly problem: string } {
  if (text.length > MAX_ID) return { problem: `an ID of ${text.length} bytes, at most ${MAX_ID} are allowed` }
  if (!text.startsWith('spiffe://')) return { problem: 'a text that does not start with spiffe://' }
  const [domain = '', ...segments] = text.slice('spiffe://'.length).split('/')
  const problem = trustDomainProblem(domain)
  if (problem !== null) return { problem }
  for (const segment of segments) {
    const wrong = segmentProblem(segment)
    if (wrong !== null) return { problem: wrong }
  }
  return { uri: text, trustDomain: domain as TrustDomain, segments }
}

/** Parses a SPIFFE ID. Throws `spiffe_id_invalid`. */
export function parseSpiffeId(text: string): SpiffeId {
  const id = readSpiffeId(text)
  if ('problem' in id) {
    throw new DoorwardError('spiffe_id_invalid', `not a SPIFFE ID: ${id.problem}`, {
      expected: 'spiffe://<trust domain>/<path> with lowercase trust domain and no empty segment',
      got: JSON.stringify(text.slice(0, 120)),
    })
  }
  return id
}

/** Parses a trust domain name, without scheme. Throws `trust_domain_invalid`. */
export function parseTrustDomain(text: string): TrustDomain {
  const problem = trustDomainProblem(text)
  if (problem !== null) {
    throw new DoorwardError('trust_domain_invalid', `not a trust domain: ${problem}`, {
      expected: 'a lowercase name such as example.org',
      got: JSON.stringify(text.slice(0, 120)),
    })
  }
  return text as TrustDomain
}

/** The ID of a workload under the domain: at least one segment. Throws `spiffe_id_invalid`. */
export function workloadId(trustDomain: TrustDomain, ...segments: readonly string[]): SpiffeId {
  return parseSpiffeId(`spiffe://${trustDomain}/${segments.join('/')}`)
}

export function sameSpiffeId(a: SpiffeId, b: SpiffeId): boolean {
  return a.uri === b.uri
}

/** A pattern over whole segments: each is a literal or `*`, and a final `**` stands for one or more. */
export interface SpiffeIdPattern {
  readonly text: string
  readonly trustDomain: TrustDomain
  readonly segments: readonly string[]
}

/**
 * Parses a pattern such as `spiffe://acme.example/agent/*`. The trust domain is always literal (SID-8).
 * Throws `spiffe_pattern_invalid`.
 */
export function parseSpiffeIdPattern(text: string): SpiffeIdPattern {
  const [domain = '', ...segments] = text.startsWith('spiffe://') ? text.slice('spiffe://'.length).split('/') : []
  const literal = [
    'spiffe:/',
    domain,
    ...segments.map((segment) => (segment === '*' || segment === '**' ? 'x' : segment)),
  ].join('/')
  const id = readSpiffeId(literal)
  const problem =
    'problem' in id
      ? id.problem
      : segments.length === 0
        ? 'a pattern without a path'
        : segments.slice(0, -1).includes('**')
          ? "'**' before the last segment"
          : null
  if (problem !== null || 'problem' in id) {
    throw new DoorwardError('spiffe_pattern_invalid', `not a SPIFFE ID pattern: ${problem}`, {
      expected: "spiffe://<trust domain>/<segments>, where a segment may be '*' and the last one '**'",
      got: JSON.stringify(text.slice(0, 120)),
    })
  }
  return { text, trustDomain: id.trustDomain, segments }
}

/** Whole segments only: `/data` never matches `/data-secret`. */
export function matchesSpiffeId(pattern: SpiffeIdPattern, id: SpiffeId): boolean {
  if (pattern.trustDomain !== id.trustDomain) return false
  const open = pattern.segments.at(-1) === '**'
  const fixed = open ? pattern.segments.length - 1 : pattern.segments.length
  if (open ? id.segments.length <= fixed : id.segments.length !== fixed) return false
  for (let i = 0; i < fixed; i++) {
    const want = pattern.segments[i]
    if (want !== '*' && want !== id.segments[i]) return false
  }
  return true
}
