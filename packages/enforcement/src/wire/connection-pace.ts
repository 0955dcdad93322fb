/**
 * What open connections may cost: whoever does not take what was sent to it, or sends records that carry nothing, is closed.
 * Looked at about once a second; pure but for what it reads off the sockets.
 */

/** What is looked at of a connection. */
export interface PacedConnection {
  /** Bytes of requests, after decryption. */
  readonly bytesRead: number
  /** Bytes of answers, those that wait included. */
  readonly bytesWritten: number
  /** Bytes of answers that wait for the peer. */
  readonly writableLength: number
}

export interface PaceRules {
  /** How long a peer may take less than `bytesPerSecond` of what waits for it; 10,000 by default. */
  readonly stallMilliseconds: number
  /** 1024 by default. */
  readonly bytesPerSecond: number
  /** Bytes of TLS beyond those of requests, for the whole connection; 256 KiB by default: some ten thousand key updates. */
  readonly overheadBytes: number
}

export const defaultPaceRules: PaceRules = {
  stallMilliseconds: 10_000,
  bytesPerSecond: 1024,
  overheadBytes: 256 * 1024,
}

export type PaceProblem = 'reader_slow' | 'record_flood'

/** Of one connection. */
export class ConnectionPace {
  readonly #rules: PaceRules
  /** Since when the peer is being waited for, and what it had taken then; null while nothing waits. */
  #stalled: { readonly since: number; readonly taken: number } | null = null

  constructor(rules: PaceRules = defaultPaceRules) {
    this.#rules = rules
  }

  /** `wireBytes`: what TCP has received. Null when the connection may go on. */
  look(connection: PacedConnection, wireBytes: number, now: number): PaceProblem | null {
    const { bytesRead, bytesWritten, writableLength } = connection
    // Requests may be as small as their records: twice as much as their bytes, and what a handshake takes, is nobody's flood.
    if (wireBytes - 2 * bytesRead > this.#rules.overheadBytes) return 'record_flood'
    if (writableLength === 0) {
      this.#stalled = null
      return null
    }
    const taken = bytesWritten - writableLength
    const { stallMilliseconds, bytesPerSecond } = this.#rules
    if (this.#stalled === null) this.#stalled = { since: now, taken }
    const waited = now - this.#stalled.since
    if (waited < stallMilliseconds) return null
    if (taken - this.#stalled.taken < (waited / 1000) * bytesPerSecond) return 'reader_slow'
    this.#stalled = { since: now, taken }
    return null
  }
}
