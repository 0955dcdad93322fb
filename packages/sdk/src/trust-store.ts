/**
 * The newest trust state of one identity, in memory and in its folder.
 *
 * What comes live from the authority also goes into the `TrustHolder` that enforcement reads; what was only remembered
 * does not, because a restart must not make an old state look freshly confirmed.
 */

import {
  compareStates,
  decodeTrustState,
  DoorwardError,
  fromBase64url,
  openHeartbeat,
  openTrustState,
  toSeconds,
} from '@doorward/core'
import type {
  AuthorityPlace,
  EpochSeconds,
  OpenedTrustState,
  SignedHeartbeat,
  SignedTrustState,
  StatementRefusal,
  TrustAnchors,
  TrustStateVersion,
} from '@doorward/core'
import { trustViewOf } from '@doorward/enforcement'
import type { TrustHolder, TrustView } from '@doorward/enforcement'
import type { IdentityDescription, IdentityFolder } from './identity-folder.ts'
import { sha256 } from './platform/hash.ts'
import type { Runtime } from './runtime.ts'
import { anchorsAlone } from './server-identity.ts'
import type { ServerTrust } from './server-identity.ts'
import { TrustMemory } from './trust-memory.ts'

export interface TrustStoreOptions {
  readonly description: Pick<IdentityDescription, 'trustDomain' | 'rootFingerprint' | 'scope'>
  readonly folder: Pick<IdentityFolder, 'readTrust' | 'writeTrust'>
  readonly holder: TrustHolder
  readonly runtime: Runtime
  /** What the identities of this process have worked out; its own by default. */
  readonly memory?: TrustMemory
}

export interface Accepted {
  readonly order: 'newer' | 'same'
  readonly version: TrustStateVersion
}

