/**
 * An authority for tests, over real TLS: signs trust state under a recovery root, enrols, renews, mints tokens and streams.
 * It checks what a test of the client needs and decides nothing else.
 */

import { createServer } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import {
  anchorName,
  buildCertificate,
  encodeJoinString,
  epochSeconds,
  fromBase64url,
  jwkThumbprint,
  newSerial,
  p256JwkOfSpki,
  parseSpiffeId,
  readCertificate,
  Secret,
  signDelegation,
  signHeartbeat,
  signTrustAnchors,
  signTrustState,
  spkiOfP256Jwk,
  svidTemplate,
  toBase64,
  toBase64url,
  trustStateDigest,
} from '@doorward/core'
import type {
  P256Jwk,
  PeerCertificate,
  SignedDelegation,
  SignedTrustAnchors,
  SignedTrustState,
  SpiffeId,
  TrustScope,
  TrustState,
} from '@doorward/core'
import { generateP256, importP256, randomBytes, sha256 } from '@doorward/sdk'
import type { P256KeyPair } from '@doorward/sdk'
import { callersState } from '../../../packages/server/src/authority/trust-assembly.ts'
import { newLeaf, now, pemOf, trustAnchorOf, TrustFixture } from '../../fixtures/trust-fixture.ts'
import type { TestAnchor, TestSvid } from '../../fixtures/trust-fixture.ts'
import { FakePlace } from './fake-place.ts'

export interface FakeAuthorityOptions {
  /** Lifetime of the certificates it issues; 3600 by default. */
  readonly ttlSeconds?: number
  /** Presented instead of the authority's own SVID on the enrolment listener. */
  readonly enrolAs?: TestSvid
}

interface Asked {
  readonly place: string
  readonly listener: 'main' | 'enrol'
  readonly method: string
  readonly path: string
  readonly body: string
}

const scopes: readonly TrustScope[] = ['full', 'callers']
const nobody = (await generateP256()).privateKey
const JOIN_TOKEN = 'a-single-use-token-of-32-characters'

export class FakeAuthority {
  readonly fixture: TrustFixture
  readonly asked: Asked[] = []
  readonly acks: unknown[] = []
  ttlSeconds: number
  /** Of the trust state that goes with a certificate at enrolment. */
  scope: TrustScope = 'callers'
  /** Answers every request to the main listener with this status, when set. */
  failWith: number | null = null
  /** Code of the 401 with which the next call under a token is refused, once. */
  refuseOnce: string | null = null
  /** Runs while a call waits for the refusal of `refuseOnce`. */
  beforeRefusal: (() => Promise<void>) | null = null
  /** Join states that were shown, oldest first; null for none. */
  readonly shown: (string | null)[] = []
  /** Breaks the connection instead of sending so many certificates that it has issued. */
  loseAnswers = 0
  /** Refuses the machine key as one that was copied. */
  locked = false
  /** Told to whoever greets, instead of the anchors of now. */
  greeting: Promise<SignedTrustAnchors> | null = null
  /** Key ids of anchors: what they have signed is to be replaced now. */
  readonly recalled = new Set<string>()
  /** Of anchors by key id; the others are of the epoch of now. */
  readonly epochs = new Map<string, number>()
  /** The 401 with which calls of that path under a token are refused. */
  refuseAlways: { readonly path: string; readonly code: string } | null = null
  readonly #root: P256KeyPair
  readonly #stateKey: P256KeyPair
  readonly #delegation: SignedDelegation
  readonly #streams = new Map<ServerResponse, { readonly scope: TrustScope; readonly place: FakePlace }>()
  readonly places: FakePlace[] = []
  readonly #machines = new Map<string, P256Jwk>()
  #anchors: readonly TestAnchor[]
  #current: { readonly sequence: number; readonly signed: Readonly<Record<TrustScope, Signing>> } | null = null
  /** The join token of its join strings has been spent. */
  tokenUsed = false
  #state: string | null = null
  #offered: string | null = null
  #offers = 0
  mainUrl = ''
  enrolAddress = ''

  private constructor(
    fixture: TrustFixture,
    keys: { root: P256KeyPair; state: P256KeyPair; delegation: SignedDelegation },
    ttlSeconds: number,
  ) {
    this.fixture = fixture
    this.#anchors = [fixture.anchor]
    this.#root = keys.root
    this.#stateKey = keys.state
    this.#delegation = keys.delegation
    this.ttlSeconds = ttlSeconds
  }

