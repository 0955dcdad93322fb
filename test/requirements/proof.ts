/** How far a sentence of the decision records is met, and by what. */

import type { TestReference } from './proving-tests.ts'

export type Proof =
  | {
      readonly state: 'done' | 'partial'
      readonly tests: readonly TestReference[]
      /** The control without which one of the tests turns red. */
      readonly control?: string
    }
  | { readonly state: 'open'; readonly tests: readonly TestReference[] }
  | { readonly state: 'declined'; readonly reason: string }
  /** No test can prove it; a decision record of ours answers it by its id. */
  | { readonly state: 'decided'; readonly record: string }

export function done(control: string, ...tests: readonly TestReference[]): Proof {
  return { state: 'done', control, tests }
}

export function partial(...tests: readonly TestReference[]): Proof {
  return { state: 'partial', tests }
}
