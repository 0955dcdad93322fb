/** W3C Trace Context: what a caller says of its trace, and what is said onwards. Pure. */

/** Where a call stands in a trace. */
export interface TraceContext {
  /** 32 lowercase hexadecimal digits, not all zero. */
  readonly traceId: string
  /** The span above: 16 lowercase hexadecimal digits, not all zero. */
  readonly parentId: string
  /** The caller says that it keeps the trace. */
  readonly sampled: boolean
  /** The header as it came; null where there is none, or one that is not accepted. */
  readonly state: string | null
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const ZEROS = /^0+$/
const SAMPLED = 1

/**
 * Null for a `traceparent` that is missing or not valid (W3C Trace Context §3.2.2), which is then as if it were not there.
 * Later versions are read by what version 00 knows of them (§4.3).
 */
export function readTraceContext(traceparent: string | undefined, tracestate: string | undefined): TraceContext | null {
  const [, version, traceId = '', parentId = '', flags = '', more] = TRACEPARENT.exec(traceparent ?? '') ?? []
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return null
  if (ZEROS.test(traceId) || ZEROS.test(parentId)) return null
  return { traceId, parentId, sampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0, state: readState(tracestate) }
}

const MAX_STATE = 512
const MAX_MEMBERS = 32
/** A key, optionally of a tenant, and visible ASCII without comma and equals sign that ends with no space (§3.3.1). */
const MEMBER =
  /^[a-z0-9][a-z0-9_\-*/]{0,240}(?:@[a-z][a-z0-9_\-*/]{0,13})?=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/

/** Dropped as a whole where something is wrong with it, or it is longer than everybody has to pass on. */
function readState(tracestate: string | undefined): string | null {
  if (tracestate === undefined || tracestate.length > MAX_STATE) return null
  const members = tracestate
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '')
  const keys = new Set(members.map((member) => member.slice(0, member.indexOf('='))))
  const wellFormed = members.every((member) => MEMBER.test(member)) && keys.size === members.length
  return members.length > 0 && members.length <= MAX_MEMBERS && wellFormed ? members.join(',') : null
}

/** A `traceparent` of version 00. */
export function traceparentText({ traceId, parentId, sampled }: Omit<TraceContext, 'state'>): string {
  return `00-${traceId}-${parentId}-${sampled ? '01' : '00'}`
}

/** Burst of the share: so many calls may be kept in a row. */
const BURST = 10

/**
 * Which calls are kept: at most the share `ratio` of all, and a burst. What a caller has marked is kept as long as the share
 * lasts, so that nobody can make us work more; what nobody has marked is left to chance, and what a caller has marked as not
 * kept is not kept.
 */
export class Sampler {
  readonly #ratio: number
  /** In [0, 1). */
  readonly #chance: () => number
  #share = BURST

  constructor(ratio: number, chance: () => number) {
    this.#ratio = ratio
    this.#chance = chance
  }

  keeps(incoming: TraceContext | null): boolean {
    this.#share = Math.min(BURST, this.#share + this.#ratio)
    const wanted = incoming === null ? this.#chance() < this.#ratio : incoming.sampled
    if (!wanted || this.#share < 1) return false
    this.#share -= 1
    return true
  }
}