  static async start(options: FakeAuthorityOptions = {}): Promise<FakeAuthority> {
    const fixture = await TrustFixture.create()
    const root = await generateP256()
    const state = await generateP256()
    const times = { issuedAt: epochSeconds(now() - 60), expiresAt: epochSeconds(now() + 30 * 86_400) }
    const statement = { trustDomain: fixture.trustDomain, version: 1, keys: [state.jwk], ...times }
    const delegation = await signDelegation(statement, root.signKey, root.jwk)
    const authority = new FakeAuthority(fixture, { root, state, delegation }, options.ttlSeconds ?? 3600)
    const { main, enrol } = await authority.addPlace('main', options.enrolAs)
    authority.mainUrl = `https://${main}`
    authority.enrolAddress = enrol
    return authority
  }

  /** Another place, which the trust state names from the next one on once `announce` is called. */
  async addPlace(name: string, enrolAs?: TestSvid): Promise<FakePlace> {
    const own = await this.fixture.issue('doorward/authority')
    const place = new FakePlace(name)
    place.main = `127.0.0.1:${await this.#listen(place, 'main', own)}`
    place.enrol = `127.0.0.1:${await this.#listen(place, 'enrol', enrolAs ?? own)}`
    this.places.push(place)
    return place
  }

  /** The trust state names every place. */
  async announce(): Promise<void> {
    this.fixture.authorities = this.places.map(({ name, main, enrol }) => ({ name, main, enrol }))
    await this.publish()
  }

