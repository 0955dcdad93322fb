/** An authority in the process of a test: it signs certificates and tokens as a real one does, and applies what a test says as the next trust state. */

import {
  anchorName,
  anchorTemplate,
  buildCertificate,
  chainClaim,
  DoorwardError,
  epochClaim,
  epochSeconds,
  keyIdOf,
  mintToken,
  newSerial,
  parseSpiffeId,
  parseTrustDomain,
  Secret,
  svidTemplate,
  toBase64url,
  toSeconds,
} from '@doorward/core'
import type { AccessTokenClaims, Issued, RegisteredWorkload, SpiffeId, TrustDomain, TrustState } from '@doorward/core'
import { TrustHolder } from '@doorward/enforcement'
import { aesGcmSealer } from '../aes-gcm-sealer.ts'
import type { ConnectedIdentity } from '../connect.ts'
import { ConnectionPool } from '../connection-pool.ts'
import { CredentialSource } from '../credential-source.ts'
import type { Identity, IdentityMaterial } from '../identity.ts'
import { identityFetch } from '../identity-fetch.ts'
import type { Peers } from '../identity-fetch.ts'
import { randomBytes, sha256 } from '../platform/hash.ts'
import { generateP256, importP256 } from '../platform/p256.ts'
import type { P256KeyPair } from '../platform/p256.ts'
import { systemRuntime } from '../runtime.ts'
import { serverProblem } from '../server-identity.ts'
import { signedFetch } from '../signed-fetch.ts'
import { svidOf } from '../svid.ts'
import type { Svid } from '../svid.ts'
import type { TokenOptions, TokenRequest } from '../token-source.ts'
import { TrustMemory } from '../trust-memory.ts'

export interface TestAuthorityOptions {
  /** Ends in `.test`, which no deployment has (RFC 6761 §6.2); `acme.test` by default. */
  readonly trustDomain?: string
}

export interface TestWorkload {
  /** Those of its registration; none by default. */
  readonly roles?: readonly string[]
  /** Who answers where; each call says whom it expects by default. */
  readonly peers?: Peers
}

/** What `protect` takes, and what calls: everything of a connected identity that a program usually touches. */
export interface TestIdentity
  extends AsyncDisposable, Pick<ConnectedIdentity, 'id' | 'trustDomain' | 'sealer' | 'fetch' | 'token' | 'close'> {
  readonly identity: Pick<Identity, 'trust' | 'authorityUrl' | 'material' | 'onMaterial'>
}

export interface TestAuthority {
  readonly trustDomain: TrustDomain
  /** An identity with a certificate, `agent/planner` by path. Throws `spiffe_id_invalid`. */
  identity(path: string, workload?: TestWorkload): Promise<TestIdentity>
  /** Gives the workload these roles instead of its own; whoever follows knows it when this returns. */
  setRoles(path: string, roles: readonly string[]): void
  /** Removes the workload, as an operator does. */
  revoke(path: string): void
}

const HOUR = 3600
const WEEK = 7 * 86_400
const TOKEN_SECONDS = 300
const BACKDATED = 60
const KEY_NAME = 'test-token-key'

/** Makes keys, and an anchor over one of them. Nothing is listened to, written or remembered. Throws `test_trust_domain`. */
export async function testAuthority({ trustDomain = 'acme.test' }: TestAuthorityOptions = {}): Promise<TestAuthority> {
  if (!trustDomain.endsWith('.test'))
    throw new DoorwardError('test_trust_domain', 'tests have a trust domain that no deployment has', {
      got: trustDomain,
      expected: 'a name that ends in .test',
    })
  const [anchorKey, tokenKey] = await Promise.all([generateP256(), generateP256()])
  const domain = parseTrustDomain(trustDomain)
  const state = new TestState(domain, { anchorKey, tokenKey, anchor: await anchorOf(domain, anchorKey) })
  return {
    trustDomain: domain,
    identity: (path, workload = {}) => identityOf(state, path, workload),
    setRoles: (path, roles) => state.register(state.idOf(path), roles),
    revoke: (path) => state.remove(state.idOf(path)),
  }
}

