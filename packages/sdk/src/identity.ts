/** One workload's identity, put together: certificate, trust, tokens and calls. */

import type { KeyObject } from 'node:crypto'
import { DoorwardError, toSeconds, workloadId } from '@doorward/core'
import type { EpochSeconds, Secret, SpiffeId, TrustDomain } from '@doorward/core'
import { TrustHolder } from '@doorward/enforcement'
import { authorityCalls, tokenEndpoint, usable } from './authority-calls.ts'
import type { AuthorityCallOptions, AuthorityCalls } from './authority-calls.ts'
import { AuthorityRoute } from './authority-route.ts'
import { SkewWatch, timeHeader } from './authority-time.ts'
import { ConnectionPool } from './connection-pool.ts'
import type { PoolTrust, Target } from './connection-pool.ts'
import { CredentialSource } from './credential-source.ts'
import { openEnrolment } from './enrolment.ts'
import type { PersonSource } from './login.ts'
import { IdentityFolder } from './identity-folder.ts'
import type { IdentityDescription } from './identity-folder.ts'
import { fetchJwtSvid } from './jwt-svid.ts'
import { sha256 } from './platform/hash.ts'
import { generateP256 } from './platform/p256.ts'
import { systemProcesses } from './process-identity.ts'
import type { ProcessProbe } from './process-identity.ts'
import { fetchReceipt } from './receipt.ts'
import type { Receipt, ReceiptOptions } from './receipt.ts'
import { Renewal } from './renewal.ts'
import { systemRuntime } from './runtime.ts'
import type { Runtime } from './runtime.ts'
import type { Sealer } from './sealer.ts'
import type { ServerTrust } from './server-identity.ts'
import { isOutdated, serverJudge, trustFor } from './server-judge.ts'
import { TrustMemory } from './trust-memory.ts'
import { signedFetch } from './signed-fetch.ts'
import type { SignedFetch } from './signed-fetch.ts'
import type { CallResponse } from './https-exchange.ts'
import { TokenSource } from './token-source.ts'
import type { TokenOptions } from './token-source.ts'
import { TrustClient } from './trust-client.ts'
import { TrustStore } from './trust-store.ts'

export interface OpenIdentityOptions {
  readonly folder: string
  readonly sealer: Sealer
  readonly runtime?: Runtime
  readonly processes?: ProcessProbe
  /** One for all identities of this process that follow the same trust domain; its own by default. Made with `TrustMemory.ofMany`. */
  readonly memory?: TrustMemory
  /** On whose behalf it calls servers; by default for itself. */
  readonly person?: PersonSource
  /** Hears of failures that were survived: renewals to be tried again, streams that broke. */
  readonly onProblem?: (error: unknown) => void
}

/** What a TLS listener of this workload presents and trusts. */
export interface IdentityMaterial {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
  readonly privateKey: KeyObject
  /** DER. */
  readonly anchors: readonly Uint8Array[]
}

export interface Identity extends SignedFetch {
  /** On whose behalf it calls servers; null for itself. */
  readonly person: PersonSource | null
  readonly id: SpiffeId
  readonly trustDomain: TrustDomain
  readonly authorityId: SpiffeId
  readonly authorityUrl: string
  /** RFC 7638 thumbprint of the recovery root that was pinned when the workload joined, base64url. */
  readonly rootFingerprint: string
  readonly credentials: CredentialSource
  /** Fed by the live stream only: stays empty until `run` or `prepare` has heard from the authority. */
  readonly trust: TrustHolder
  /** The newest state, remembered ones included. */
  readonly trustStore: TrustStore
  /** Calls a path of the authorities' main API, at whichever of them answers; what is called may happen twice. Throws as `SignedFetch.call`, and refusals from 500 on. */
  callAuthority(path: string, options?: AuthorityCallOptions): Promise<CallResponse>
  /** The gateway's proof that a call of ours stands in its record, checked. Throws as `fetchReceipt`. */
  receipt(options: ReceiptOptions): Promise<Receipt>
  /** A token for the audience, bound to the current SVID. Throws as `TokenSource.token`. */
  token(audience: string, options?: TokenOptions): Promise<Secret>
  /** A JWT-SVID for somebody who is no server of ours. Throws as `fetchJwtSvid`. */
  jwtSvid(audience: string, signal?: AbortSignal): Promise<Secret>
  /**
   * Makes the identity usable now: returns by the machine key when its certificate has lapsed, fetches the trust state, renews
   * if due. What fails but is not needed yet goes to `onProblem`. Throws when no usable certificate can be had.
   */
  prepare(signal?: AbortSignal): Promise<void>
  /** False when servers would refuse us: no certificate, or one that has expired or was withdrawn. */
  isUsable(): boolean
  /** Replaces the certificate now, over a new key, however young it is. Throws why that failed; what was held stays. */
  renew(signal?: AbortSignal): Promise<void>
  /** Follows trust and renews until the signal aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void>
  /** Throws `identity_without_certificate` or `trust_state_missing`. */
  material(): IdentityMaterial
  /** Calls back after a new SVID or trust state; returns the way to stop. */
  onMaterial(listener: () => void): () => void
  /** Closes every connection. */
  close(): void
}

