/**
 * A token by which a platform names its workload (reference id BS-1): a projected service-account token of Kubernetes, the
 * identity of a CI job. It is meant for us alone, has the claims that the registration asks for, and is used once.
 */

import {
  claimAt,
  epochSeconds,
  isDoorwardError,
  isJsonObject,
  judgePlatformClaims,
  readPlatformToken,
  toBase64url,
} from '@doorward/core'
import type { JsonObject, PlatformToken } from '@doorward/core'
import { nowSeconds } from '../context.ts'
import type { AuthorityContext } from '../context.ts'
import { isAuthorityRefusal, refuse } from '../refusal.ts'
import type { AuthorityRefusal } from '../refusal.ts'
import { unattested } from './attestor.ts'
import type { Attested, Attestor } from './attestor.ts'
import { isRefused, rulesOf } from './rules-of.ts'
import type { RuleOf } from './rules-of.ts'
import type { PlatformIssuer, Vouchers } from './vouchers.ts'

type Rule = RuleOf<'oidc'>

/** A token is remembered for as long as anybody could accept it, and a little longer. */
const rememberedSeconds = 120
const MAX_SHOWN = 128

export function oidcAttestor(context: AuthorityContext, issuers: Vouchers['issuers']): Attestor<'oidc'> {
  return {
    attest: async ({ token: text }, { id }) => {
      const rules = await rulesOf(context.store, id, 'oidc')
      if (isRefused(rules)) return rules
      const token = readPlatformToken(text.reveal())
      if ('ok' in token) return unattested(`${token.code}: ${token.message}`)
      let refusal = unattested(`expected a token of ${issuerNames(rules)}, got one of ${shown(token.claimedIssuer)}`)
      for (const name of new Set(rules.map((rule) => rule.issuer))) {
        const issuer = issuers.get(name)
        if (issuer?.issuer !== token.claimedIssuer) continue
        const claims = await openedClaims(context, token, issuer)
        if (!isAuthorityRefusal(claims)) {
          const mine = rules.filter((rule) => rule.issuer === name)
          const attested = attestedBy(context, { id: id ?? '', name, token, claims, rules: mine })
          if (!isAuthorityRefusal(attested)) return attested
          refusal = attested
        } else refusal = claims
      }
      return refusal
    },
  }
}

function issuerNames(rules: readonly Rule[]): string {
  return [...new Set(rules.map(({ issuer }) => issuer))].join(' or ')
}

/** Signature first: what the claims say counts for nothing before. */
async function openedClaims(
  context: AuthorityContext,
  token: PlatformToken,
  { issuer, audience, algorithms, maxLifetimeSeconds, keys }: PlatformIssuer,
): Promise<JsonObject | AuthorityRefusal> {
  const { algorithm, kid } = token.header
  if (!algorithms.includes(algorithm)) return unattested(`expected ${algorithms.join(' or ')}, got ${algorithm}`)
  const key = await keys.find(algorithm, kid).catch((error: unknown) => {
    if (!isDoorwardError(error, 'issuer_keys_unavailable')) throw error
    return refuse('authority_unready', `the keys of ${issuer} cannot be had: ${error.got ?? ''}`)
  })
  if (key === null) return unattested(`${issuer} has no key ${shown(kid)} for ${algorithm}`)
  if ('refused' in key) return key
  const claims = token.open(key)
  if (claims === null) return unattested(`expected a signature by the key ${shown(kid)} of ${issuer}`)
  const problem = judgePlatformClaims(claims, { issuer, audience, maxLifetimeSeconds, now: nowSeconds(context) })
  return problem === null ? claims : unattested(`${problem.code}: ${problem.message}`)
}

interface Judged {
  readonly id: string
  /** The issuer's, in configuration. */
  readonly name: string
  readonly token: PlatformToken
  readonly claims: JsonObject
  readonly rules: readonly Rule[]
}

function attestedBy(
  { sha256 }: AuthorityContext,
  { id, name, token, claims, rules }: Judged,
): Attested | AuthorityRefusal {
  const problems = rules.map((rule) => claimProblem(claims, rule))
  const rule = rules[problems.indexOf(null)]
  if (rule === undefined) return unattested(`${name}: ${problems.join('; or ')}`)
  const named = Object.fromEntries(['sub', 'jti'].map((claim) => [claim, shown(claimAt(claims, claim))]))
  const expiresAt = epochSeconds(Number(claimAt(claims, 'exp')) + rememberedSeconds)
  return {
    id,
    kind: 'oidc',
    proven: { issuer: name, ...named, ...rule.claims },
    // Of what is signed, because a signature can be written in several ways.
    consumes: { kind: 'proof', proof: { hash: toBase64url(sha256(token.signed)), expiresAt } },
  }
}

/** The first claim that is not exactly what the rule says; a rule without claims holds for nobody. */
function claimProblem(claims: JsonObject, rule: Rule): string | null {
  const wanted = Object.entries(rule.claims)
  if (wanted.length === 0) return 'the registration asks for no claim'
  const wrong = wanted.find(([name, value]) => claimAt(claims, name) !== value)
  if (wrong === undefined) return null
  return `expected ${wrong[0]} to be ${shown(wrong[1])}, got ${shown(claimAt(claims, wrong[0]))}`
}

function shown(value: unknown): string {
  if (value === undefined) return 'none'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null && isJsonObject(value as JsonObject)) return 'an object'
  return JSON.stringify(value).slice(0, MAX_SHOWN)
}
