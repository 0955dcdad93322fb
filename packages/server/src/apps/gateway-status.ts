/** How a gateway is, from what it holds now. */

import { formatVerifierKey, freshness, toSeconds, verifierKey } from '@doorward/core'
import type { Clock, Freshness } from '@doorward/core'
import { sha256 } from '@doorward/sdk'
import { healthOf } from '../observability/health.ts'
import type { Health } from '../observability/health.ts'
import type { SessionTable } from '../transports/session.ts'
import type { McpServer } from '../transports/streamable-http.ts'
import type { GatewaySettings } from './gateway-settings.ts'
import type { GatewayState } from './gateway-state.ts'

export interface GatewayFacts {
  readonly settings: GatewaySettings
  readonly clock: Clock
  readonly state: GatewayState
}

/** `none` before the authority was heard for the first time. */
export function trustNow({ settings, state }: GatewayFacts): 'none' | Freshness {
  const { trust } = state.identity
  return trust.current() === null ? 'none' : freshness(trust.ageSeconds(), settings.staleness)
}

export function healthNow(facts: GatewayFacts, stopping: AbortSignal): Health {
  return healthOf({
    stopping: stopping.aborted,
    trust: trustNow(facts),
    record: recordNow(facts.state),
    certificateSeconds: certificateSeconds(facts),
  })
}

/** Below zero where there is no certificate that can be used. */
function certificateSeconds({ state, clock }: GatewayFacts): number {
  const { credentials } = state.identity
  const notAfter = state.identity.isUsable() ? (credentials.peek()?.certificate.notAfter ?? 0) : 0
  return notAfter - toSeconds(clock())
}

/** As the metrics read them. */
export function gatewayFacts(facts: GatewayFacts) {
  const { state } = facts
  return {
    record: state.record,
    recordState: () => recordNow(state),
    trust: state.identity.trust,
    trustState: () => trustNow(facts),
    certificateSeconds: () => certificateSeconds(facts),
  }
}

/** `unseen` before a witness has seen the log since the start, `refused` when one remembers another. */
function recordNow({ record, witnessed }: GatewayState): string {
  const { state } = record.stats()
  return state === 'open' && witnessed.state !== 'seen' ? witnessed.state : state
}

export interface StatusParts extends GatewayFacts {
  readonly servers: ReadonlyMap<string, McpServer>
  readonly sessions: SessionTable
  readonly health: () => Health
}

/** For operators; no secrets. */
export function statusNow(parts: StatusParts): object {
  const { state, servers, sessions, health } = parts
  const view = state.identity.trust.current()
  const svid = state.identity.credentials.peek()
  return {
    id: state.identity.id.uri,
    health: health(),
    trust: {
      freshness: trustNow(parts),
      age_seconds: Math.round(state.identity.trust.ageSeconds()),
      delegation: view?.state.delegation ?? null,
      sequence: view?.state.sequence ?? null,
      epoch: view?.state.epoch ?? null,
    },
    certificate: svid === null ? null : { serial: svid.certificate.serial, not_after: svid.certificate.notAfter },
    record: { ...state.record.stats(), verifier_key: verifierKeyOf(state) },
    servers: [...servers].map(([name, { upstream, audience }]) => ({ name, transport: upstream.transport, audience })),
    sessions: sessions.size,
  }
}

/** Verifier key of the gateway's log. */
export function verifierKeyOf({ record, logKey }: GatewayState): string {
  return formatVerifierKey(verifierKey(sha256, record.stats().origin, logKey.publicKey))
}
