/**
 * Publishes the trust state: assembled from the store, signed, appended by compare-and-swap, announced (reference ids
 * RV-1 … RV-3). What another authority has published is verified like everybody does, and announced here too.
 */

import {
  compareStates,
  DoorwardError,
  epochMillis,
  jwkThumbprint,
  openTrustState,
  parseTrustMessage,
  signEncodedState,
  signHeartbeat,
  signTrustAnchors,
  TrustStateEncoder,
} from '@doorward/core'
import type {
  EpochMillis,
  EpochSeconds,
  SignedDelegation,
  TrustScope,
  TrustState,
  TrustStateVersion,
} from '@doorward/core'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import { namedAuthorities } from './delegation.ts'
import type { HeldDelegation } from './delegation.ts'
import type { CustodyKey, StoredTrustState } from './ports.ts'
import { restoreJump } from './restore.ts'
import { assembleTrustState, callersState, onlyAdds, sameForCallers } from './trust-assembly.ts'
import type { TrustAudience } from './trust-audience.ts'
import { TrustMirror } from './trust-mirror.ts'
import type { WholeMaterial } from './trust-mirror.ts'

/** One signed state of one scope. */
export interface ScopedState {
  readonly state: TrustState
  /** SHA-256 of the signed bytes, base64url. */
  readonly digest: string
  /** JSON of the signed state. */
  readonly text: string
}

export interface PublishedState extends ScopedState {
  /** JSON of the signed statement of its anchors alone, for those who are not workloads yet. */
  readonly anchorsText: string
  /** What callers hold while this is the newest; often signed earlier. */
  readonly callers: ScopedState
}

export interface PublisherOptions {
  readonly context: AuthorityContext
  readonly delegation: HeldDelegation
  /** The newest delegation, when another authority publishes under it already. */
  readonly hold: () => Promise<HeldDelegation>
  readonly audience: TrustAudience
  /** States come after this sequence, whatever the store says; 0 unless the store was put back. */
  readonly floor?: number
  /** Applies a state that is durable, before anybody else hears of it. */
  readonly onState: (published: PublishedState, time: EpochSeconds) => void
  /** The held state is still the newest, at this time. */
  readonly onConfirmed: (time: EpochSeconds) => void
}

interface Timed {
  readonly time: EpochSeconds
}

export interface SignedBeat extends Timed {
  /** JSON of the signed heartbeat. */
  readonly text: string
}

interface Waiting {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * Changes within a moment make one state. The moment is short while states are small, and grows with what everybody has to
 * read: a receiver takes some 30 ms for a megabyte, as do the authorities among themselves, and the store keeps it.
 */
const coalesce = { leastMilliseconds: 10, mostMilliseconds: 1000, perMegabyte: 500 }
/**
 * Callers hear of additions together, the later the more they are: each of them verifies, stores and acknowledges every
 * state. What takes something away from somebody never waits. Milliseconds.
 */
const callersPause = { mostMilliseconds: 500, perFollower: 0.5 }
/** Another authority may append in between, while processors are short for seconds; more often than this in a row is a fault. */
const MAX_ATTEMPTS = 100
const refreshSeconds = 3600
const scopes: readonly TrustScope[] = ['full', 'callers']

export class TrustPublisher {
  readonly #options: PublisherOptions
  #delegation: HeldDelegation
  #published: PublishedState | null = null
  #version: TrustStateVersion | null = null
  #publishedAt: EpochMillis = epochMillis(0)
  #callersAt: EpochMillis = epochMillis(0)
  #callersAwaited = false
  readonly #beats = new Map<TrustScope, Timed & { readonly digest: string; readonly text: Promise<string> }>()
  #waiting: Waiting[] = []
  #scheduled = false
  readonly #mirror: TrustMirror
  readonly #encoder: TrustStateEncoder
  #busy: Promise<unknown> = Promise.resolve()

  constructor(options: PublisherOptions) {
    this.#options = options
    this.#delegation = options.delegation
    const { store, trustDomain, sha256 } = options.context
    this.#mirror = new TrustMirror(store.trust)
    this.#encoder = new TrustStateEncoder(trustDomain, sha256)
  }