  get rootFingerprint(): string {
    return jwkThumbprint(this.#root.jwk, sha256)
  }

  joinString(
    overrides: { rootFingerprint?: string; spiffeId?: string; otherAddresses?: readonly string[] } = {},
  ): string {
    return encodeJoinString({
      version: 1,
      trustDomain: this.fixture.trustDomain,
      address: this.enrolAddress,
      ...(overrides.otherAddresses === undefined ? {} : { otherAddresses: overrides.otherAddresses }),
      trustStateFingerprint: this.rootFingerprint,
      rootFingerprint: overrides.rootFingerprint ?? this.rootFingerprint,
      token: new Secret(JOIN_TOKEN),
      spiffeId: overrides.spiffeId ?? `spiffe://${this.fixture.trustDomain}/agent/one`,
    })
  }

  /** The fixture's state, with the anchors that this authority has now. */
  state(): TrustState {
    const { epoch } = this.fixture
    const anchors = this.#anchors.map((anchor) => {
      const { keyId } = anchor
      return trustAnchorOf(anchor, { epoch: this.epochs.get(keyId) ?? epoch, reissue: this.recalled.has(keyId) })
    })
    return { ...this.fixture.state(), anchors }
  }

  /** What callers see of it. */
  callers(): TrustState {
    return callersState(this.state())
  }

  /** Signs with `next` from now on; `kept` are the anchors that stay beside it. */
  async rotate(next: TestAnchor, kept: readonly TestAnchor[]): Promise<void> {
    this.#anchors = [...kept, next]
    const own = await newLeaf(next, this.fixture.id('doorward', 'authority'))
    this.fixture.mirror(own)
    const ca = this.#anchors.map(({ der }) => pemOf(der))
    for (const { servers } of this.places)
      for (const server of servers) server.setSecureContext({ ...own.pem, ca, minVersion: 'TLSv1.3' })
    await this.publish()
  }

  signed(state: TrustState = this.callers()): Promise<SignedTrustState> {
    return signTrustState(state, this.#delegation, { signKey: this.#stateKey.signKey, sha256 })
  }

  signedAnchors(state: TrustState = this.state()): Promise<SignedTrustAnchors> {
    return signTrustAnchors(state, this.#delegation, { signKey: this.#stateKey.signKey, sha256 })
  }

  /** The signed state of the present version: one version has one content, whatever the time. */
  async current(scope: TrustScope = 'callers'): Promise<SignedTrustState> {
    const { sequence } = this.fixture.state()
    if (this.#current?.sequence !== sequence)
      this.#current = { sequence, signed: { callers: this.signed(), full: this.signed(this.state()) } }
    return this.#current.signed[scope]
  }

  /** Applies what has changed and sends it to every follower. */
  async publish(): Promise<void> {
    this.fixture.apply()
    for (const scope of scopes) this.#send(scope, await this.current(scope))
  }

  async heartbeat(): Promise<void> {
    const { trustDomain, sequence } = this.state()
    for (const scope of scopes) {
      const payload = fromBase64url((await this.current(scope)).payload) as Uint8Array
      const digest = trustStateDigest(payload, sha256)
      const statement = { scope, trustDomain, delegation: 1, sequence, digest, time: now() }
      this.#send(scope, await signHeartbeat(statement, this.#stateKey.signKey))
    }
  }

  #send(scope: TrustScope, message: object): void {
    for (const [stream, of] of this.#streams)
      if (of.scope === scope && !of.place.silent) stream.write(`${JSON.stringify(message)}\n`)
  }

  paths(listener: 'main' | 'enrol' = 'main'): string[] {
    return this.asked.filter((one) => one.listener === listener).map(({ method, path }) => `${method} ${path}`)
  }

  async close(): Promise<void> {
    for (const place of this.places) await place.close()
  }

  #listen(place: FakePlace, listener: 'main' | 'enrol', svid: TestSvid): Promise<number> {
    const server = createServer(
      {
        ...svid.pem,
        ca: this.fixture.anchorsPem,
        requestCert: true,
        rejectUnauthorized: listener === 'main',
        minVersion: 'TLSv1.3',
      },
      (request, response) => void this.#serve(place, { listener, request, response }),
    )
    place.servers.push(server)
    return new Promise((resolve) =>
      server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
    )
  }

  async #serve(place: FakePlace, { listener, request, response }: Serving): Promise<void> {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const body = Buffer.concat(parts).toString()
    const path = request.url ?? ''
    this.asked.push({ place: place.name, listener, method: request.method ?? '', path, body })
    if (place.silent) return
    const reply = (status: number, value: unknown, headers: Record<string, string> = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
    }
    if (listener === 'enrol') return this.#enrol(request, body, reply)
    if (place.failWith !== null) {
      const { status, code, retryAfter } = place.failWith
      const headers = { 'Doorward-Code': code, ...(retryAfter === undefined ? {} : { 'Retry-After': retryAfter }) }
      return reply(status, { error: { code, message: 'as the test wants' } }, headers)
    }
    if (this.failWith !== null)
      return reply(this.failWith, { error: { code: 'internal', message: 'as the test wants' } })
    if (path === '/v1/token') return this.#token(request, body, reply)
    const code = this.#refusal(request)
    if (code !== null && path !== '/v1/renew') await this.beforeRefusal?.()
    if (code !== null)
      return reply(
        401,
        { error: { code, message: 'refused' } },
        { 'Doorward-Code': code, 'Doorward-Decision': 'test#7' },
      )
    if (path === '/v1/renew') return this.#renew(request, body, reply)
    if (path === '/v1/trust-state/ack') this.acks.push(JSON.parse(body))
    if (path.startsWith('/v1/trust-state') && request.method === 'GET') return this.#stream(place, path, response)
    reply(200, { path })
  }

  #refusal(request: IncomingMessage): string | null {
    if (this.refuseAlways !== null && request.url === this.refuseAlways.path) return this.refuseAlways.code
    const once = this.refuseOnce
    this.refuseOnce = null
    return once ?? ((request.headers.authorization ?? '').startsWith('Bearer ey') ? null : 'token_missing')
  }

  async #token(request: IncomingMessage, body: string, reply: Reply): Promise<void> {
    const form = new URLSearchParams(body)
    const svid = peerOf(request)
    const token = await this.fixture.token(svid, form.get('resource') ?? '')
    reply(200, { access_token: token, token_type: 'Bearer', expires_in: 300 })
  }

  async #renew(request: IncomingMessage, body: string, reply: Reply): Promise<void> {
    const { public_key, proof, join_state } = JSON.parse(body) as Record<'public_key' | 'proof', string> & {
      join_state?: string
    }
    const spki = fromBase64url(public_key) as Uint8Array
    const key = importP256(p256JwkOfSpki(spki) as P256Jwk)
    const exported = (request.socket as TLSSocket).exportKeyingMaterial(32, 'EXPORTER-doorward-renew', Buffer.alloc(0))
    if (key?.verify(exported, fromBase64url(proof) as Uint8Array) !== true)
      return reply(400, { error: { code: 'request_invalid' } })
    if (!this.#goesOn(join_state)) return refuseLocked(reply)
    const issued = await this.#issue(peerOf(request).id, spki)
    this.#hand(request, () => reply(200, { ...issued, join_state: this.#offered }))
  }

  async #stream(place: FakePlace, path: string, response: ServerResponse): Promise<void> {
    const scope = path.startsWith('/v1/trust-state/full') ? 'full' : 'callers'
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    response.write(`${JSON.stringify(await this.current(scope))}\n`)
    if (!path.includes('follow=true')) return void response.end()
    this.#streams.set(response, { scope, place })
    response.once('close', () => this.#streams.delete(response))
  }

  async #enrol(request: IncomingMessage, body: string, reply: Reply): Promise<void> {
    const message = JSON.parse(body) as {
      hello?: number
      evidence?: { kind: string; token?: string }
      id?: string
      join_state?: string
      machine_key: P256Jwk
      machine_proof: string
    }
    if (message.hello === 1) return reply(200, { trust_anchors: await (this.greeting ?? this.signedAnchors()) })
    const exported = (request.socket as TLSSocket).exportKeyingMaterial(32, 'EXPORTER-doorward-enrol', Buffer.alloc(0))
    const proven =
      importP256(message.machine_key)?.verify(exported, fromBase64url(message.machine_proof) as Uint8Array) === true
    const id =
      message.evidence?.token === JOIN_TOKEN && !this.tokenUsed
        ? `spiffe://${this.fixture.trustDomain}/agent/one`
        : this.#returning(message)
    if (!proven || id === null)
      return reply(
        403,
        { error: { code: 'join_refused', message: 'the join was refused' } },
        { 'Doorward-Code': 'join_refused' },
      )
    const isNew = this.#machines.get(id)?.x !== message.machine_key.x
    if (isNew) {
      this.#state = this.#offered = null
      this.locked = false
    } else if (!this.#goesOn(message.join_state)) return refuseLocked(reply)
    if (message.evidence !== undefined) this.tokenUsed = true
    this.#machines.set(id, message.machine_key)
    this.fixture.register('agent/one', [])
    const spki = spkiOfP256Jwk(p256JwkOfSpki(peerKey(request)) as P256Jwk)
    const issued = await this.#issue(parseSpiffeId(id), spki)
    const trust_state = await this.current(this.scope)
    this.#hand(request, () => {
      const { certificate } = issued
      reply(200, { id, certificate, join_state: this.#offered, trust_state, authority_url: this.mainUrl })
    })
  }

  /** Judges a join state as the real one does. */
  #goesOn(shown: string | undefined): boolean {
    const state = shown ?? null
    this.shown.push(state)
    if (state !== null && state === this.#offered) [this.#state, this.#offered] = [state, null]
    if (state !== this.#state) this.locked = true
    return !this.locked
  }

  /** A join state goes with every certificate. */
  #hand(request: IncomingMessage, answer: () => void): void {
    this.#offered = `${++this.#offers}.${toBase64url(randomBytes(32))}`
    if (this.loseAnswers === 0) return answer()
    this.loseAnswers--
    request.socket.destroy()
  }

  #returning({ id, machine_key }: { id?: string; machine_key: P256Jwk }): string | null {
    return id !== undefined && this.#machines.get(id)?.x === machine_key.x ? id : null
  }

  async #issue(id: SpiffeId, publicKey: Uint8Array): Promise<{ certificate: string; not_after: number }> {
    const { trustDomain } = this.fixture
    const anchor = this.#anchors.at(-1) ?? this.fixture.anchor
    const notAfter = epochSeconds(now() + this.ttlSeconds)
    const template = svidTemplate({
      spiffeId: id,
      issuer: { name: anchorName(trustDomain, anchor.keyId), keyId: anchor.keyId },
      publicKey,
      serial: newSerial(randomBytes),
      notBefore: epochSeconds(now() - 60),
      notAfter,
    })
    const der = await buildCertificate(template, anchor.keyPair.signKey)
    const certificate = readCertificate(der, { sha256 })
    if ('problem' in certificate) throw new TypeError(certificate.problem)
    this.fixture.mirror(without(certificate, id))
    await this.publish()
    return { certificate: toBase64(der), not_after: notAfter }
  }
}

