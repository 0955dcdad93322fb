/** Tokens of all configured issuers: the port that the edge and the authority ask. */

import { createHash } from 'node:crypto'
import { foreignTokenBytes, isDoorwardError, readIssuerToken } from '@doorward/core'
import type { EpochSeconds, ForeignJws, IssuerHeader, JsonObject } from '@doorward/core'
import type { IssuedToken, IssuedTokenRefusal, IssuerTokens } from '@doorward/enforcement'
import { issuedToken, refused } from './issuer.ts'
import type { Issuer } from './issuer.ts'

const MAX_SHOWN = 120
/** RFC 6750 §2.1. */
const BEARER = /^[A-Za-z0-9._~+/-]+=*$/

export function verifiedIssuers(issuers: readonly Issuer[], nowSeconds: () => EpochSeconds): IssuerTokens {
  return {
    verify: async (text, audience) => {
      if (text.length > foreignTokenBytes)
        return refused('token_too_large', `${text.length} characters, at most ${foreignTokenBytes}`)
      return text.split('.').length === 3
        ? verifyJwt(issuers, text, { audience, now: nowSeconds() })
        : verifyOpaque(issuers, text, { audience, now: nowSeconds() })
    },
  }
}

interface Asked {
  readonly audience: string
  readonly now: EpochSeconds
}

async function verifyJwt(
  issuers: readonly Issuer[],
  text: string,
  asked: Asked,
): Promise<IssuedToken | IssuedTokenRefusal> {
  const token = readIssuerToken(text)
  if ('ok' in token) return token
  const issuer = issuers.find(({ issuer: iss }) => iss === token.claimedIssuer)
  if (issuer === undefined)
    return refused('token_issuer', `no issuer ${JSON.stringify(token.claimedIssuer.slice(0, MAX_SHOWN))} is configured`)
  const { type } = token.header
  if (type === null || !issuer.types.includes(type))
    return refused('token_type', `${issuer.name}: expected typ ${issuer.types.join(' or ')}, got ${shown(type)}`)
  const opened = await openedBy(issuer, token)
  if ('ok' in opened) return opened
  return issuedToken(opened.claims, issuer, { ...asked, digest: digestOf(token.signed) })
}

/** Claims that the issuer has signed. */
export interface Opened {
  readonly claims: JsonObject
}

/** Signature first: what the claims say counts for nothing before. */
export async function openedBy(
  { name, algorithms, keys }: Pick<Issuer, 'name' | 'algorithms' | 'keys'>,
  token: ForeignJws<IssuerHeader>,
): Promise<Opened | IssuedTokenRefusal> {
  const { algorithm, kid } = token.header
  if (!algorithms.includes(algorithm))
    return refused('token_algorithm', `${name}: expected ${algorithms.join(' or ')}, got ${algorithm}`)
  try {
    const key = await keys.find(algorithm, kid)
    if (key === null) return refused('token_key_unknown', `${name} has no key ${shown(kid)} for ${algorithm}`)
    const claims = token.open(key)
    if (claims !== null) return { claims }
    return refused('token_signature', `${name}: expected a signature by the key ${shown(kid)}`)
  } catch (error) {
    if (!isDoorwardError(error, 'issuer_keys_unavailable')) throw error
    return refused('issuer_unavailable', `the keys of ${name} cannot be had: ${error.got ?? ''}`)
  }
}

/** Shown to the one issuer that has an introspection endpoint: a token is sent to nobody who may not be its issuer. */
async function verifyOpaque(
  issuers: readonly Issuer[],
  text: string,
  asked: Asked,
): Promise<IssuedToken | IssuedTokenRefusal> {
  const issuer = issuers.find(({ introspection }) => introspection !== null)
  if (issuer?.introspection == null || !BEARER.test(text))
    return refused('token_malformed', 'expected a JWT of a configured issuer')
  const answer = await issuer.introspection.claims(text)
  if (!answer.ok) return answer
  return issuedToken(answer.claims, issuer, { ...asked, digest: digestOf(text) })
}

function digestOf(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('base64url')
}

function shown(text: string | null): string {
  return text === null ? 'none' : JSON.stringify(text.slice(0, MAX_SHOWN))
}
