/**
 * Stage 1 at the edge, where callers hold no certificate: a token of a configured issuer, and a proof by the key that the
 * token is bound to (RFC 9449), or the token alone where an operator insists. The body has not been read.
 */

import { dpopProblem, edgeClientId, readDpopProof, toBase64url, toSeconds, userName, utf8 } from '@doorward/core'
import type { Principal } from '@doorward/core'
import { deny } from './denial.ts'
import type { Denial } from './denial.ts'
import type { Identified, IdentifyDependencies } from './identify.ts'
import type { Inbound } from './inbound.ts'
import type { EdgeRules } from './edge-rules.ts'
import type { IssuedToken, TrustView } from './ports.ts'
import { proofGoodUntil, proofUsed } from './proof-use.ts'
import { takeUser } from './user-limit.ts'
import { withdrawal } from './withdrawal.ts'
import type { PresentedToken } from './withdrawal.ts'

/** Whoever holds no certificate is who its token says. */
export async function identifyEdge(inbound: Inbound, dependencies: IdentifyDependencies): Promise<Identified | Denial> {
  const { edge, trust, known, settings } = dependencies
  const view = trust.current()
  if (view === null) return deny('trust_stale', 'no trust state has been received yet')
  if (edge === undefined) return deny('token_missing', 'tokens of other issuers are not accepted here')
  if (inbound.connection.resumed) return deny('session_resumed', 'the TLS session was resumed')
  if (!edge.resources.has(inbound.audience)) return deny('path_unknown', 'nothing is served at this path')
  const shown = shownBy(inbound, edge)
  if ('denied' in shown) return shown
  const issued = await edge.tokens.verify(shown.token, inbound.audience)
  if ('ok' in issued) return deny(issued.code, issued.message)
  const caller = edgeCaller(issued, shown, edge, view)
  if ('denied' in caller) return caller
  const { principal, token, name } = caller
  const problem =
    schemeProblem(issued, shown, principal) ??
    withdrawal({ inbound, principal, token }, view) ??
    (await proofProblem({ inbound, shown, issued, principal }, dependencies, edge)) ??
    null
  if (problem !== null) return problem
  if (trust.ageSeconds() <= settings.staleness.fullSeconds) known.add(name)
  inbound.connection.standing.identified = true
  const scopes = edge.scopesRequired ? { scopes: issued.scopes } : {}
  const entry = { rules: edge, issued: { clientId: issued.clientId, own: issued.own } }
  return { inbound, principal, token, generation: view.generation, edge: entry, ...scopes } as Identified
}

interface Shown {
  readonly scheme: 'bearer' | 'dpop'
  readonly token: string
  /** Null with a bearer token. */
  readonly proof: string | null
}

const AUTHORIZATION = /^(bearer|dpop) +([A-Za-z0-9._~+/-]+=*)$/i

/** What the head shows, before anybody is asked about it. */
function shownBy({ head: { headers } }: Inbound, { bearer }: EdgeRules): Shown | Denial {
  const header = headers['authorization']
  if (header === undefined) return deny('token_missing', 'no Authorization header')
  const [, word = '', token = ''] = AUTHORIZATION.exec(header) ?? []
  if (token === '') return deny('token_missing', 'expected Authorization: DPoP or Bearer, and a token')
  if (word.toLowerCase() === 'bearer') {
    if (bearer) return { scheme: 'bearer', token, proof: null }
    return deny('bearer_refused', 'expected Authorization: DPoP; edge.bearer is off')
  }
  const proof = headers['dpop']
  return proof === undefined ? deny('dpop_invalid', 'no DPoP header') : { scheme: 'dpop', token, proof }
}

/** Whom a token of an issuer makes known, and what can be held against it later on. */
export interface EdgeCaller {
  readonly principal: Principal
  readonly token: PresentedToken
  /** Of the person: `<issuer>#<subject>`. */
  readonly name: string
}

const TOKEN_NAME = 22

/** Whose token it is by these rules; whether anything is held against them, `withdrawal` says. */
export function edgeCaller(
  issued: IssuedToken,
  { scheme }: Pick<Shown, 'scheme'>,
  edge: EdgeRules,
  view: TrustView,
): EdgeCaller | Denial {
  const { user } = issued
  const name = userName(user)
  const client = edge.clientName(issued)
  if (client === null) {
    const caller = { id: name, certificateFingerprint: '', certificateSerial: '' }
    const got = issued.clientId === null ? 'none' : JSON.stringify(issued.clientId.slice(0, 120))
    return deny('client_unlisted', `expected a client of edge.clients, got ${got}`, { caller })
  }
  const presenter = edgeClientId(edge.trustDomain, client)
  // Ids of tokens are unique per issuer only; this one is, and `doorward revoke token` takes it.
  const named = edge.proofs.sha256(utf8(`${user.issuer}\0${issued.id}`))
  const id = toBase64url(named).slice(0, TOKEN_NAME)
  const principal: Principal = {
    subject: user,
    presenter,
    act: [],
    roles: view.roles.get(presenter.uri) ?? [],
    epoch: view.state.epoch,
    strength: scheme === 'dpop' ? 'dpop-bound-token' : 'bearer-token',
    certificateFingerprint: '',
    certificateSerial: '',
    tokenId: id,
    expires: issued.expires,
  }
  const { keyId, epoch } = issued.own ?? { keyId: null, epoch: null }
  return { principal, name, token: { id, keyId, epoch, issuedAt: issued.issuedAt } }
}

/** A token that is bound is never taken without its proof, and a proof proves nothing about one that is not. */
function schemeProblem({ boundTo }: IssuedToken, { scheme }: Shown, caller: Principal): Denial | null {
  if (scheme === 'bearer' && boundTo !== null)
    return deny('token_scheme', 'a token that is bound to a key was presented as a bearer token', { caller })
  if (scheme === 'dpop' && boundTo === null)
    return deny('token_scheme', 'expected a token that is bound to a key (cnf.jkt)', { caller })
  return null
}

interface Proving {
  readonly inbound: Inbound
  readonly shown: Shown
  readonly issued: IssuedToken
  readonly principal: Principal
}

/** The proof, the limit of the person, and last whether the proof is new: what is remembered is bounded by the limits. */
async function proofProblem(
  { inbound, shown, issued, principal: caller }: Proving,
  dependencies: IdentifyDependencies,
  { proofs, publicUrl }: EdgeRules,
): Promise<Denial | null> {
  const name = userName(issued.user)
  const limited = () => takeUser(name, caller, dependencies)
  if (shown.proof === null || issued.boundTo === null) return limited()
  const proof = readDpopProof(shown.proof, proofs)
  if (!proof.ok) return deny('dpop_invalid', proof.message, { caller })
  const now = dependencies.trust.now()
  const wrong = dpopProblem(proof, {
    method: inbound.head.method,
    url: `${publicUrl}${inbound.head.path}`,
    token: shown.token,
    boundTo: issued.boundTo,
    now: toSeconds(now),
    sha256: proofs.sha256,
  })
  if (wrong !== null) return deny('dpop_invalid', wrong, { caller })
  const until = proofGoodUntil(proof, proofs)
  if (typeof until !== 'number') return { ...until, caller }
  return (await limited()) ?? proofUsed(proof, until, proofs, caller)
}