const MIRROR_WAIT = 1000

/** Opens the folder of a workload that has joined. Sends nothing. Throws `identity_missing`, `identity_folder_invalid`, `identity_key_unreadable`, `svid_invalid` or `folder_not_private`. */
export async function openIdentity(options: OpenIdentityOptions): Promise<Identity> {
  const folder = new IdentityFolder(options.folder, options.sealer)
  const description = await folder.readDescription()
  if (description === null) {
    throw new DoorwardError('identity_missing', 'nobody has joined in this folder', {
      where: options.folder,
      next: 'doorward join',
    })
  }
  await folder.prepare()
  const parts = assemble(folder, description, options)
  await parts.store.load()
  await parts.renewal.reload()
  return identityOf(description, parts)
}

interface Parts {
  readonly credentials: CredentialSource
  readonly holder: TrustHolder
  readonly store: TrustStore
  readonly pool: ConnectionPool
  readonly tokens: TokenSource
  readonly fetch: SignedFetch
  readonly renewal: Renewal
  readonly client: TrustClient
  readonly authority: AuthorityCalls
  readonly authorityId: SpiffeId
  readonly following: { count: number }
  readonly person: PersonSource | null
  readonly onProblem: (error: unknown) => void
}

function assemble(folder: IdentityFolder, description: IdentityDescription, options: OpenIdentityOptions): Parts {
  const runtime = options.runtime ?? systemRuntime
  const onProblem = options.onProblem ?? (() => undefined)
  const authorityId = workloadId(description.trustDomain, 'doorward', 'authority')
  const credentials = new CredentialSource(null)
  const memory = options.memory ?? TrustMemory.ofOne()
  const { importP256 } = memory
  const holder = new TrustHolder({ sha256, importP256, monotonic: runtime.monotonic, wall: runtime.wall })
  const store = new TrustStore({ description, folder, holder, runtime, memory })
  const following = { count: 0 }
  const refresh = () => fresherTrust(store, following, client, runtime)
  const judge = serverJudge({ store, holder, authorityId, runtime, refresh, memory })
  const anchors = ({ expected }: Target) => anchorsOf(trustFor(expected, store, authorityId))
  const outdated: PoolTrust['isOutdated'] = (server, target) => isOutdated(server, target, store)
  const pool = new ConnectionPool({ anchors, judge, isOutdated: outdated }, runtime.wall)
  const { route, tokens, fetch, authority } = callsOf({
    description,
    authorityId,
    store,
    pool,
    credentials,
    runtime,
    onProblem,
    freshen: async () => (renewal.isDue() ? renewal.reload() : undefined),
    person: options.person ?? null,
    now: () => toSeconds(holder.now()),
  })
  const processes = options.processes ?? systemProcesses()
  const common = { authority, route, runtime, onProblem }
  const renewal = new Renewal({ ...common, folder, description, credentials, trust: store, processes })
  const rescue = () => greet(description, { store, runtime, route })
  const client = new TrustClient({ ...common, store, scope: description.scope, rescue })
  store.onAccept(() => void pool.recheck())
  const made = { credentials, holder, store, pool, tokens, fetch, renewal, client }
  return { ...made, authority, authorityId, following, onProblem, person: options.person ?? null }
}

interface CallsParts extends Pick<Parts, 'authorityId' | 'store' | 'pool' | 'credentials' | 'onProblem'> {
  readonly description: IdentityDescription
  readonly runtime: Runtime
  readonly freshen: () => Promise<void>
  readonly person: PersonSource | null
  readonly now: () => EpochSeconds
}

