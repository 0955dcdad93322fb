/** Tokens for files: each is looked at before it is written, so that no file holds one that servers would refuse. */

import {
  boundToCertificate,
  DoorwardError,
  isDoorwardError,
  isJsonObject,
  isSeconds,
  openCompactJws,
  scanJson,
} from '@doorward/core'
import type { EpochSeconds, Secret, TokenKeySet } from '@doorward/core'
import { ServerRefused } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import type { TokenRequest, WrittenToken } from './credential-generation.ts'

export interface MintedTokens {
  /** All bound to one certificate: this one. */
  readonly fingerprint: string
  readonly tokens: readonly WrittenToken[]
  /** The authority gives no token for these audiences, and will not when it is asked again. */
  readonly refused: readonly TokenRequest[]
  /** Until the first is to be replaced; null without tokens. */
  readonly freshMilliseconds: number | null
}

/** What is asked of an identity here. */
export interface TokenIdentity extends Pick<Identity, 'id' | 'token' | 'credentials'> {
  readonly trustStore: Pick<Identity['trustStore'], 'view'>
}

/** The identity keeps a token for so much of its life, and gives another from then on. */
const RENEW_AT = 0.75
/** An audience that is refused may be configured later. */
const REFUSED_AGAIN = 60_000
/** The certificate may be renewed while tokens are on their way. */
const MAX_ROUNDS = 4

/**
 * One token for each request, all bound to the certificate that is current when the last one is there. Throws what
 * `Identity.token` throws but `audience_unknown`, and `token_not_usable` when one is not what was asked for.
 */
export async function mintTokens(identity: TokenIdentity, requests: readonly TokenRequest[]): Promise<MintedTokens> {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const { fingerprint } = identity.credentials.current()
    const minted = await Promise.all(requests.map((request) => mint(identity, request)))
    const tokens = minted.filter((one) => one !== null)
    const bound = tokens.every(({ claims }) => boundToCertificate(claims.cnf, fingerprint))
    if (bound && identity.credentials.current().fingerprint === fingerprint) {
      return {
        fingerprint,
        tokens: tokens.map(({ written }) => written),
        refused: requests.filter((_, i) => minted[i] === null),
        freshMilliseconds: freshness(tokens, requests.length),
      }
    }
  }
  throw notUsable('a certificate that stays for as long as a token takes', 'another one each time')
}

interface Minted {
  readonly written: WrittenToken
  readonly claims: TokenFacts
}

interface TokenFacts {
  readonly issuedAt: EpochSeconds
  readonly expiresAt: EpochSeconds
  readonly cnf: { readonly 'x5t#S256': string }
}

async function mint(identity: TokenIdentity, request: TokenRequest): Promise<Minted | null> {
  try {
    const token = await identity.token(request.audience)
    const claims = judge(token, identity, request.audience)
    return { written: { ...request, token, expiresAt: claims.expiresAt }, claims }
  } catch (error) {
    if (error instanceof ServerRefused && isDoorwardError(error, 'audience_unknown')) return null
    throw error
  }
}

function freshness(tokens: readonly Minted[], wanted: number): number | null {
  const lives = tokens.map(({ claims }) => (claims.expiresAt - claims.issuedAt) * 1000 * RENEW_AT)
  if (tokens.length < wanted) lives.push(REFUSED_AGAIN)
  return lives.length === 0 ? null : Math.min(...lives)
}

/** Signature, subject and audience. Times are the server's to judge. */
function judge(token: Secret, { id, trustStore }: TokenIdentity, audience: string): TokenFacts {
  const keys: TokenKeySet = trustStore.view()?.tokenKeys ?? new Map()
  const opened = openCompactJws(token.reveal(), { typ: 'at+jwt', keys })
  if ('ok' in opened) throw notUsable('a token signed by a key of the trust state', opened.code)
  const scan = scanJson(opened.payload)
  const claims = scan.ok && isJsonObject(scan.value) ? scan.value : {}
  if (claims['sub'] !== id.uri || claims['aud'] !== audience)
    throw notUsable(`a token of ${id.uri} for ${audience}`, 'one of somebody else or for another audience')
  const { iat, exp, cnf } = claims
  const binding = isJsonObject(cnf) ? cnf['x5t#S256'] : undefined
  if (!isSeconds(iat) || !isSeconds(exp) || typeof binding !== 'string')
    throw notUsable('a token with iat, exp and cnf', 'one without')
  return { issuedAt: iat, expiresAt: exp, cnf: { 'x5t#S256': binding } }
}

function notUsable(expected: string, got: string): DoorwardError {
  return new DoorwardError('token_not_usable', 'the token that the authority gave cannot be used', { expected, got })
}
