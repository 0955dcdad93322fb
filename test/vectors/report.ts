/** What running one published vector suite found. */

export interface VectorReport {
  readonly suite: string
  readonly passed: number
  readonly failed: number
  /** Ids of cases that must be refused and were accepted. Must be empty. */
  readonly wrongAccepts: readonly string[]
  /** Cases that may be accepted and were refused, each with the reason why that stays so. */
  readonly wrongRejects: readonly { readonly id: string; readonly reason: string }[]
  /** Right accepts that the suite must reach. */
  readonly minimum: number
  /** Why nothing was run, or what else the reader should know. */
  readonly notice?: string
}

export interface VectorOptions {
  /** A folder or file of the same format instead of the usual one. */
  readonly path?: string
  /** Report as JSON. */
  readonly json: boolean
}
