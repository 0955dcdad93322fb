/** How a gateway is, from what it holds now. */

import { formatVerifierKey, freshness, toSeconds, verifierKey } from '@doorward/core'
import type { Clock, Freshness } from '@doorward/core'
import type { SessionTable } from '@doorward/enforcement'
import { sha256 } from '@doorward/sdk'
import { healthOf } from '../observability/health.ts'
import type { Health } from '../observability/health.ts'
import type { HttpBackend } from '../transports/http-backends.ts'
import { edgeFacts } from './gateway-edge.ts'
import type { RunningEdge } from './gateway-edge.ts'
import type { GatewayServer } from './gateway-servers.ts'
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

export interface HealthParts extends GatewayFacts {
  readonly servers: ReadonlyMap<string, Pick<GatewayServer, 'circuit'>>
}

export function healthNow(facts: HealthParts, stopping: AbortSignal): Health {
  return healthOf({
    stopping: stopping.aborted,
    trust: trustNow(facts),
    record: recordNow(facts.state),
    certificateSeconds: certificateSeconds(facts),
    serversAway: facts.settings.needsServer === true && areAway(facts.servers),
  })
}

/** Every server is given a pause. After that one has to be asked to know, so nobody may be kept from asking. */
function areAway(servers: HealthParts['servers']): boolean {
  const now = performance.now()
  return servers.size > 0 && [...servers.values()].every(({ circuit }) => circuit.state(now) === 'open')
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
  readonly servers: ReadonlyMap<string, GatewayServer>
  readonly backends: ReadonlyMap<string, HttpBackend>
  readonly sessions: SessionTable
  /** Null where there is none. */
  readonly edge: RunningEdge | null
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
    servers: [...servers].map(([name, { upstream, audience, circuit }]) => ({
      name,
      transport: upstream.transport,
      audience,
      circuit: circuit.state(performance.now()),
      failures_in_a_row: circuit.inARow,
    })),
    services: [...parts.backends].map(([name, { audience, circuit }]) => ({
      name,
      audience,
      circuit: circuit.state(performance.now()),
      failures_in_a_row: circuit.inARow,
    })),
    sessions: sessions.size,
    edge: parts.edge === null ? null : { ...edgeFacts(parts.edge), certificate_ends: certificateEnd(parts.edge) },
  }
}

/** Null while there is no certificate. */
function certificateEnd({ certificateEnds }: RunningEdge): number | null {
  const ends = certificateEnds()
  return ends === null ? null : toSeconds(ends)
}

/** Verifier key of the gateway's log. */
export function verifierKeyOf({ record, logKey }: GatewayState): string {
  return formatVerifierKey(verifierKey(sha256, record.stats().origin, logKey.publicKey))
}
