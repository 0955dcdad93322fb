/** How large a JSON text may be. */

export interface JsonLimits {
  /** Bytes of the whole text. */
  readonly maxBytes: number
  /** Objects and arrays open at once; `[]` has depth 1. Bounds the recursion: keep it far below 1,000. */
  readonly maxDepth: number
  /** Object members in the whole text. */
  readonly maxKeys: number
}

/** What a request body may be: 1 MiB, depth 32, 10,000 keys. */
export const DEFAULT_JSON_LIMITS: JsonLimits = { maxBytes: 1_048_576, maxDepth: 32, maxKeys: 10_000 }
