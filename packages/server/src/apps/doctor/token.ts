/** Why a token is refused: every check that a listener makes, in its order, up to the first one that fails. */

import { readIssuerToken, signedClaims, toSeconds, userName, verifySubjectToken } from '@doorward/core'
import type { AccessTokenClaims, EpochMillis, Secret } from '@doorward/core'
import { certificateWithdrawal, deny, edgeCaller, tokenWithdrawal, withdrawal } from '@doorward/enforcement'
import type { Denial, EdgeCaller, EdgeRules, IssuedToken, IssuedTokenRefusal, TrustView } from '@doorward/enforcement'
import type { Identity, Svid } from '@doorward/sdk'
import { edgeSettings } from '../../config/edge-settings.ts'
import { allowedAudiences, issuerSettings } from '../../config/settings.ts'
import type { Deployment } from '../../config/settings.ts'
import { openEdgeRules } from '../gateway-edge.ts'
import { relativeTime } from '../relative-time.ts'
import { failure, fine, warning } from './finding.ts'
import type { Finding } from './finding.ts'

export interface TokenQuestion {
  readonly token: Secret
  readonly deployment: Deployment
  readonly identity: TokenReader
}

/** Who looks: by its trust state, with its own certificate. */
export type TokenReader = Pick<Identity, 'id' | 'trust' | 'trustDomain' | 'authorityUrl'> & {
  readonly credentials: { readonly peek: () => Pick<Svid, 'certificate'> | null }
}

interface Seen {
  readonly view: TrustView
  readonly now: EpochMillis
}

/** The token is in no finding; of one that nobody here has signed nothing is told but what it claims to be. */
export async function tokenFindings(question: TokenQuestion): Promise<readonly Finding[]> {
  const { token, identity } = question
  const current = identity.trust.current()
  if (current === null)
    return [
      {
        check: 'token',
        verdict: 'unknown',
        message: 'there is no current trust state',
        next: 'check that the authority runs',
      },
    ]
  const view = asTold(current)
  const text = token.reveal()
  const foreign = readIssuerToken(text)
  const isForeign = !('ok' in foreign) && foreign.claimedIssuer !== identity.authorityUrl
  if (isForeign) return edgeFindings(text, foreign.claimedIssuer, question, view)
  return ownFindings(text, view, question)
}

/** A state for those who only call names no workload: that one is not named there is nothing against it. */
function asTold(view: TrustView): TrustView {
  return view.state.scope === 'full' ? view : { ...view, roles: new AnyName() }
}

class AnyName extends Map<string, readonly string[]> {
  override has(): boolean {
    return true
  }
}

function ownFindings(text: string, view: TrustView, { deployment, identity }: TokenQuestion): readonly Finding[] {
  const now = toSeconds(identity.trust.now())
  const expect = { issuer: identity.authorityUrl, trustDomain: identity.trustDomain, epoch: view.state.epoch }
  const verdict = verifySubjectToken(text, { expect, keys: view.tokenKeys, now })
  const signed = signedClaims(text, view.tokenKeys)
  if (!verdict.ok) return [refusedFinding(verdict.code, verdict.message, signed?.claims ?? null, now)]
  const { claims } = verdict
  return [
    fine('token_signature', `signed by the key ${verdict.keyId} of ${identity.trustDomain}`),
    fine('token_times', `ends ${relativeTime(claims.exp - now)}`),
    audienceFinding(claims, deployment),
    bindingFinding(claims, view, identity),
    deniedFinding(claims, view, identity),
  ]
}

const remedies: Readonly<Record<string, string>> = {
  token_expired: 'get a new one: tokens live for five minutes, and a program asks again by itself',
  token_not_yet_valid: 'set the clocks of this machine and of the authority right',
  token_key_unknown: 'it was signed by a key that is not trusted any more, or by another trust domain: get a new one',
  token_signature: 'it was changed on the way, or cut off: get a new one',
  token_issuer: 'it is of another deployment: see authority.public_url',
  token_epoch: 'it is from before a recovery: get a new one',
  token_type: 'that is another kind of token: callers show the access token, never an ID token or a JWT-SVID',
  token_malformed: 'that is no token: give the text between "Bearer " and the line end, and nothing else',
}

function refusedFinding(code: string, message: string, claims: AccessTokenClaims | null, now: number): Finding {
  const times =
    claims === null ? '' : `; issued ${relativeTime(claims.iat - now)}, ends ${relativeTime(claims.exp - now)}`
  const next = remedies[code] ?? 'get a new one: doorward token mint'
  return failure('token', { where: code, message: `${message}${times}`, next })
}

function audienceFinding({ aud }: AccessTokenClaims, deployment: Deployment): Finding {
  const known = [...allowedAudiences(deployment)]
  if (known.includes(aud)) return fine('token_audience', `for ${aud}, and for nobody else`)
  return failure('token_audience', {
    message: 'nobody in this configuration is called that',
    expected: known.slice(0, 10).join(', '),
    got: aud,
    next: 'ask for a token for the exact audience; for a workload of its own, this is its --audience',
  })
}

