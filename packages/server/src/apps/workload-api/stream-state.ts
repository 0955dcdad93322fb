/** What a stream has told, and whether what is there now takes some of it back: withdrawals wait for nothing (WA-2). */

import { basisOf, liveJwtKeys } from './held-identities.ts'
import type { UsableIdentity } from './held-identities.ts'

export interface StreamGrant {
  readonly held: { readonly name: string }
  readonly hint: string | null
  readonly now: UsableIdentity
}

export interface StreamState {
  /** Equal for equal content. */
  readonly basis: string
  /** Identities, anchors and keys of JWT-SVIDs, each by name. */
  readonly names: ReadonlySet<string>
  readonly certificates: readonly UsableIdentity['svid']['certificate'][]
}

export function streamState(grants: readonly StreamGrant[]): StreamState {
  return {
    basis: grants.map(({ held, hint, now }) => `${held.name} ${hint} ${basisOf(now)}`).join('\n'),
    names: new Set(grants.flatMap(namesOf)),
    certificates: grants.map(({ now }) => now.svid.certificate),
  }
}

/** Whether something that was told of is not there any more, or what took its place came because it is denied. */
export function isWithdrawal({ names, certificates }: StreamState, grants: readonly StreamGrant[]): boolean {
  const left = new Set(grants.flatMap(namesOf))
  if ([...names].some((name) => !left.has(name))) return true
  const denied = new Set(grants.flatMap(({ now }) => now.trust.denied.serials))
  return certificates.some(({ serial }) => denied.has(serial))
}

function namesOf({ held, now }: StreamGrant): readonly string[] {
  const anchors = now.anchors.map((der) => `anchor ${Buffer.from(der).toString('base64')}`)
  return [`identity ${held.name}`, ...anchors, ...liveJwtKeys(now.trust).map(({ kid }) => `key ${kid}`)]
}
