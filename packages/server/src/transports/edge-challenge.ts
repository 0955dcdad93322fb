/** What a caller at the edge is told about the credential that it needs (RFC 6750 §3, RFC 9449 §7.1, RFC 9728 §5.1). */

import type { Denial, DenialCode } from '@doorward/enforcement'

export interface EdgeChallenge {
  /** URL of the metadata of the resource that was asked for. */
  readonly metadata: string
  /** Scopes that a client does well to ask for; empty for none. */
  readonly scopes: readonly string[]
  /** Algorithms of proofs. */
  readonly algorithms: readonly string[]
  /** Whether the request showed a token, and how. */
  readonly shown: 'nothing' | 'bearer' | 'dpop'
}

const proofErrors: Partial<Record<DenialCode, string>> = {
  dpop_invalid: 'invalid_dpop_proof',
  dpop_replayed: 'invalid_dpop_proof',
  dpop_nonce: 'use_dpop_nonce',
}

/**
 * Bearer first, because clients of the older SDK read only a value that begins so; an error is named only where a token was
 * presented, and in the challenge of the scheme that was used. None for anything but 401 and a lack of scope.
 */
export function edgeChallenges(denial: Denial, status: number, parts: EdgeChallenge): readonly string[] {
  const { metadata, scopes, algorithms, shown } = parts
  const where = `resource_metadata="${metadata}"`
  if (denial.scope !== null) {
    const all = [...new Set([...scopes, ...denial.scope.split(' ')])].join(' ')
    const asked = `error="insufficient_scope", scope="${all}", ${where}`
    return [`${shown === 'dpop' ? 'DPoP' : 'Bearer'} ${asked}`]
  }
  if (status !== 401) return []
  const error = proofErrors[denial.code] ?? 'invalid_token'
  const of = (scheme: EdgeChallenge['shown']) => (shown === scheme ? [`error="${error}"`] : [])
  const asked = scopes.length === 0 ? [] : [`scope="${scopes.join(' ')}"`]
  return [
    `Bearer ${[...of('bearer'), ...asked, where].join(', ')}`,
    `DPoP ${[...of('dpop'), `algs="${algorithms.join(' ')}"`, ...asked, where].join(', ')}`,
  ]
}