const now = () => toSeconds(systemRuntime.wall())

function anchorOf(trustDomain: TrustDomain, key: P256KeyPair): Promise<Uint8Array> {
  const template = anchorTemplate({
    trustDomain,
    keyId: keyIdOf(key.jwk, sha256),
    publicKey: key.spki,
    serial: newSerial(randomBytes),
    notBefore: epochSeconds(now() - BACKDATED),
    notAfter: epochSeconds(now() + WEEK),
  })
  return buildCertificate(template, key.signKey)
}

interface TestKeys {
  readonly anchorKey: P256KeyPair
  readonly tokenKey: P256KeyPair
  readonly anchor: Uint8Array
}

/** What is trusted now. All identities of a test share one holder: what a test says everybody knows at once. */
class TestState {
  readonly trustDomain: TrustDomain
  readonly keys: TestKeys
  readonly anchorId: string
  readonly url: string
  readonly holder = new TrustHolder({
    sha256,
    importP256,
    monotonic: systemRuntime.monotonic,
    wall: systemRuntime.wall,
  })
  /** Of the tokens that it has given, by their text. */
  readonly given = new Map<string, AccessTokenClaims>()
  readonly #workloads = new Map<string, RegisteredWorkload>()
  readonly #issued: Issued[] = []
  readonly #serials = new Map<string, string>()
  #sequence = 0

  constructor(trustDomain: TrustDomain, keys: TestKeys) {
    this.trustDomain = trustDomain
    this.keys = keys
    this.anchorId = keyIdOf(keys.anchorKey.jwk, sha256)
    this.url = `https://authority.${trustDomain}`
    this.apply()
  }

  idOf(path: string): SpiffeId {
    return parseSpiffeId(`spiffe://${this.trustDomain}/${path}`)
  }

  register({ uri }: SpiffeId, roles: readonly string[]): void {
    this.#workloads.set(uri, { id: uri, roles })
    this.apply()
  }

  remove({ uri }: SpiffeId): void {
    this.#workloads.delete(uri)
    this.apply()
  }

  serialOf(fingerprint: string): string {
    return this.#serials.get(fingerprint) ?? ''
  }

  issue({ id, certificate: { fingerprint, notAfter, serial } }: Svid): void {
    this.#serials.set(fingerprint, serial)
    this.#issued.push({ fingerprint, id: id.uri, notAfter })
    this.apply()
  }