  /** The newest state that is known here; throws `trust_state_unpublished` before the first. */
  current(): PublishedState {
    if (this.#published !== null) return this.#published
    throw new DoorwardError('trust_state_unpublished', 'no trust state has been published yet')
  }

  get delegation(): HeldDelegation {
    return this.#delegation
  }

  /** From the next state on. */
  useDelegation(delegation: HeldDelegation): void {
    this.#delegation = delegation
  }

  /**
   * Resolves when a state that holds everything stored before this call is durable and announced; calls that come
   * together share one state. Rejects when the store, custody or the record fails: then the change is stored and goes
   * out with the next state.
   */
  publish(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#schedule()
    })
  }

  /** Signs and announces heartbeats, when the state held is still the newest; else takes the newer one, or publishes again. */
  async beat(): Promise<void> {
    const { context, audience, onConfirmed } = this.#options
    const { state, digest } = this.current()
    if (nowSeconds(context) - state.issuedAt >= refreshSeconds) return this.publish()
    if (this.#callersLag()) return this.#publishToCallers()
    for (const scope of scopes) {
      const beat = await this.heartbeat(scope)
      if (beat === null) return this.#catchUp()
      // A state may have been published while this was signed.
      if (this.current().digest !== digest) return
      if (scope === 'full') onConfirmed(beat.time)
      audience.announce(scope, { kind: 'heartbeat', text: beat.text })
    }
  }

  /**
   * A heartbeat of this second for the state held; null when that is not the newest any more, when its delegation is not
   * in use, or when nothing may be signed. Many who ask at once share one signature.
   */
  async heartbeat(scope: TrustScope): Promise<SignedBeat | null> {
    const { context } = this.#options
    const published = this.current()
    const { stored, key } = this.#delegation
    const newest = await context.store.trust.newestVersion()
    if (newest?.sequence !== published.state.sequence || stored.version !== published.state.delegation) return null
    if (key === null || context.unfit() !== null) return null
    const time = nowSeconds(context)
    const { state, digest } = scope === 'full' ? published : published.callers
    let beat = this.#beats.get(scope)
    if (beat?.digest !== digest || beat.time !== time) {
      beat = { digest, time, text: signBeat({ state, digest, time }, key) }
      this.#beats.set(scope, beat)
    }
    return { time, text: await beat.text }
  }

  /** Takes up what another authority has published since; true when there was something. Throws what judges it. */
  adopt(): Promise<boolean> {
    return this.#alone(() => this.#adoptNewest())
  }

  async #catchUp(): Promise<void> {
    if (await this.adopt()) return
    if (this.#delegation.key !== null) await this.publish()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    const { leastMilliseconds, mostMilliseconds, perMegabyte } = coalesce
    const megabytes = (this.#published?.text.length ?? 0) / 1e6
    const pause = Math.min(mostMilliseconds, Math.max(leastMilliseconds, perMegabyte * megabytes))
    const since = this.#options.context.clock() - this.#publishedAt
    // A clock that was stepped must not stretch the pause.
    setTimeout(() => void this.#publishWaiting(), since < 0 ? pause : Math.max(0, pause - since))
  }

  async #publishWaiting(): Promise<void> {
    const waiting = this.#waiting
    this.#waiting = []
    try {
      await this.#alone(() => this.#publishNow())
      for (const { resolve } of waiting) resolve()
    } catch (error) {
      this.#mirror.forget()
      for (const { reject } of waiting) reject(error)
    }
    this.#scheduled = false
    if (this.#waiting.length > 0) this.#schedule()
  }

  /** Publishing and adopting take turns. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#busy.then(work, work)
    this.#busy = turn.catch(() => undefined)
    return turn
  }

  async #publishNow(): Promise<void> {
    const { context, audience } = this.#options
    const { store, log } = context
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      await this.#adoptNewest()
      // What is signed under an older delegation than the newest state is older than that state.
      if (this.#delegation.key === null || (this.#version?.delegation ?? 0) > this.#delegation.stored.version)
        this.#delegation = await this.#options.hold()
      const after = this.#version?.sequence ?? 0
      const held = this.#delegation
      const published = await this.#sign(Math.max(after, this.#options.floor ?? 0) + 1, held)
      // Whoever has taken up a newer delegation is not named by ours: its keys would be missing from this one state.
      const newer = await this.#hasNewerDelegation(held)
      if (newer && this.#delegation === held) this.#delegation = await this.#options.hold()
      if (newer || this.#delegation !== held) continue
      const { delegation, sequence, epoch, workloads, issued } = published.state
      await log.append({
        kind: 'trust',
        body: {
          change: 'state',
          delegation,
          sequence,
          epoch,
          digest: published.digest,
          workloads: workloads.length,
          issued: issued.length,
        },
      })
      if (!(await store.trust.append(storedOf(published), after))) continue
      // By this the next start tells whether the store is still the one that took it.
      const body = { change: 'state.stored', delegation, sequence, epoch }
      log.append({ kind: 'trust', body, patient: true }).catch(() => undefined)
      this.#apply(published)
      audience.announce('full', { kind: 'state', text: published.text })
      return
    }
    throw new DoorwardError('trust_state_raced', 'other authorities publish without pause')
  }

  async #hasNewerDelegation({ stored }: HeldDelegation): Promise<boolean> {
    const newest = await this.#options.context.store.trust.newestDelegation()
    return newest !== null && newest.version > stored.version
  }

  #apply(published: PublishedState): void {
    const { context, onState, audience } = this.#options
    const callersAreNew = this.#published?.callers.digest !== published.callers.digest
    const { delegation, sequence, epoch } = published.state
    this.#published = published
    this.#version = { delegation, sequence, epoch, digest: published.digest, delegationDigest: '' }
    this.#publishedAt = context.clock()
    onState(published, published.state.issuedAt)
    if (callersAreNew) this.#callersAt = context.clock()
    if (callersAreNew) audience.announce('callers', { kind: 'state', text: published.callers.text })
  }

  /** A store that went back holds states that everybody would refuse. */
  async #adoptNewest(): Promise<boolean> {
    const { context, audience } = this.#options
    const newest = await context.store.trust.newestVersion()
    if (newest === null || newest.sequence === this.#version?.sequence) return false
    if (this.#version !== null && compareStates(newest, this.#version) === 'older')
      throw storeWentBack(newest, this.#version)
    // Another authority has put a store right that went back, by its own log: ours has to follow.
    if (this.#version !== null && newest.sequence - this.#version.sequence >= restoreJump)
      throw storeWentBack(newest, this.#version)
    const stored = await context.store.trust.newest()
    if (stored === null) return false
    const published = await this.#open(stored)
    // A state that was published before this process started tells nobody anything about now.
    if (published === null) return false
    this.#apply(published)
    audience.announce('full', { kind: 'state', text: published.text })
    return true
  }

  /** Null for a state that has ended by itself: it leaves only its version. */
  async #open(stored: StoredTrustState): Promise<PublishedState | null> {
    const full = await this.#openOne(stored.message, 'full')
    const callers = await this.#openOne(stored.callers.message, 'callers')
    if (full === null || callers === null) {
      const { delegation, sequence } = stored
      this.#version = { delegation, sequence, epoch: 0, digest: '', delegationDigest: '' }
      return null
    }
    return { ...full, anchorsText: stored.anchors, callers }
  }

  async #openOne(text: string, scope: TrustScope): Promise<ScopedState | null> {
    const { context } = this.#options
    const { trustDomain, importP256, sha256, store } = context
    const domain = await store.domain.read()
    const message = parseTrustMessage(text)
    if (domain === null || 'code' in message || message.kind !== 'trust-state') throw notOurs('it does not parse')
    const opened = openTrustState(message, {
      rootFingerprint: jwkThumbprint(domain.root, sha256),
      trustDomain,
      scope,
      now: nowSeconds(context),
      importP256,
      sha256,
    })
    if (!('code' in opened)) return { state: opened.state, digest: opened.digest, text }
    if (opened.code === 'trust_state_expired' || opened.code === 'delegation_expired') return null
    throw notOurs(`${opened.code}: ${opened.message}`)
  }

  /** Under one delegation throughout, whatever is taken up meanwhile. */
  async #sign(sequence: number, held: HeldDelegation): Promise<PublishedState> {
    const { context } = this.#options
    const { stored, signed, key } = held
    const unfit = context.unfit()
    if (key === null) throw new DoorwardError('delegation_missing', 'no key of this authority is delegated to')
    if (unfit !== null) throw new DoorwardError('authority_unready', 'nothing may be signed now', { got: unfit })
    const now = nowSeconds(context)
    const full = assembleTrustState(await this.#material(now, held), {
      trustDomain: context.trustDomain,
      delegation: stored.version,
      delegationExpiresAt: stored.expiresAt,
      sequence,
      now,
    })
    const callers = callersState(full)
    const told = this.#published?.callers
    const keeps =
      told !== undefined &&
      now - told.state.issuedAt < refreshSeconds &&
      (sameForCallers(told.state, callers) || this.#mayWait(told.state, callers))
    const anchors = await signTrustAnchors(full, signed, { signKey: key, sha256: context.sha256 })
    return {
      ...(await this.#signOne(full, { signed, key })),
      anchorsText: JSON.stringify(anchors),
      callers: keeps ? told : await this.#signOne(callers, { signed, key }),
    }
  }

  /** Whether callers may hear of this a moment later, with what else comes. */
  #mayWait(held: TrustState, wanted: TrustState): boolean {
    const { audience, context } = this.#options
    const { mostMilliseconds, perFollower } = callersPause
    const pause = Math.min(mostMilliseconds, perFollower * audience.followers('callers').length)
    const since = context.clock() - this.#callersAt
    if (since < 0 || since >= pause || !onlyAdds(held, wanted)) return false
    if (!this.#callersAwaited) setTimeout(() => this.#afterPause(), pause - since).unref()
    this.#callersAwaited = true
    return true
  }

  #afterPause(): void {
    this.#callersAwaited = false
    // Somebody else may have told them; what fails here is made up for with the next beat.
    if (this.#callersLag()) this.#publishToCallers().catch(() => undefined)
  }

  /** Whether callers still have to hear of something, whichever authority has kept it back and may be gone since. */
  #callersLag(): boolean {
    const { state, callers } = this.current()
    return !sameForCallers(callers.state, callersState(state))
  }

  #publishToCallers(): Promise<void> {
    this.#callersAt = epochMillis(0)
    return this.publish()
  }

  async #signOne(
    state: TrustState,
    { signed, key }: { readonly signed: SignedDelegation; readonly key: CustodyKey },
  ): Promise<ScopedState> {
    const { sha256 } = this.#options.context
    const payload = this.#encoder.encode(state)
    const { message, digest } = await signEncodedState(payload, signed, { signKey: key, sha256 })
    return { state, digest, text: JSON.stringify(message) }
  }

  /** Keys of an authority to which the root has not delegated are not vouched for. */
  async #material(now: EpochSeconds, { delegation }: HeldDelegation): Promise<WholeMaterial> {
    const named = namedAuthorities(this.#options.context, delegation)
    const [material, { instances, names }] = await Promise.all([this.#mirror.read(now), named])
    return {
      ...material,
      authorities: material.authorities.filter(({ name }) => names.has(name)),
      slots: material.slots.filter(({ authority }) => instances.has(authority)),
    }
  }
}

async function signBeat(
  { state, digest, time }: Pick<ScopedState, 'state' | 'digest'> & Timed,
  key: CustodyKey,
): Promise<string> {
  const { scope, delegation, sequence, trustDomain } = state
  return JSON.stringify(await signHeartbeat({ scope, trustDomain, delegation, sequence, digest, time }, key))
}

function storedOf({ state, text, anchorsText, callers }: PublishedState): StoredTrustState {
  const { delegation, sequence } = state
  return {
    delegation,
    sequence,
    message: text,
    anchors: anchorsText,
    callers: { sequence: callers.state.sequence, message: callers.text },
  }
}

function notOurs(got: string): DoorwardError {
  return new DoorwardError('trust_state_foreign', 'the store holds a trust state that nobody would accept', {
    expected: 'a state signed under the recovery root of this trust domain',
    got,
    next: 'find out who has written to the store; nothing of it is published',
  })
}

interface Version {
  readonly delegation: number
  readonly sequence: number
}

function storeWentBack(newest: Version, held: Version): DoorwardError {
  return new DoorwardError('store_went_back', 'the store is not the one that it was', {
    expected: `what follows (${held.delegation}, ${held.sequence})`,
    got: `(${newest.delegation}, ${newest.sequence})`,
    next: 'stop this authority, and put the newest copy of the store back',
  })
}
