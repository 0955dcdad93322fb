/** Whether an identity can still be used: by its own certificate, by the trust state, and by what the authority said. */

import { backdatingSeconds, toSeconds } from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import { importP256, ServerRefused, serverProblem } from '@doorward/sdk'
import type { Identity, Runtime, Svid } from '@doorward/sdk'

export type Standing =
  | { readonly kind: 'usable'; readonly svid: Svid }
  /** Servers refuse what is held; another certificate may come. */
  | { readonly kind: 'lapsed'; readonly code: string; readonly message: string }
  /** The authority has taken the identity away. */
  | { readonly kind: 'dead'; readonly code: string; readonly message: string }

export interface RefusalWatch {
  /** Takes every error that was survived; remembers what concerns the identity itself. */
  hear(error: unknown): void
  /** What the authority said of this certificate or its identity; null when nothing. */
  heard(svid: Svid | null): Standing | null
  /** Calls back when something was remembered; returns the way to stop. */
  onHeard(listener: () => void): () => void
}

/** What is asked of an identity here. */
export interface StandingIdentity extends Pick<Identity, 'id' | 'credentials'> {
  readonly trust: Pick<Identity['trust'], 'now'>
  readonly trustStore: Pick<Identity['trustStore'], 'view'>
}

/** Refusals by the authority that no other certificate cures. */
const FINAL = new Set(['identity_denied', 'identity_unregistered', 'join_refused'])

export function refusalWatch(current: () => Svid | null): RefusalWatch {
  const listeners = new Set<() => void>()
  let final: Standing | null = null
  let revoked: { readonly fingerprint: string | undefined; readonly standing: Standing } | null = null
  return {
    hear: (error) => {
      if (!(error instanceof ServerRefused)) return
      const { code, message } = error
      if (FINAL.has(code)) final = { kind: 'dead', code, message }
      else if (code === 'certificate_denied')
        revoked = { fingerprint: current()?.fingerprint, standing: { kind: 'lapsed', code, message } }
      else return
      for (const listener of listeners) listener()
    },
    heard: (svid) => final ?? (revoked !== null && revoked.fingerprint === svid?.fingerprint ? revoked.standing : null),
    onHeard: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/**
 * The later of wall clock and authority's time: a clock that was set back revives nothing, and one that stood still while
 * the machine slept does not either.
 */
export function latestTime({ trust }: Pick<StandingIdentity, 'trust'>, runtime: Runtime): EpochSeconds {
  return toSeconds(Math.max(runtime.wall(), trust.now()) as ReturnType<Runtime['wall']>)
}

/** Judges without asking anybody. Without a current trust state a certificate counts until its end. */
export function standingOf(identity: StandingIdentity, watch: Pick<RefusalWatch, 'heard'>, runtime: Runtime): Standing {
  const svid = identity.credentials.peek()
  const heard = watch.heard(svid)
  if (heard !== null) return heard
  if (svid === null) return lapsed('identity_without_certificate', 'the identity holds no certificate')
  const { certificate } = svid
  const now = latestTime(identity, runtime)
  if (now >= certificate.notAfter)
    return lapsed('certificate_expired', `the certificate ended at ${certificate.notAfter}`)
  const trust = identity.trustStore.view()
  if (trust === null) return { kind: 'usable', svid }
  const deniedBefore = trust.deniedIdentities.get(identity.id.uri)
  if (deniedBefore !== undefined && certificate.notBefore + backdatingSeconds < deniedBefore)
    return { kind: 'dead', code: 'identity_denied', message: `what was issued before ${deniedBefore} is denied` }
  // A clock that is behind is no reason to take a certificate away.
  const moment = Math.max(now, certificate.notBefore) as EpochSeconds
  const problem = serverProblem(certificate, { expected: identity.id, trust, now: moment, importP256, mirror: 'skip' })
  return problem === null ? { kind: 'usable', svid } : lapsed(problem.code, problem.message)
}

function lapsed(code: string, message: string): Standing {
  return { kind: 'lapsed', code, message }
}