function bindingFinding(claims: AccessTokenClaims, view: TrustView, identity: TokenReader): Finding {
  const fingerprint = claims.cnf['x5t#S256']
  const own = identity.credentials.peek()?.certificate.fingerprint
  const holder = view.issued.get(fingerprint)?.id
  if (own === fingerprint) return fine('token_binding', `bound to the certificate of ${identity.id.uri} that is in use`)
  if (holder !== undefined)
    return warning('token_binding', {
      message: `it works on connections of ${holder} alone, with the certificate ${fingerprint}`,
      next: 'a connection that shows another certificate is refused with token_binding: open a new one after renewal',
    })
  if (view.state.scope !== 'full')
    return {
      check: 'token_binding',
      verdict: 'unknown',
      message: `bound to the certificate ${fingerprint}; which ones of workloads are in force this identity is not told`,
      next: 'ask on the machine of a gateway, or as the holder of the certificate',
    }
  return failure('token_binding', {
    message: 'the certificate that it is bound to is not among those in force',
    got: fingerprint,
    next: 'the certificate was replaced or revoked: get a token with the current one',
  })
}

/** As a listener judges it, of whoever shows it with the certificate that it is bound to. */
function deniedFinding(claims: AccessTokenClaims, view: TrustView, identity: TokenReader): Finding {
  const denial = presenterWithdrawal(claims, view, identity) ?? tokenWithdrawal(claims, view)
  const registered = view.state.scope === 'full' ? '' : '; whether all of them are registered this identity is not told'
  if (denial === null)
    return fine('token_denied', `neither it, nor a holder, nor what it was made from is revoked${registered}`)
  return withdrawnFinding(denial)
}

/** Of a certificate that is not ours the trust state has no serial; it was made before the token was. */
function presenterWithdrawal({ client_id: id, cnf, iat }: AccessTokenClaims, view: TrustView, reader: TokenReader) {
  const own = reader.credentials.peek()?.certificate
  if (own !== undefined && own.fingerprint === cnf['x5t#S256']) return certificateWithdrawal(own, id, view)
  const issuedBefore = view.deniedIdentities.get(id)
  if (issuedBefore !== undefined && iat < issuedBefore)
    return deny('identity_denied', `what ${id} was given before ${issuedBefore} is denied`)
  return view.roles.has(id) ? null : deny('identity_unregistered', `${id} is not registered any more`)
}

function withdrawnFinding({ code, explanation }: Denial): Finding {
  return failure('token_denied', {
    where: code,
    message: explanation,
    next: 'who did it and why: doorward audit query --action revoke',
  })
}

/** As the edge judges it, short of the proof: who shows the token is not here. */
async function edgeFindings(
  text: string,
  issuer: string,
  { deployment, identity }: TokenQuestion,
  view: TrustView,
): Promise<readonly Finding[]> {
  const edge = edgeSettings(deployment)
  if (edge === null) {
    const next = 'callers with a certificate show tokens of the authority; for others configure edge:'
    return [
      failure('token_issuer', {
        message: 'tokens of issuers are accepted at the edge alone, and there is none',
        got: issuer.slice(0, 200),
        next,
      }),
    ]
  }
  const rules = await openEdgeRules({
    edge,
    issuers: issuerSettings(deployment),
    trustDomain: identity.trustDomain,
    trust: identity.trust,
  })
  if (!rules.issuers.has(issuer) && edge.front?.publicUrl !== issuer)
    return [unknownIssuer(issuer, [...rules.issuers.keys(), ...(edge.front === null ? [] : [edge.front.publicUrl])])]
  const answers: IssuedTokenRefusal[] = []
  for (const resource of rules.resources) {
    const answer = await rules.tokens.verify(text, resource)
    if (!('ok' in answer)) return acceptedFindings(answer, resource, rules, { view, now: identity.trust.now() })
    answers.push(answer)
  }
  const { code = 'token_audience', message = 'no server is reached at the edge' } = answers[0] ?? {}
  const expected = `a token for ${[...rules.resources].slice(0, 10).join(' or ')}`
  const next = 'docs/edge.md says what a provider has to put into its tokens'
  return [failure('token', { where: code, message, expected, next })]
}

function unknownIssuer(issuer: string, known: readonly string[]): Finding {
  return failure('token_issuer', {
    message: 'tokens of this issuer are not accepted here',
    expected: known.length === 0 ? 'nobody else’s than the authority’s' : known.join(', '),
    got: issuer.slice(0, 200),
    next: 'the texts must be equal to the last character, a final slash counts; see edge.issuers and issuers: in the configuration',
  })
}

function acceptedFindings(issued: IssuedToken, resource: string, rules: EdgeRules, seen: Seen): readonly Finding[] {
  const left = issued.expires - toSeconds(seen.now)
  const whose = fine('token', `of ${userName(issued.user)}, for ${resource}; ends ${relativeTime(left)}`)
  const caller = edgeCaller(issued, { scheme: issued.boundTo === null ? 'bearer' : 'dpop' }, rules, seen.view)
  const client = issued.clientId ?? 'none'
  if ('denied' in caller)
    return [
      whose,
      failure(caller.code, { message: 'its client is not let in', got: client, next: 'list it under edge.clients' }),
    ]
  return [
    whose,
    fine('token_client', `given to ${client}, here ${caller.principal.presenter.uri}`),
    issued.boundTo === null && !rules.bearer
      ? failure('bearer_refused', {
          message: 'it is bound to no key, and edge.bearer is off',
          next: 'have the host make proofs (RFC 9449), so that the provider binds its tokens',
        })
      : fine('token_binding', issued.boundTo === null ? 'bound to no key' : `bound to the key ${issued.boundTo}`),
    edgeDenied(caller, seen.view),
  ]
}

/** What the edge holds against token, person and client. */
function edgeDenied(caller: EdgeCaller, view: TrustView): Finding {
  const denial = withdrawal({ inbound: { connection: { certificate: null } }, ...caller }, view)
  return denial === null
    ? fine('token_denied', 'neither token, person nor client is revoked')
    : withdrawnFinding(denial)
}
