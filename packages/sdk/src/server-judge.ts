/** Whether the server at the other end of a connection is taken, by the trust state at hand and, if it is missing there, by the next one. */

import { epochMillis, toSeconds } from '@doorward/core'
import type { PeerCertificate, SpiffeId } from '@doorward/core'
import type { TrustHolder } from '@doorward/enforcement'
import type { PoolTrust, Target } from './connection-pool.ts'
import type { Runtime } from './runtime.ts'
import { serverProblem } from './server-identity.ts'
import type { ServerTrust } from './server-identity.ts'
import type { TrustMemory } from './trust-memory.ts'
import type { TrustStore } from './trust-store.ts'

/** The authority brings the trust state, so it is the one server that may be known by newer anchors alone. */
export function trustFor(expected: SpiffeId, store: TrustStore, authorityId: SpiffeId): ServerTrust | null {
  return expected.uri === authorityId.uri ? store.authorityTrust() : store.view()
}

export interface JudgeParts {
  readonly store: TrustStore
  readonly holder: TrustHolder
  readonly authorityId: SpiffeId
  readonly runtime: Runtime
  /** Waits for, or fetches, a newer state. */
  readonly refresh: () => Promise<void>
  readonly memory: Pick<TrustMemory, 'importP256' | 'chains'>
}

export function serverJudge(parts: JudgeParts): PoolTrust['judge'] {
  const { store, holder, authorityId, runtime, refresh, memory } = parts
  const once = (server: PeerCertificate, target: Target, mirror: 'require' | 'skip') => {
    const trust = trustFor(target.expected, store, authorityId)
    if (trust === null)
      return { code: 'trust_state_missing', message: 'there is no current trust state to judge the server by' }
    return serverProblem(server, {
      expected: target.expected,
      trust,
      // A clock that was set back brings no certificate back: the authority's time goes on.
      now: toSeconds(epochMillis(Math.max(runtime.wall(), holder.now()))),
      importP256: memory.importP256,
      mirror,
      chains: memory.chains,
    })
  }
  return async (server, target, moment) => {
    // The authority brings the mirror, so its own newest certificate may be missing from the one at hand.
    const skip = moment === 'connected' || target.expected.uri === authorityId.uri
    const problem = once(server, target, skip ? 'skip' : 'require')
    if (problem?.code !== 'server_not_issued') return problem
    await refresh()
    return once(server, target, 'require')
  }
}

/** True when the server's anchor is recalled and the mirror has a later certificate of the same server. */
export function isOutdated(
  { authorityKeyId, notAfter }: PeerCertificate,
  { expected }: Pick<Target, 'expected'>,
  store: Pick<TrustStore, 'view'>,
): boolean {
  const state = store.view()?.state
  if (state?.anchors.some(({ keyId, reissue }) => reissue && keyId === authorityKeyId) !== true) return false
  return state.issued.some((issued) => issued.id === expected.uri && issued.notAfter > notAfter)
}
