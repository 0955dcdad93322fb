/** What a refused token says, as far as one of our keys has signed it: for finding out who has the key. */

import { scanJson } from '../json/scan.ts'
import { tokenLimits } from './claims.ts'
import type { AccessTokenClaims } from './claims.ts'
import { openCompactJws } from './compact-jws.ts'
import { readFrontToken } from './front-token.ts'
import type { FrontTokenClaims } from './front-token.ts'
import type { TokenKeySet } from './key-set.ts'
import { readClaims } from './read-claims.ts'

export interface SignedClaims {
  /** `kid` of the key that signed it. */
  readonly keyId: string
  /** Null when it holds no claims of a token for workloads. Nothing about them is judged. */
  readonly claims: AccessTokenClaims | null
  /** The same of a token of the front. */
  readonly front: FrontTokenClaims | null
}

const PAYLOAD_LIMITS = { maxBytes: tokenLimits.bytes, maxDepth: tokenLimits.actDepth + 3, maxKeys: 64 }

/** Null when none of the keys has signed it. Grants nothing: `verifyToken` alone does. */
export function signedClaims(text: string, keys: TokenKeySet): SignedClaims | null {
  const signed = openCompactJws(text, { typ: 'at+jwt', keys })
  if ('ok' in signed) return null
  const payload = scanJson(signed.payload, PAYLOAD_LIMITS)
  const claims = payload.ok ? readClaims(payload.value) : 'not JSON'
  const front = payload.ok ? readFrontToken(payload.value) : 'not JSON'
  return {
    keyId: signed.keyId,
    claims: typeof claims === 'string' ? null : claims,
    front: typeof front === 'string' ? null : front,
  }
}