interface Serving {
  readonly listener: 'main' | 'enrol'
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

type Signing = Promise<SignedTrustState>
type Reply = (status: number, value: unknown, headers?: Record<string, string>) => void

function refuseLocked(reply: Reply): void {
  reply(403, { error: { code: 'instance_locked', message: 'locked' } }, { 'Doorward-Code': 'instance_locked' })
}

/** A peer as the fixture knows its own, except for the private key, which nobody here has. */
function without(certificate: PeerCertificate, id: SpiffeId): TestSvid {
  return { id, chain: [certificate.der], certificate, privateKey: nobody, pem: { key: '', cert: '' } }
}

function peerOf(request: IncomingMessage): TestSvid {
  const raw = (request.socket as TLSSocket).getPeerX509Certificate()?.raw
  const certificate = readCertificate(new Uint8Array(raw as Buffer), { sha256 })
  if ('problem' in certificate || certificate.spiffeId === null) throw new TypeError('no peer certificate')
  return without(certificate, certificate.spiffeId)
}

function peerKey(request: IncomingMessage): Uint8Array {
  const raw = (request.socket as TLSSocket).getPeerX509Certificate()?.raw
  const certificate = readCertificate(new Uint8Array(raw as Buffer), { sha256 })
  if ('problem' in certificate) throw new TypeError('no peer certificate')
  return certificate.publicKeySpki
}
