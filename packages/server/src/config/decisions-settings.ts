/** `decisions` as plain values. */

import type { DecisionsSection } from './decisions-schema.ts'
import { readAddress } from './settings.ts'
import type { Address, Deployment } from './settings.ts'

export interface DecisionsSettings {
  readonly address: Address
  /** Origin by which proxies reach it; null: its address alone. */
  readonly publicUrl: string | null
  /** By name: where callers reach the service, at the proxy. */
  readonly services: Readonly<Record<string, string>>
  /** By name. */
  readonly proxies: DecisionsSection['proxies']
}

/** Null where nobody asks. */
export function decisionsSettings({ configuration }: Pick<Deployment, 'configuration'>): DecisionsSettings | null {
  const { decisions, listeners } = configuration
  if (decisions === undefined || listeners.decisions === undefined) return null
  const services = Object.entries(decisions.services).map(([name, { public_url: url }]) => [name, url] as const)
  return {
    address: readAddress(listeners.decisions),
    publicUrl: decisions.public_url ?? null,
    services: Object.fromEntries(services),
    proxies: decisions.proxies,
  }
}
