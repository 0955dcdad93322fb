/** Whether a gateway can serve calls, and what keeps it from it. Pure. */

export interface HealthFacts {
  readonly stopping: boolean
  /** Freshness of the trust state. */
  readonly trust: 'none' | 'fresh' | 'reduced' | 'stale'
  /** State of the record, `open` when decisions can be written. */
  readonly record: string
  /** Seconds that our own certificate has left. */
  readonly certificateSeconds: number
  /** No server is asked at the moment, and the operator wants to be told; false by default. */
  readonly serversAway?: boolean
}

export interface Health {
  readonly ready: boolean
  /** Empty when ready. */
  readonly reasons: readonly string[]
}

/** `reduced` still serves those who are known. */
export function healthOf(facts: HealthFacts): Health {
  const reasons = [
    facts.stopping ? 'stopping' : '',
    facts.trust === 'none' || facts.trust === 'stale' ? `trust_${facts.trust}` : '',
    facts.record === 'open' ? '' : `record_${facts.record}`,
    facts.certificateSeconds > 0 ? '' : 'certificate_expired',
    facts.serversAway === true ? 'servers_away' : '',
  ].filter((reason) => reason !== '')
  return { ready: reasons.length === 0, reasons }
}
