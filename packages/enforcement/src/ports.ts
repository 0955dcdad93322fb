/** What the pipeline needs from elsewhere. Every port is asynchronous; one verb is one transaction. */

import type {
  DecisionRequest,
  EpochMillis,
  ListVerdict,
  TokenKeySet,
  TrustState,
  PeerCertificate,
  Verdict,
} from '@doorward/core'

/**
 * Decides one call under one immutable policy snapshot.
 *
 * `decide` answers a call, `list` answers whether some call of the item could be allowed (arguments unknown).
 * Both agree: an item that `list` denies is denied by `decide` for all arguments. A rejection means that no
 * decision can be made, which callers treat as deny. Safe for concurrent use.
 */
export interface DecisionPort {
  decide(request: DecisionRequest): Promise<Verdict>
  list(request: DecisionRequest): Promise<ListVerdict>
}

export interface Rate {
  /** Requests per period. */
  readonly count: number
  readonly periodSeconds: number
}

export interface Take {
  readonly scope: 'global' | 'ip' | 'user' | 'reduced' | 'bytes'
  readonly key: string
  /** Requests per period; with the scope `bytes`, bytes. */
  readonly rate: Rate
  /** 1 by default. */
  readonly weight?: number
}

export type TakeResult =
  | { readonly ok: true }
  /** `index` is the place of the exhausted one among the takes. */
  | {
      readonly ok: false
      readonly scope: Take['scope']
      readonly index: number
      readonly retryAfterSeconds: number
    }

/**
 * Shared counters. `take` consumes the weight of each take from every rate or from none, atomically, and names the first
 * that is exhausted. `charge` consumes what has been used already, whether it is there or not, and says whether nothing
 * is owed: who owes is refused by `take` until it has come back. Bounded memory: when no more keys can be held, unknown
 * keys are refused. A rejection means that nothing can be counted, which callers treat as deny.
 */
export interface RateLimiter {
  take(takes: readonly Take[]): Promise<TakeResult>
  charge(takes: readonly Take[]): Promise<boolean>
}

/** One verified trust state, indexed for the request path. Immutable. */
export interface TrustView {
  /** Rises with every applied state. */
  readonly generation: number
  /** Rises when anchors, token keys or the epoch change: signatures checked before are checked again. */
  readonly keyGeneration: number
  readonly state: TrustState
  readonly anchors: readonly PeerCertificate[]
  /** Epoch of what an anchor has signed, by its key id. */
  readonly anchorEpochs: ReadonlyMap<string, number>
  /** Issuance mirror by certificate fingerprint. */
  readonly issued: ReadonlyMap<string, { readonly id: string }>
  readonly roles: ReadonlyMap<string, readonly string[]>
  /** Denied identities: id → issued before, in seconds. */
  readonly deniedIdentities: ReadonlyMap<string, number>
  readonly deniedSerials: ReadonlySet<string>
  readonly deniedTokens: ReadonlySet<string>
  readonly deniedAuthorities: ReadonlySet<string>
  readonly tokenKeys: TokenKeySet
}

/** The trust state that this process holds. Snapshots, no calls to the authority. */
export interface TrustSource {
  /** Null before the first verified state. */
  current(): TrustView | null
  /** Seconds since the authority last confirmed the state, on a monotonic clock. */
  ageSeconds(): number
  /** Resolves with the next applied view, or with the current one after `milliseconds`. */
  next(milliseconds: number): Promise<TrustView | null>
  /** Time that no stepped local clock can turn back: authority time plus monotonic time since. */
  now(): EpochMillis
}
