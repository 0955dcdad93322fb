/** The trust state that a process holds: applied atomically, indexed for the request path, aged monotonically. */

import {
  compareStates,
  DoorwardError,
  epochMillis,
  equalBytes,
  importingOnce,
  keySetOf,
  readCertificate,
  toMillis,
} from '@doorward/core'
import type { EpochMillis, EpochSeconds, ImportP256, PeerCertificate, Sha256, TrustState } from '@doorward/core'
import type { TrustSource, TrustView } from './ports.ts'

export interface TrustHolderDependencies {
  readonly sha256: Sha256
  readonly importP256: ImportP256
  /** Milliseconds that never go back, from any origin. */
  readonly monotonic: () => number
  /** Wall clock, read once, for the time until the authority's is known. */
  readonly wall: () => EpochMillis
}

function anchorOf(certificate: Uint8Array, sha256: Sha256): PeerCertificate {
  const anchor = readCertificate(certificate, { sha256 })
  if ('problem' in anchor) {
    throw new DoorwardError(
      'trust_state_anchor',
      `the trust state has an anchor that does not parse: ${anchor.problem}`,
    )
  }
  return anchor
}

/** The certificates of the state; the list of before when they are the same, so that what is remembered of it goes on. */
function anchorsOf({ anchors }: TrustState, sha256: Sha256, before: readonly PeerCertificate[]): TrustView['anchors'] {
  const read = anchors.map(({ keyId, certificate }) => {
    const known = before.find(({ subjectKeyId, der }) => subjectKeyId === keyId && equalBytes(der, certificate))
    return known ?? anchorOf(certificate, sha256)
  })
  return read.length === before.length && read.every((anchor, i) => anchor === before[i]) ? before : read
}

export interface TrustViewParts {
  readonly sha256: Sha256
  readonly importP256: ImportP256
  /** The generation itself unless the keys are known to be older. */
  readonly keyGeneration?: number
  /** A view of any state: what was read for it and has not changed is taken over. */
  readonly previous?: TrustView | null
}

/** Indexes a verified state. Throws `trust_state_anchor` or `token_key_invalid` when a key does not import. */
export function trustViewOf(state: TrustState, generation: number, parts: TrustViewParts): TrustView {
  const { sha256, importP256, previous } = parts
  const keyGeneration = parts.keyGeneration ?? generation
  if (previous?.state === state) return { ...previous, generation, keyGeneration }
  return {
    generation,
    keyGeneration,
    state,
    anchors: anchorsOf(state, sha256, previous?.anchors ?? []),
    anchorEpochs: new Map(state.anchors.map(({ keyId, epoch }) => [keyId, epoch])),
    issued: new Map(state.issued.map((issued) => [issued.fingerprint, { id: issued.id }])),
    roles: new Map(state.workloads.map((workload) => [workload.id, workload.roles])),
    deniedIdentities: new Map(state.denied.identities.map((denied) => [denied.id, denied.issuedBefore])),
    deniedSerials: new Set(state.denied.serials),
    deniedTokens: new Set(state.denied.tokens),
    deniedAuthorities: new Set(state.denied.authorities),
    tokenKeys: keySetOf(
      state.tokenKeys.filter((key) => !state.denied.authorities.includes(key.kid)),
      importP256,
    ),
  }
}

function sameKeys(a: TrustState, b: TrustState): boolean {
  const keys = (state: TrustState) =>
    JSON.stringify([
      state.epoch,
      state.anchors.map((anchor) => [anchor.keyId, anchor.epoch]),
      state.tokenKeys.map((key) => [key.kid, key.jwk.x, key.jwk.y]),
      state.denied.authorities,
    ])
  return (
    keys(a) === keys(b) && a.anchors.every((anchor, i) => equalBytes(anchor.certificate, b.anchors[i]!.certificate))
  )
}

export class TrustHolder implements TrustSource {
  readonly #dependencies: TrustHolderDependencies
  readonly #waiting = new Set<(view: TrustView) => void>()
  readonly #listeners = new Set<(view: TrustView) => void>()
  #view: TrustView | null = null
  #confirmedAt = Number.NEGATIVE_INFINITY
  /** `heard`: it is the authority's time, not ours. */
  #clock: { readonly time: EpochMillis; readonly monotonic: number; readonly heard: boolean } | null = null

  constructor(dependencies: TrustHolderDependencies) {
    this.#dependencies = { ...dependencies, importP256: importingOnce(dependencies.importP256) }
  }

  current(): TrustView | null {
    return this.#view
  }

  ageSeconds(): number {
    return (this.#dependencies.monotonic() - this.#confirmedAt) / 1000
  }

  now(): EpochMillis {
    if (this.#clock === null) return this.#dependencies.wall()
    return epochMillis(this.#clock.time + this.#dependencies.monotonic() - this.#clock.monotonic)
  }

  next(milliseconds: number): Promise<TrustView | null> {
    return new Promise((resolve) => {
      const done = (view: TrustView | null) => {
        clearTimeout(timer)
        this.#waiting.delete(done)
        resolve(view)
      }
      const timer = setTimeout(() => done(this.#view), Math.max(0, milliseconds))
      this.#waiting.add(done)
    })
  }

  /** Calls back after every applied state; returns the way to stop. */
  onApply(listener: (view: TrustView) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Applies a state that has been opened and verified. An older one throws `trust_state_older`; the same one changes
   * nothing, because a replay proves nothing about now. What is applied is kept whole or not at all. A new state
   * counts as confirmed when it was signed, not when it arrived. `made` is a view of this very state, if there is one.
   */
  apply(state: TrustState, signedAt: EpochSeconds, made?: TrustView): void {
    const order = this.#view === null ? 'newer' : compareStates(state, this.#view.state)
    if (order === 'older') {
      throw new DoorwardError('trust_state_older', 'a trust state older than the newest seen is refused', {
        expected: `at least (${this.#view?.state.delegation}, ${this.#view?.state.sequence})`,
        got: `(${state.delegation}, ${state.sequence})`,
      })
    }
    if (order === 'same') return
    const previous = this.#view
    const generation = (previous?.generation ?? 0) + 1
    const keyGeneration = previous !== null && sameKeys(previous.state, state) ? previous.keyGeneration : generation
    this.#view = trustViewOf(state, generation, {
      ...this.#dependencies,
      keyGeneration,
      previous: made?.state === state ? made : previous,
    })
    this.#clock ??= { time: this.now(), monotonic: this.#dependencies.monotonic(), heard: false }
    const age = Math.max(0, this.now() - toMillis(signedAt))
    this.#confirmedAt = Math.max(this.#confirmedAt, this.#dependencies.monotonic() - age)
    this.#announce()
  }

  /** The authority said at `authorityTime` that the held state is the newest. */
  confirm(authorityTime: EpochSeconds): void {
    const monotonic = this.#dependencies.monotonic()
    const time = toMillis(authorityTime)
    this.#confirmedAt = monotonic
    const behind = this.#clock?.heard !== true || this.now() < time
    if (behind) this.#clock = { time, monotonic, heard: true }
  }

  #announce(): void {
    const view = this.#view
    if (view === null) return
    for (const resolve of this.#waiting) resolve(view)
    for (const listener of this.#listeners) listener(view)
  }
}
