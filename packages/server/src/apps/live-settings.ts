/** The settings by which a gateway goes now. */

import type { CallBounds } from '../transports/bounded-calls.ts'
import type { GatewaySettings } from './gateway-settings.ts'
import { defaultSessionLimits } from '@doorward/enforcement'
import type { SessionLimits } from '@doorward/enforcement'

export class LiveSettings {
  #current: GatewaySettings

  constructor(first: GatewaySettings) {
    this.#current = first
  }

  get current(): GatewaySettings {
    return this.#current
  }

  take(next: GatewaySettings): void {
    this.#current = next
  }
}

const BODY_BYTES = 1024 * 1024

/** Of a request. */
export function bodyBytes({ limits }: GatewaySettings): number {
  return limits?.bodyBytes ?? BODY_BYTES
}

/** As they are now, whenever they are looked at. */
export function sessionLimits(live: LiveSettings): SessionLimits {
  const limit = (name: keyof SessionLimits) => live.current.limits?.sessions?.[name] ?? defaultSessionLimits[name]
  return {
    get perOwner() {
      return limit('perOwner')
    },
    get total() {
      return limit('total')
    },
    get idleMilliseconds() {
      return limit('idleMilliseconds')
    },
    get pending() {
      return limit('pending')
    },
    get streams() {
      return limit('streams')
    },
  }
}

/** Of the calls of a server or service, as they are now, whenever they are looked at. */
export function callBounds(live: LiveSettings, name: string): CallBounds {
  const bounds = () => {
    const { servers, backends } = live.current
    return servers[name]?.limits ?? backends?.[name]?.limits
  }
  return {
    get concurrent() {
      return bounds()?.concurrent ?? null
    },
    get deadlineMilliseconds() {
      return bounds()?.deadlineMilliseconds ?? null
    },
  }
}

type ListenerLimits = NonNullable<GatewaySettings['security']['listenerLimits']>

/** Those of the start, with what an address may now. */
export function listenerLimits(live: LiveSettings): ListenerLimits {
  return {
    ...live.current.security.listenerLimits,
    ofAddress: (address) => {
      const { handshakes, connectionsPerAddress, ofAddress } = live.current.security.listenerLimits ?? {}
      return {
        ...(handshakes === undefined ? {} : { handshakes }),
        ...(connectionsPerAddress === undefined ? {} : { connectionsPerAddress }),
        ...ofAddress?.(address),
      }
    },
  }
}