export class TrustStore {
  readonly #options: TrustStoreOptions
  readonly #memory: TrustMemory
  readonly #listeners = new Set<(view: TrustView) => void>()
  readonly #anchorListeners = new Set<() => void>()
  #opened: OpenedTrustState | null = null
  #newest: TrustStateVersion | null = null
  #view: TrustView | null = null
  #anchors: TrustAnchors | null = null
  /** Made of the two above when it is asked for. */
  #anchorTrust: ServerTrust | null = null
  #places: readonly AuthorityPlace[] = []
  #lastBeat: EpochSeconds | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(options: TrustStoreOptions) {
    this.#options = options
    this.#memory = options.memory ?? TrustMemory.ofOne()
  }

  /** Reads the folder. A remembered state that has expired leaves only its version. Throws `identity_folder_invalid`. */
  async load(): Promise<void> {
    const remembered = await this.#options.folder.readTrust()
    if (remembered === null) return
    this.#newest = newer(this.#newest, remembered.version)
    this.#places = placesIn(remembered.message)
    const opened = this.#open(remembered.message)
    if ('code' in opened || (opened.order !== 'newer' && this.#opened !== null)) return
    this.#index(opened)
  }

  /** What client-side judgement goes by; null when nothing usable is remembered. */
  view(): TrustView | null {
    const expires = this.#view?.state.expiresAt
    return expires !== undefined && this.#seconds() < expires ? this.#view : null
  }

  /** The running authorities by the newest state, however old. Nothing is trusted for being at one of these places. */
  authorities(): readonly AuthorityPlace[] {
    return this.#places
  }

  /** Takes anchors that are newer than the state held, verified against `version`. Only the authority is known by them. */
  useAnchors(anchors: TrustAnchors): void {
    this.#anchors = anchors
    this.#anchorTrust = null
    for (const listener of this.#anchorListeners) listener()
  }

  /** Calls back when anchors were taken; returns the way to stop. */
  onAnchors(listener: () => void): () => void {
    this.#anchorListeners.add(listener)
    return () => this.#anchorListeners.delete(listener)
  }

  /** What the authority's own certificate is judged by: newer anchors where the state held is too old; null when there is nothing. */
  authorityTrust(): ServerTrust | null {
    const view = this.view()
    const anchors = this.#anchors
    if (anchors === null || this.#seconds() >= anchors.expiresAt) return view
    if (view !== null && compareStates(anchors, view.state) !== 'newer') return view
    return (this.#anchorTrust ??= anchorsAlone(anchors, sha256, this.#view))
  }

  /** The newest version ever seen. */
  version(): TrustStateVersion | null {
    return this.#newest
  }

  /** Takes a state that arrived live. Resolves once it is applied and durable, or answers why it is refused. */
  async accept(message: SignedTrustState): Promise<Accepted | StatementRefusal> {
    const opened = this.#open(message)
    if ('code' in opened) return opened
    this.#options.holder.apply(opened.state, opened.state.issuedAt, this.#memory.viewOf(opened.state))
    const { order } = opened
    const fresh = order === 'newer' || this.#view === null
    this.#index(opened)
    if (fresh) {
      for (const listener of this.#listeners) listener(this.#view as TrustView)
      await this.#persist({ version: opened, message })
    }
    return { order, version: opened }
  }

  /** Takes a heartbeat: confirms the state held, or says that a newer one exists. */
  beat(message: SignedHeartbeat): 'confirmed' | 'behind' | StatementRefusal {
    if (this.#opened === null) return 'behind'
    const result = openHeartbeat(message, {
      current: this.#opened,
      trustDomain: this.#options.description.trustDomain,
      now: this.#seconds(),
      ...(this.#lastBeat === undefined ? {} : { after: this.#lastBeat }),
    })
    if ('code' in result) return result
    if (result.order === 'newer') return 'behind'
    this.#lastBeat = result.heartbeat.time
    this.#options.holder.confirm(result.heartbeat.time)
    return 'confirmed'
  }

  /** Calls back after every newly accepted state; returns the way to stop. */
  onAccept(listener: (view: TrustView) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #open(message: SignedTrustState): OpenedTrustState | StatementRefusal {
    const { trustDomain, rootFingerprint, scope } = this.#options.description
    const current = this.#newest === null ? {} : { current: this.#newest }
    const known = this.#opened === null ? {} : { verifiedDelegation: this.#opened.verifiedDelegation }
    return openTrustState(message, {
      trustDomain,
      rootFingerprint,
      scope,
      ...current,
      ...known,
      now: this.#seconds(),
      importP256: this.#memory.importP256,
      ...(this.#memory.states === null ? {} : { decoded: this.#memory.states }),
      sha256,
    })
  }

  #index(opened: OpenedTrustState): void {
    if (this.#opened?.digest === opened.digest) return
    const live = this.#options.holder.current()
    const same = live?.state === opened.state ? live : this.#memory.viewOf(opened.state)
    const generation = (this.#view?.generation ?? 0) + (opened.order === 'newer' ? 1 : 0)
    this.#view = trustViewOf(opened.state, generation, {
      sha256,
      importP256: this.#memory.importP256,
      previous: same ?? this.#view,
    })
    this.#memory.keep(this.#view)
    this.#anchorTrust = null
    this.#opened = opened
    this.#places = opened.state.authorities
    this.#newest = newer(this.#newest, opened)
  }

  /** One write at a time, and never an older one over a newer one of another process. */
  #persist(remembered: { version: TrustStateVersion; message: SignedTrustState }): Promise<void> {
    const { folder } = this.#options
    this.#writing = this.#writing
      .catch(() => undefined)
      .then(async () => {
        const held = await folder.readTrust().catch(() => null)
        if (held !== null && newer(held.version, remembered.version) === held.version) return
        await folder.writeTrust(remembered)
      })
    return this.#writing
  }

  #seconds(): EpochSeconds {
    return toSeconds(this.#options.runtime.wall())
  }
}

/** Of a state that may have ended while nobody looked: only where to ask for another, so nothing is verified. */
function placesIn(message: SignedTrustState): readonly AuthorityPlace[] {
  const payload = fromBase64url(message.payload)
  return (payload === null ? null : decodeTrustState(payload, sha256))?.authorities ?? []
}

/** The later of two versions; the first when they are equal. */
function newer(held: TrustStateVersion | null, candidate: TrustStateVersion): TrustStateVersion {
  if (held === null) return candidate
  const difference = candidate.delegation - held.delegation || candidate.sequence - held.sequence
  return difference > 0 ? candidate : held
}

/** A refused statement as an error. */
export function statementError(refusal: StatementRefusal, where: string): DoorwardError {
  return new DoorwardError(refusal.code, 'the authority sent a statement that is not accepted', {
    where,
    got: refusal.message,
  })
}
