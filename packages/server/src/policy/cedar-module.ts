/** Fresh instances of the official Cedar WebAssembly build. */

import { createRequire } from 'node:module'
import type { CedarQuestion } from '@doorward/core'

interface CedarMessage {
  readonly message: string
}

export type CedarParse =
  | { readonly type: 'success' }
  | { readonly type: 'failure'; readonly errors: readonly CedarMessage[] }

export type CedarAuthorization =
  | {
      readonly type: 'success'
      readonly response: {
        readonly decision: 'allow' | 'deny'
        readonly diagnostics: {
          readonly reason: readonly string[]
          readonly errors: readonly { readonly policyId: string; readonly error: CedarMessage }[]
        }
      }
    }
  | { readonly type: 'failure'; readonly errors: readonly CedarMessage[] }

export type CedarValidation =
  | {
      readonly type: 'success'
      readonly validationErrors: readonly { readonly policyId: string; readonly error: CedarMessage }[]
    }
  | { readonly type: 'failure'; readonly errors: readonly CedarMessage[] }

/** Policy texts by id. */
export interface CedarPolicySet {
  readonly staticPolicies: Readonly<Record<string, string>>
}

/** What is used of the package. Any function may throw, after which the instance must not be used again. */
export interface Cedar {
  readonly preparsePolicySet: (id: string, policies: CedarPolicySet) => CedarParse
  readonly statefulIsAuthorized: (call: CedarQuestion & { readonly preparsedPolicySetId: string }) => CedarAuthorization
  readonly validate: (call: { readonly schema: string; readonly policies: CedarPolicySet }) => CedarValidation
}

const require = createRequire(import.meta.url)

/** A new instance with its own memory: one that has thrown once stays broken. About 50 ms. */
export function loadCedar(): Cedar {
  const path = require.resolve('@cedar-policy/cedar-wasm/nodejs')
  delete require.cache[path]
  return require(path) as Cedar
}
