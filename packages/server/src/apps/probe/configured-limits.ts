/** The limits that have to be met. */

export interface ProbeRate {
  readonly count: number
  readonly periodSeconds: number
}

/** As configured for the address from which this is tried; the widest where named networks have others, since it may lie in one. */
export interface ProbeLimits {
  /** By the code that tells of each. */
  readonly calls: Readonly<Record<'limit_ip' | 'limit_user' | 'limit_global', ProbeRate>>
  /** The narrowest of any address. */
  readonly leastPerIp: ProbeRate
  readonly handshakes: ProbeRate & { readonly burst: number }
  /** The narrowest of any address. */
  readonly leastHandshakes: ProbeRate & { readonly burst: number }
  readonly connections: number
}
