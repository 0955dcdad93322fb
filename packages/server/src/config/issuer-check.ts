/** Mistakes in `issuers` that only show when several keys are read together. */

import { isDoorwardError, parseSpiffeIdPattern } from '@doorward/core'
import type { TrustDomain } from '@doorward/core'
import type { IssuerSection } from './issuer-schema.ts'
import type { Configuration } from './schema.ts'

interface IssuerProblem {
  readonly keys: readonly (string | number)[]
  readonly message: string
  readonly expected: string | null
  readonly got: string | null
}

const MAX_ISSUERS = 32

export function issuerProblems({ issuers, security }: Configuration, domain: TrustDomain): readonly IssuerProblem[] {
  const entries = Object.entries(issuers)
  const problems: IssuerProblem[] = []
  const { methods } = security.auth
  if (entries.length > 0 && !methods.includes('oauth2')) {
    const keys = ['security', 'auth', 'methods']
    const message = 'issuers are configured and their tokens are not admitted'
    problems.push({ keys, message, expected: 'oauth2 among the methods, or no issuers', got: methods.join(', ') })
  }
  if (entries.length > MAX_ISSUERS)
    problems.push({ keys: ['issuers'], message: 'too many', expected: `at most ${MAX_ISSUERS}`, got: null })
  return [
    ...problems,
    ...repeated(entries),
    ...entries.flatMap(([name, issuer]) => [...keyProblems(name, issuer), ...patternProblems(name, issuer, domain)]),
  ]
}

/** A token names its issuer by its URL, an opaque one by nothing. */
function repeated(entries: readonly (readonly [string, IssuerSection])[]): readonly IssuerProblem[] {
  const seen = new Map<string, string>()
  const problems: IssuerProblem[] = []
  let asked: string | null = null
  for (const [name, { issuer, introspection }] of entries) {
    const other = seen.get(issuer)
    const keys = ['issuers', name]
    if (other !== undefined)
      problems.push({
        keys: [...keys, 'issuer'],
        message: `issuers.${other} is the same`,
        expected: 'each issuer once',
        got: issuer,
      })
    seen.set(issuer, name)
    if (introspection === undefined) continue
    if (asked !== null)
      problems.push({
        keys: [...keys, 'introspection'],
        message: `opaque tokens are shown to issuers.${asked} already, and to nobody who may not be their issuer`,
        expected: 'introspection at one issuer',
        got: null,
      })
    asked ??= name
  }
  return problems
}

function keyProblems(name: string, issuer: IssuerSection): readonly IssuerProblem[] {
  const { jwks_file, jwks_url, ca_file, allow_private_addresses, introspection, login, consent, claims } = issuer
  const problems: IssuerProblem[] = []
  const told = (key: string, message: string, expected: string) =>
    problems.push({ keys: ['issuers', name, key], message, expected, got: null })
  if (claims.group_prefix !== undefined && claims.groups === undefined)
    told('claims', 'a prefix of groups, and no claim that names them', 'claims.groups beside claims.group_prefix')
  if (jwks_file === undefined) return problems
  if (jwks_url !== undefined) told('jwks_url', 'two places for the keys', 'jwks_file or jwks_url')
  if (introspection !== undefined || login !== undefined || consent !== undefined) return problems
  if (ca_file !== undefined) told('ca_file', 'nothing is fetched where keys are in a file', 'no ca_file')
  if (allow_private_addresses)
    told('allow_private_addresses', 'nothing is fetched where keys are in a file', 'no such key')
  return problems
}

function patternProblems(name: string, { login }: IssuerSection, domain: TrustDomain): readonly IssuerProblem[] {
  return (login?.workloads ?? []).flatMap((text, i) => {
    const keys = ['issuers', name, 'login', 'workloads', i]
    try {
      if (parseSpiffeIdPattern(text).trustDomain === domain) return []
      const message = 'workloads outside the trust domain'
      return [{ keys, message, expected: `spiffe://${domain}/…`, got: text }]
    } catch (error) {
      if (!isDoorwardError(error)) throw error
      return [{ keys, message: error.message, expected: error.expected ?? null, got: error.got ?? null }]
    }
  })
}
