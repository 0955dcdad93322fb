/** What the pipeline needs from elsewhere. Every port is asynchronous; one verb is one transaction. */

import type {
  DecisionRequest,
  EpochMillis,
  EpochSeconds,
  ListVerdict,
  TokenKeySet,
  SomeRequest,
  TrustState,
  PeerCertificate,
  UserSubject,
  Verdict,
} from '@doorward/core'
import type { DenialCode } from './denial.ts'

/**
 * Decides one call under one immutable policy snapshot.
 *
 * `decide` answers a call, `list` answers whether some call of the item could be allowed (arguments unknown).
 * `some` answers whether some call of the action could be allowed on anything of the kind that the server may have.
 * All agree: an item that `list` denies is denied by `decide` for all arguments, and what `some` denies by `list` for all names. A rejection means that no
 * decision can be made, which callers treat as deny. Safe for concurrent use.
 */
export interface DecisionPort {
  decide(request: DecisionRequest): Promise<Verdict>
  list(request: DecisionRequest): Promise<ListVerdict>
  some(request: SomeRequest): Promise<ListVerdict>
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

/** What a token of a configured issuer proves about a person. */
export interface IssuedToken {
  readonly user: UserSubject
  /** The OAuth client that it was given to: `client_id`, else `azp`; null when the issuer does not say. */
  readonly clientId: string | null
  readonly scopes: readonly string[]
  /** Thumbprint of the key that it is bound to (`cnf.jkt`, RFC 9449 §6); null for a plain bearer token. */
  readonly boundTo: string | null
  /** Names this token: its `jti`, or a digest of what was signed or presented. Unique per issuer only. */
  readonly id: string
  readonly issuedAt: EpochSeconds
  readonly expires: EpochSeconds
  /** How the person signed in, as far as the issuer says (OpenID Connect Core §2). */
  readonly strength: {
    readonly acr: string | null
    readonly amr: readonly string[]
    readonly authTime: EpochSeconds | null
  }
  /** Token key and epoch of a token that our own authority has issued; null for one of another issuer. */
  readonly own: { readonly keyId: string; readonly epoch: number } | null
}

/** Why a token of an issuer is not accepted. The token itself is in no message. */
export interface IssuedTokenRefusal {
  readonly ok: false
  readonly code: Extract<DenialCode, `token_${string}` | `issuer_${string}`>
  readonly message: string
}

/**
 * Judges tokens of the issuers that configuration names. Nothing in a token chooses issuer, key or algorithm beyond
 * what is configured. Whatever cannot be found out (issuer down, slow, lying) is a refusal, `issuer_unavailable`: a
 * rejection is a fault of ours, which callers treat as deny. Safe for concurrent use; bounded in memory.
 *
 * Not checked: possession of the key that the token is bound to, denials of the user, and whether it was used before.
 */
export interface IssuerTokens {
  /** `audience` must be among the token's. */
  verify(token: string, audience: string): Promise<IssuedToken | IssuedTokenRefusal>
}

/**
 * Remembers what may be used once. `consume` is one atomic act, also across the processes that share a guard: of any
 * number of concurrent ones for one id, exactly one hears `fresh`. Bounded: `full` when no more can be held, and nothing
 * that is still good is forgotten to make room (reference ids RP-4, RP-5). A rejection means that nothing is known, which
 * callers treat as used.
 */
export interface ReplayGuard {
  /** Remembered until that moment, after which whoever asks has to refuse the id by itself. */
  consume(id: string, until: EpochMillis): Promise<'fresh' | 'seen' | 'full'>
}

/**
 * Nonces by which proofs say that they were made for this process, and when (RFC 9449 §9). They are of this process alone:
 * a proof that another one has accepted is refused here, so several gateways need no memory in common.
 */
export interface ProofNonces {
  /** For the next proof. */
  current(): string
  /** Until when a nonce of ours is accepted; null for any other, and for one that is not accepted any more. */
  goodUntil(nonce: string): EpochMillis | null
}
