/** How large a JSON text may be. */

export interface JsonLimits {
  /** Bytes of the whole text. */
  readonly maxBytes: number
  /** Objects and arrays open at once; `[]` has depth 1. Bounds the recursion: keep it far below 1,000. */
  readonly maxDepth: number
  /** Object members in the whole text. */
  readonly maxKeys: number
  /**
   * `keep` lets keys named `__proto__`, `constructor` or `prototype` pass: for answers of servers, whose tools may have
   * such an argument, and whose values are only ever read by own members. Refused by default.
   */
  readonly prototypeKeys?: 'keep'
}

/** What a request body may be: 1 MiB, depth 32, 10,000 keys. */
export const DEFAULT_JSON_LIMITS: JsonLimits = { maxBytes: 1_048_576, maxDepth: 32, maxKeys: 10_000 }
