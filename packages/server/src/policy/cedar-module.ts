/** The official Cedar WebAssembly build, as far as it is used: it parses, validates and formats, and decides nothing. */

import { createRequire } from 'node:module'
import { setFlagsFromString } from 'node:v8'

export interface CedarError {
  readonly message: string
  readonly help: string | null
  /** In bytes of the UTF-8 text. */
  readonly sourceLocations?: readonly { readonly start: number; readonly end: number }[]
}

type Answer<T> =
  | ({ readonly type: 'success' } & T)
  | { readonly type: 'failure'; readonly errors: readonly CedarError[] }

export interface CedarFinding {
  readonly policyId: string
  readonly error: CedarError
}

/** Policies by id, as text; or all of them in one text, under the ids `policy0`, `policy1` … in their order. */
export interface CedarPolicySet {
  readonly staticPolicies: Readonly<Record<string, string>> | string
}

/** Any function may throw, after which the instance must not be used again. */
export interface Cedar {
  readonly checkParsePolicySet: (policies: CedarPolicySet) => Answer<object>
  /** Texts of policies sorted by id, each from its first annotation to its semicolon. */
  readonly policySetTextToParts: (
    text: string,
  ) => Answer<{ readonly policies: readonly string[]; readonly policy_templates: readonly string[] }>
  readonly policyToJson: (text: string) => Answer<{ readonly json: unknown }>
  readonly policyToText: (json: unknown) => Answer<{ readonly text: string }>
  readonly formatPolicies: (call: {
    readonly policyText: string
    readonly lineWidth: number
    readonly indentWidth: number
  }) => Answer<{ readonly formatted_policy: string }>
  readonly validate: (call: { readonly schema: string; readonly policies: CedarPolicySet }) => Answer<{
    readonly validationErrors: readonly CedarFinding[]
    readonly validationWarnings: readonly CedarFinding[]
  }>
}

const require = createRequire(import.meta.url)

/** About 50 ms. Longs of more than 53 bits come out of `policyToJson` as bigints once `keepLongs` was called. */
export function loadCedar(): Cedar {
  return require('@cedar-policy/cedar-wasm/nodejs') as Cedar
}

/**
 * How much of a function V8 runs before it optimises it, roughly in bytes. By its own measure more than half of what it takes to
 * read some policies goes into code that is thrown away with the thread; thousands of policies come to it all the same.
 */
const optimisedLate = 1_000_000_000
/** V8's own, for whatever else of WebAssembly this process loads. */
export const optimisedUsually = 13_000_000

/** For a thread that is thrown away. */
export function loadCedarBriefly(): Cedar {
  setFlagsFromString(`--wasm-tiering-budget=${optimisedLate}`)
  try {
    return loadCedar()
  } finally {
    setFlagsFromString(`--wasm-tiering-budget=${optimisedUsually}`)
  }
}

/** The build hands JSON over through `JSON.parse`, which would round longs. For a thread that does nothing else. */
export function keepLongs(): void {
  const { parse } = JSON
  const exact = (_name: string, value: unknown, context?: { readonly source?: string }) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && context?.source !== undefined
      ? BigInt(context.source)
      : value
  // Looking at every value takes as long as all the rest, and what needs it has as many digits as 2^53 at least.
  JSON.parse = (text: string) => (/\d{16}/.test(text) ? parse(text, exact) : parse(text)) as unknown
}
