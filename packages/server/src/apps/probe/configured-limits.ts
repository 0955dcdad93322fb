/** The limits that have to be met. */

interface Rate {
  readonly count: number
  readonly periodSeconds: number
}

/** As configured for the address from which this is tried. */
export interface ProbeLimits {
  /** By the code that tells of each. */
  readonly calls: Readonly<Record<'limit_ip' | 'limit_user' | 'limit_global', Rate>>
  readonly handshakes: Rate & { readonly burst: number }
  readonly connections: number
}
