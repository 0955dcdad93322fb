/**
 * Which of the running authorities is asked (reference id OP-12). To whoever calls they are one: the same SPIFFE ID, issuer
 * and store behind each, and only the place differs. What fails at one place is tried at the next, each once, within the
 * time of one call. No place is believed for being listed: whoever answers there is judged like everywhere.
 */

import { DoorwardError, toBase64url, utf8 } from '@doorward/core'
import type { AuthorityPlace } from '@doorward/core'
import { denialRow, isDenialCode } from '@doorward/enforcement'
import { answerMilliseconds } from './https-exchange.ts'
import { sha256 } from './platform/hash.ts'

/** `host:port` of the listeners of one authority. */
export type RoutedPlace = Pick<AuthorityPlace, 'main' | 'enrol'>

export interface AuthorityRouteOptions {
  /** Where the identity was made: asked while nothing else is known, and when everything else has failed. */
  readonly home: RoutedPlace
  /** From the newest trust state that is remembered, whatever its age. */
  readonly known: () => readonly RoutedPlace[]
  /** Of this caller alone: gives it an order of its own, so that callers spread over the places. */
  readonly seed: string
  readonly monotonic: () => number
}

/** One try at one place. The signal ends it early when there are other places to try. */
export type Attempt<T> = (place: RoutedPlace, signal: AbortSignal) => Promise<T>

export interface CallTime {
  /** Ends the whole call. */
  readonly signal?: AbortSignal
  /** For all places together, up to what an attempt resolves with; 20 s by default. */
  readonly milliseconds?: number
}

interface Failing {
  readonly times: number
  readonly until: number
}

/** A place that has failed is asked last for so long, doubled with every further failure. */
const penalty = { firstMilliseconds: 5000, capMilliseconds: 300_000 }
/** With another place at hand none is waited for longer. */
const patienceMilliseconds = 5000

export class AuthorityRoute {
  readonly #options: AuthorityRouteOptions
  readonly #failing = new Map<string, Failing>()
  readonly #ranks = new Map<string, string>()

  constructor(options: AuthorityRouteOptions) {
    this.#options = options
  }

  /** In the order in which they are asked now: those that work before those that failed lately. Never empty. */
  places(): readonly RoutedPlace[] {
    const { home, known, monotonic } = this.#options
    const now = monotonic()
    const listed = known()
    const ordered = listed.toSorted((a, b) => (this.#rank(a) < this.#rank(b) ? -1 : 1))
    const all = listed.some(({ main }) => main === home.main) ? ordered : [...ordered, home]
    const until = ({ main }: RoutedPlace) => {
      const failing = this.#failing.get(main)
      return failing === undefined || failing.until <= now ? 0 : failing.until
    }
    return all.toSorted((a, b) => until(a) - until(b))
  }

  works({ main }: RoutedPlace): void {
    this.#failing.delete(main)
  }

  failed({ main }: RoutedPlace): void {
    const { home, known, monotonic } = this.#options
    const times = (this.#failing.get(main)?.times ?? 0) + 1
    const wait = Math.min(penalty.capMilliseconds, penalty.firstMilliseconds * 2 ** Math.min(times - 1, 16))
    this.#failing.set(main, { times, until: monotonic() + wait })
    const listed = new Set([home, ...known()].map((place) => place.main))
    for (const place of this.#failing.keys()) if (!listed.has(place)) this.#failing.delete(place)
  }

  /**
   * What the first place gives that does not fail. Throws what the last place throws, or, where others failed otherwise, what
   * says most: that no server there is trusted, or a refusal.
   */
  async through<T>(attempt: Attempt<T>, { signal, milliseconds = answerMilliseconds }: CallTime = {}): Promise<T> {
    const { monotonic } = this.#options
    const places = this.places()
    const ends = monotonic() + milliseconds
    const failures: unknown[] = []
    for (const [index, place] of places.entries()) {
      const left = ends - monotonic()
      if (index > 0 && left <= 0) break
      const isLast = index === places.length - 1
      try {
        const result = await limited(attempt, place, {
          signal,
          milliseconds: isLast ? left : Math.min(left, patienceMilliseconds),
        })
        this.works(place)
        return result
      } catch (error) {
        if (!isOfThePlace(error)) throw error
        this.failed(place)
        failures.push(error)
        if (signal?.aborted === true) break
      }
    }
    throw telling(failures)
  }

  #rank({ main }: RoutedPlace): string {
    let rank = this.#ranks.get(main)
    if (rank === undefined) {
      if (this.#ranks.size >= MAX_RANKS) this.#ranks.clear()
      rank = toBase64url(sha256(utf8(`${this.#options.seed}\n${main}`)))
      this.#ranks.set(main, rank)
    }
    return rank
  }
}

const MAX_RANKS = 64

async function limited<T>(
  attempt: Attempt<T>,
  place: RoutedPlace,
  { signal, milliseconds }: { readonly signal: AbortSignal | undefined; readonly milliseconds: number },
): Promise<T> {
  const limit = new AbortController()
  const late = () => limit.abort(new DOMException('the place did not answer in time', 'TimeoutError'))
  const timer = setTimeout(late, milliseconds)
  try {
    return await attempt(place, signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]))
  } finally {
    // What goes on after the answer has begun, a stream, is not limited here.
    clearTimeout(timer)
  }
}

const connectionCodes = new Set([
  'server_unreachable',
  'connection_timeout',
  'connection_refused',
  'connection_lost',
  'response_invalid',
  'response_too_large',
])
/** Another server, an authority that is behind the others, or one that does not speak as an authority. */
const identityCodes =
  /^(?:server_[a-z_]+|authority_not_pinned|trust_(?:anchors|state|message)_[a-z_]+|delegation_[a-z_]+)$/

/** Whether another place may do better. A refusal of the caller is the same everywhere, but for a certificate that is news there. */
export function isOfThePlace(error: unknown): boolean {
  if (!(error instanceof DoorwardError)) return false
  const { code } = error
  if (connectionCodes.has(code) || code === 'certificate_not_issued') return true
  return isDenialCode(code) ? denialRow(code).http >= 500 : identityCodes.test(code)
}

function telling(failures: readonly unknown[]): unknown {
  const untrusted = failures.find((error) => error instanceof DoorwardError && error.code === 'server_untrusted')
  return (
    untrusted ??
    failures.findLast((error) => error instanceof DoorwardError && isDenialCode(error.code)) ??
    failures.at(-1)
  )
}
