/** Which TCP connections may start a handshake: rate and count per address, before any cryptography is paid for. */

import { takeCell } from '@doorward/core'
import type { CellRate } from '@doorward/core'
import type { LoadRefusal } from '../load-shedding.ts'
import { addressKey } from './remote-address.ts'

export interface GateLimits {
  /** New connections per address; 20 per second with a burst of 50 by default. */
  readonly handshakes: CellRate
  /** Open connections per address; 200 by default. */
  readonly connectionsPerAddress: number
  /** Open connections, those in a handshake included; 10,000 by default. */
  readonly connections: number
  /** Handshakes under way; 512 by default. */
  readonly pendingHandshakes: number
  /** Why nobody is let in at all for now; nothing by default. */
  readonly sheds?: () => LoadRefusal | null
  /** Other limits of an address, for the network that it lies in; none by default. */
  readonly ofAddress?: (address: string) => AddressLimits
}

export type AddressLimits = Partial<Pick<GateLimits, 'handshakes' | 'connectionsPerAddress'>>

export const defaultGateLimits: GateLimits = {
  handshakes: { count: 20, periodSeconds: 1, burst: 50 },
  connectionsPerAddress: 200,
  connections: 10_000,
  pendingHandshakes: 512,
}

export type GateRefusal =
  | LoadRefusal
  | 'connection_limit'
  | 'connection_limit_address'
  | 'handshake_limit'
  | 'handshake_rate'

interface Seen {
  open: number
  arrival: number
}

const CAPACITY = 20_000

export class ConnectionGate {
  readonly #limits: GateLimits
  readonly #addresses = new Map<string, Seen>()
  #open = 0
  #pending = 0

  constructor(limits: GateLimits) {
    this.#limits = limits
  }

  /** Admits a connection, which then must be given back to `handshakeEnded` and `closed`, or says why not. */
  admit(address: string, now: number): GateRefusal | null {
    const shed = this.#limits.sheds?.() ?? null
    if (shed !== null) return shed
    const limits = { ...this.#limits, ...this.#limits.ofAddress?.(address) }
    const key = addressKey(address)
    const seen = this.#addresses.get(key)
    const cell = takeCell(seen?.arrival, now, limits.handshakes)
    if (!cell.ok) return 'handshake_rate'
    if (this.#open >= limits.connections) return 'connection_limit'
    if (this.#pending >= limits.pendingHandshakes) return 'handshake_limit'
    if (seen === undefined && this.#addresses.size >= CAPACITY && !this.#sweep(now)) return 'connection_limit'
    if ((seen?.open ?? 0) >= limits.connectionsPerAddress) return 'connection_limit_address'
    this.#addresses.set(key, { open: (seen?.open ?? 0) + 1, arrival: cell.arrival })
    this.#open++
    this.#pending++
    return null
  }

  handshakeEnded(): void {
    this.#pending--
  }

  closed(address: string): void {
    const seen = this.#addresses.get(addressKey(address))
    if (seen !== undefined) seen.open--
    this.#open--
  }

  get open(): number {
    return this.#open
  }

  /** Forgets addresses without connections whose allowance is whole again; true when there is room. */
  #sweep(now: number): boolean {
    for (const [key, seen] of this.#addresses) if (seen.open === 0 && seen.arrival <= now) this.#addresses.delete(key)
    return this.#addresses.size < CAPACITY
  }
}
