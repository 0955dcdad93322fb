/**
 * A caller in front of the stages, without sockets: real certificates and tokens, and trust, time and limits as the test
 * says. Its clock stands at 2027-01-15T08:00:00Z until a test moves it.
 */

import { epochClaim, epochMillis, epochSeconds, mintToken, toMillis } from '@doorward/core'
import type { AccessTokenClaims, Denials, EpochMillis, PeerCertificate, SpiffeId, TrustState } from '@doorward/core'
import { CertificateStanding, KnownIdentities, trustViewOf } from '@doorward/enforcement'
import type { Connection, IdentifyDependencies, Inbound, RateLimiter, TrustSource } from '@doorward/enforcement'
import type { Take, TakeResult, TrustView } from '@doorward/enforcement'
import { generateP256, importP256, sha256 } from '@doorward/sdk'
import { countedKeys } from '../../fixtures/counted-keys.ts'
import { trustAnchorOf } from '../../fixtures/trust-fixture.ts'
import { issue, makeAuthority, now, trustDomain } from '../core/identity-fixture.ts'

export { after, now } from '../core/identity-fixture.ts'

export const audience = 'https://gateway.example.org/mcp/files'
export const authority = await makeAuthority()
/** From a minute ago until in an hour. */
export const leaf = await issue(authority)
export const id = leaf.spiffeId as SpiffeId
/** What is known of a caller whose certificate is verified. */
export const partial = {
  id: id.uri,
  certificateFingerprint: leaf.fingerprint,
  certificateSerial: leaf.serial,
}

const tokenKey = await generateP256()
const issuer = 'https://authority.example.org'
const kid = 'token-1'
/** Of all views; counts what is verified with them. */
export const keys = countedKeys()
const first = trustViewOf(stateOf(), 1, { sha256, importP256: keys.importP256 })

export function denials(change: Partial<Denials>): Pick<TrustState, 'denied'> {
  return { denied: { identities: [], serials: [], tokens: [], authorities: [], ...change } }
}

/** A state in which the caller is registered with the role `reader`, and its certificate mirrored. */
export function stateOf(change: Partial<TrustState> = {}): TrustState {
  const { key: keyPair, issuer: anchor, certificate } = authority
  return {
    scope: 'full',
    trustDomain,
    delegation: 1,
    sequence: 1,
    issuedAt: now,
    expiresAt: epochSeconds(now + 3600),
    epoch: 7,
    authorities: [],
    anchors: [trustAnchorOf({ keyPair, keyId: anchor.keyId, der: certificate.der }, { epoch: 7 })],
    tokenKeys: [{ kid, state: 'active', jwk: tokenKey.jwk }],
    jwtSvidKeys: [],
    workloads: [{ id: id.uri, roles: ['reader'] }],
    issued: [{ fingerprint: leaf.fingerprint, id: id.uri, notAfter: leaf.notAfter }],
    ...denials({}),
    ...change,
  }
}

/** A view of the same keys as all the others, unless `keyGeneration` says so. */
export function viewOf(change: Partial<TrustState> = {}, generation = 1, keyGeneration = 1): TrustView {
  return trustViewOf(stateOf(change), generation, {
    sha256,
    importP256: keys.importP256,
    keyGeneration,
    previous: first,
  })
}

/** A token of this second for `audience`, bound to `leaf`. */
export function tokenOf(change: Partial<AccessTokenClaims> = {}, key = tokenKey): Promise<string> {
  const iat = change.iat ?? now
  const claims: AccessTokenClaims = {
    iss: issuer,
    sub: id.uri,
    aud: audience,
    iat,
    nbf: iat,
    exp: epochSeconds(iat + 300),
    jti: 'token-id',
    client_id: id.uri,
    cnf: { 'x5t#S256': leaf.fingerprint },
    [epochClaim]: 7,
    ...change,
  }
  return mintToken(claims, { kid, signKey: key.signKey })
}

export interface FakeTrust extends TrustSource {
  view: TrustView | null
  age: number
  time: EpochMillis
  /** What comes while somebody waits, one by one, and how much later; nothing more when it is empty. */
  readonly coming: { readonly milliseconds: number; readonly view: TrustView | null }[]
  /** How long somebody wanted to wait, in milliseconds. */
  readonly waits: number[]
}

function fakeTrust(): FakeTrust {
  const trust: FakeTrust = {
    view: viewOf(),
    age: 0,
    time: toMillis(now),
    coming: [],
    waits: [],
    current: () => trust.view,
    ageSeconds: () => trust.age,
    now: () => trust.time,
    next: async (milliseconds) => {
      trust.waits.push(milliseconds)
      const next = trust.coming.shift() ?? { milliseconds, view: trust.view }
      trust.time = epochMillis(trust.time + next.milliseconds)
      trust.view = next.view
      return next.view
    },
  }
  return trust
}

export interface FakeLimiter extends RateLimiter {
  readonly taken: (readonly Take[])[]
  /** What it says to each; an error is thrown. */
  answer: (takes: readonly Take[]) => TakeResult | Error
}

function fakeLimiter(): FakeLimiter {
  const limiter: FakeLimiter = {
    taken: [],
    answer: () => ({ ok: true }),
    take: async (takes) => {
      limiter.taken.push(takes)
      const answer = limiter.answer(takes)
      if (answer instanceof Error) throw answer
      return answer
    },
    charge: async () => false,
  }
  return limiter
}

/** Remembers who was added, also again. */
export class WatchedIdentities extends KnownIdentities {
  readonly added: string[] = []

  override add(caller: string): void {
    this.added.push(caller)
    super.add(caller)
  }
}

export interface Stage {
  readonly trust: FakeTrust
  readonly limiter: FakeLimiter
  readonly known: WatchedIdentities
  readonly dependencies: IdentifyDependencies
}

/** Trust as in `stateOf`, just confirmed; nobody is limited and nobody known. */
export function newStage(): Stage {
  const [trust, limiter, known] = [fakeTrust(), fakeLimiter(), new WatchedIdentities()]
  const settings = {
    issuer,
    staleness: { fullSeconds: 60, reducedSeconds: 300 },
    perUser: { count: 65, periodSeconds: 30 },
    mirrorWaitMilliseconds: 1000,
  }
  return { trust, limiter, known, dependencies: { trust, limiter, importP256, known, settings } }
}

/** A connection with `leaf`. */
export function connectionOf(certificate: PeerCertificate | null = leaf, over: Partial<Connection> = {}): Connection {
  return {
    id: 1,
    remoteAddress: '192.0.2.1',
    listener: 'main',
    certificate,
    resumed: false,
    standing: new CertificateStanding(),
    ...over,
  }
}

/** A request on the connection with that `Authorization` header; none for null. */
export function inboundOf(authorization: string | null, connection = connectionOf()): Inbound {
  const headers = authorization === null ? {} : { authorization }
  return { connection, head: { method: 'POST', path: '/mcp/files', query: '', headers }, audience }
}