  apply(): void {
    this.#sequence++
    this.holder.apply(this.#state(), now())
  }

  /** Nothing gets old in a test that lasts longer than a trust state is good for. */
  confirm(): void {
    if (this.holder.ageSeconds() > 1) this.apply()
  }

  #state(): TrustState {
    const { anchor, tokenKey } = this.keys
    return {
      scope: 'full',
      trustDomain: this.trustDomain,
      delegation: 1,
      sequence: this.#sequence,
      issuedAt: now(),
      expiresAt: epochSeconds(now() + HOUR),
      epoch: 1,
      authorities: [],
      anchors: [{ keyId: this.anchorId, state: 'active', certificate: anchor, epoch: 1, reissue: false }],
      tokenKeys: [{ kid: KEY_NAME, state: 'active', jwk: tokenKey.jwk }],
      jwtSvidKeys: [],
      workloads: [...this.#workloads.values()],
      issued: [...this.#issued],
      denied: { identities: [], serials: [], tokens: [], authorities: [] },
    }
  }
}

async function svidFor(state: TestState, id: SpiffeId): Promise<Svid> {
  const key = await generateP256()
  const template = svidTemplate({
    spiffeId: id,
    issuer: { name: anchorName(state.trustDomain, state.anchorId), keyId: state.anchorId },
    publicKey: key.spki,
    serial: newSerial(randomBytes),
    notBefore: epochSeconds(now() - BACKDATED),
    notAfter: epochSeconds(now() + HOUR),
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
  })
  return svidOf([await buildCertificate(template, state.keys.anchorKey.signKey)], key.privateKey, state.trustDomain)
}

async function identityOf(
  state: TestState,
  path: string,
  { roles = [], peers = {} }: TestWorkload,
): Promise<TestIdentity> {
  const id = state.idOf(path)
  const svid = await svidFor(state, id)
  state.register(id, roles)
  state.issue(svid)
  const { trustDomain, holder } = state
  const material = (): IdentityMaterial => ({ ...svid, anchors: [state.keys.anchor] })
  const pool = poolOf(state)
  const confirming = setInterval(() => state.confirm(), 1000).unref()
  const tokens = { token: (request: TokenRequest) => tokenFor(state, request), forget: () => undefined }
  const signed = signedFetch({ pool, tokens, credentials: new CredentialSource(svid), freshen: async () => undefined })
  const authority = { url: state.url, id: state.idOf('doorward/authority') }
  const close = async () => {
    clearInterval(confirming)
    pool.close()
  }
  return {
    id,
    trustDomain,
    sealer: aesGcmSealer(new Secret(randomBytes(32)), randomBytes),
    fetch: identityFetch({ signed, peers, authority }),
    token: (audience, options) => tokenFor(state, { ...options, svid, audience }),
    identity: { trust: holder, authorityUrl: state.url, material, onMaterial: (listener) => holder.onApply(listener) },
    close,
    [Symbol.asyncDispose]: close,
  }
}

function poolOf({ holder, keys }: TestState): ConnectionPool {
  const { chains } = TrustMemory.ofOne()
  return new ConnectionPool(
    {
      anchors: () => [keys.anchor],
      judge: async (server, { expected }) => {
        const trust = holder.current()
        if (trust === null) return { code: 'trust_state_missing', message: 'there is no trust state' }
        return serverProblem(server, { expected, trust, now: now(), importP256, mirror: 'require', chains })
      },
    },
    systemRuntime.wall,
  )
}

/** As the token endpoint gives them, for itself or for whoever has called; it asks nobody whether it may. */
async function tokenFor(state: TestState, { svid, audience, ...options }: TokenRequest): Promise<Secret> {
  const iat = now()
  const claims: AccessTokenClaims = {
    iss: state.url,
    sub: svid.id.uri,
    aud: audience,
    iat,
    nbf: iat,
    exp: epochSeconds(iat + TOKEN_SECONDS),
    jti: toBase64url(randomBytes(16)),
    client_id: svid.id.uri,
    cnf: { 'x5t#S256': svid.fingerprint },
    [epochClaim]: 1,
    ...delegationOf(state, svid, options),
  }
  const token = await mintToken(claims, { kid: KEY_NAME, signKey: state.keys.tokenKey.signKey })
  state.given.set(token, claims)
  return new Secret(token)
}

function delegationOf(state: TestState, { id }: Svid, options: TokenOptions): Partial<AccessTokenClaims> {
  const { onBehalfOf, scope, mayAct } = options
  if (mayAct !== undefined)
    throw new DoorwardError('test_unsupported', 'who may act further is not decided here', { got: 'mayAct' })
  const narrowed = scope === undefined ? {} : { scope: scope.join(' ') }
  if (onBehalfOf === undefined) return narrowed
  const shown = state.given.get(onBehalfOf.reveal())
  if (shown === undefined)
    throw new DoorwardError('test_unsupported', 'a token of another authority is not exchanged here')
  const serial = state.serialOf(shown.cnf['x5t#S256'])
  const link = { jti: shown.jti, iat: shown.iat, kid: KEY_NAME, serial, anchor: state.anchorId }
  return {
    ...(shown.scope === undefined ? {} : { scope: shown.scope }),
    ...narrowed,
    sub: shown.sub,
    act: { sub: id.uri, ...(shown.act === undefined ? {} : { act: shown.act }) },
    [chainClaim]: [link, ...(shown[chainClaim] ?? [])],
  }
}