/** Every way out: to whichever authority answers, and to anybody else. The authority's time is looked at in its answers. */
function callsOf(parts: CallsParts) {
  const { description, authorityId, store, pool, credentials, runtime, onProblem, freshen, person: source } = parts
  const { authority: authorityUrl, enrol } = description.addresses
  const { monotonic } = runtime
  const skew = new SkewWatch({ ...runtime, onProblem })
  const timed = async (answer: Promise<CallResponse>) => {
    const asked = monotonic()
    const response = await answer
    skew.heard(response.headers[timeHeader], asked)
    return response
  }
  const route = new AuthorityRoute({
    home: { main: new URL(authorityUrl).host, enrol },
    known: () => store.authorities(),
    seed: String(runtime.chance()),
    monotonic,
  })
  const token = tokenEndpoint({ pool, authorityId, authorityUrl })
  const tokens = new TokenSource({
    post: (svid, form) =>
      route.through(async (place, signal) => usable(await timed(token(place, { svid, form, signal })))),
    monotonic,
    ...(source === null ? {} : { person: { source, now: parts.now, isOwn: (audience) => audience === authorityUrl } }),
  })
  const signed = signedFetch({ pool, credentials, tokens, freshen })
  const fetch: SignedFetch = {
    call: (url, options) => {
      const answer = signed.call(url, options)
      return options.expectedId.uri === authorityId.uri ? timed(answer) : answer
    },
  }
  const prepare = () => tokens.token({ svid: credentials.current(), audience: authorityUrl })
  return { route, tokens, fetch, authority: authorityCalls({ route, fetch, prepare, authorityId, authorityUrl }) }
}

function identityOf(description: IdentityDescription, parts: Parts): Identity {
  const { credentials, store, renewal, client, following } = parts
  return {
    person: parts.person,
    id: description.id,
    trustDomain: description.trustDomain,
    authorityId: parts.authorityId,
    authorityUrl: description.addresses.authority,
    rootFingerprint: description.rootFingerprint,
    credentials,
    trust: parts.holder,
    trustStore: store,
    call: (url, options) => parts.fetch.call(url, options),
    callAuthority: async (path, options) => (await parts.authority.call(path, options)).response,
    receipt: (options) => fetchReceipt(parts.fetch, options),
    token: (audience, options) => parts.tokens.token({ ...options, svid: credentials.current(), audience }),
    jwtSvid: (audience, signal) =>
      fetchJwtSvid(async (path, options) => (await parts.authority.call(path, options)).response, audience, signal),
    prepare: (signal) => prepare(parts, signal),
    isUsable: () => !renewal.isUnusable(),
    renew: (signal) => renewal.renewNow(signal),
    run: async (signal) => {
      following.count++
      try {
        await Promise.all([renewal.run(signal), client.run(signal)])
      } finally {
        following.count--
      }
    },
    material: () => {
      const { chain, privateKey } = credentials.current()
      const anchors = anchorsOf(store.view())
      if (anchors.length > 0) return { chain, privateKey, anchors }
      throw new DoorwardError('trust_state_missing', 'there is no current trust state yet', {
        next: 'wait until the authority can be reached',
      })
    },
    onMaterial: (listener) => {
      const stops = [credentials.onChange(listener), store.onAccept(listener)]
      return () => stops.forEach((stop) => stop())
    },
    close: () => parts.pool.close(),
  }
}

async function prepare(
  { store, renewal, client, credentials, onProblem }: Parts,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (credentials.peek() === null || renewal.isUnusable()) await renewal.ensureNow(signal)
  else {
    await client.renewView(signal).catch(onProblem)
    await renewal.ensureNow(signal).catch((error: unknown) => {
      if (renewal.isUnusable()) throw error
      onProblem(error)
    })
  }
  if (store.view() === null)
    throw new DoorwardError('trust_state_missing', 'there is no current trust state', {
      next: 'check that the authority runs',
    })
}

function anchorsOf(trust: ServerTrust | null): readonly Uint8Array[] {
  return (trust?.anchors ?? []).map(({ der }) => der)
}

/** A certificate may be a moment younger than the mirror: the stream brings the next one, or it is fetched. */
async function fresherTrust(
  store: TrustStore,
  following: { readonly count: number },
  client: TrustClient,
  runtime: Runtime,
): Promise<void> {
  if (following.count === 0) return client.refresh()
  const arrived = new AbortController()
  const stop = store.onAccept(() => arrived.abort())
  await runtime.sleep(MIRROR_WAIT, arrived.signal)
  stop()
}

interface GreetParts {
  readonly store: TrustStore
  readonly runtime: Runtime
  readonly route: AuthorityRoute
}

/** The greeting of the enrolment exchange, for its anchors alone: the recovery root proves them, not the anchors at hand. */
async function greet(description: IdentityDescription, { store, runtime, route }: GreetParts): Promise<void> {
  const { trustDomain, rootFingerprint, scope } = description
  const version = store.version()
  const pin = { trustDomain, rootFingerprint, scope, ...(version === null ? {} : { current: version }) }
  const key = await generateP256()
  const enrolment = await route.through(({ enrol: address }, signal) =>
    openEnrolment({ address, pin, key, clock: runtime.wall, signal }),
  )
  enrolment.close()
  store.useAnchors(enrolment.anchors)
}
