/** Keys, delegation and trust state of one authority, up to the first published state. */

import { DoorwardError, isDoorwardError, jwkThumbprint, verifierKey } from '@doorward/core'
import type { Clock, NoteSigner } from '@doorward/core'
import { TrustHolder } from '@doorward/enforcement'
import { importP256, sha256, systemElapsed, timerSleep } from '@doorward/sdk'
import { Authority } from '../authority/authority.ts'
import { Ceremonies } from '../authority/ceremonies.ts'
import { CeremonyDriver } from '../authority/ceremony-driver.ts'
import { ceremonyTimes } from '../authority/ceremony-stages.ts'
import { nowSeconds } from '../authority/context.ts'
import type { AuthorityContext } from '../authority/context.ts'
import { holdDelegation, toldKeys } from '../authority/delegation.ts'
import type { HeldDelegation } from '../authority/delegation.ts'
import type { LeaseEntry } from '../authority/lease.ts'
import { KeySlots } from '../authority/key-slots.ts'
import type { CustodyKey } from '../authority/ports.ts'
import { Revocations } from '../authority/revocations.ts'
import { TrustAudience } from '../authority/trust-audience.ts'
import { TrustPublisher } from '../authority/trust-publisher.ts'
import { readRecoveryRoot } from '../secrets/recovery-root.ts'
import type { AuthorityState } from './authority-state.ts'

/** What of the opened state it works with. */
export type TrustBasis = Pick<AuthorityState, 'lease' | 'logKey' | 'rootFile' | 'rootFingerprint'> & {
  readonly record: Pick<AuthorityState['record'], 'stats'>
}

export interface TrustParts {
  readonly context: AuthorityContext
  readonly state: TrustBasis
  readonly clock: Clock
  readonly issuer: string
  readonly allowedAudience: (audience: string) => boolean
  readonly outsideAudience: (audience: string) => boolean
  readonly enrolAddress: () => string
  /** Puts keys in place of own ones that are denied, with everything that has to follow; true when that was published. */
  readonly settleKeys: () => Promise<boolean>
  /** States come after this sequence; 0 by default. */
  readonly floor?: number
  readonly signal: AbortSignal
  /** The authority waits for the recovery root to name its key, with this RFC 7638 thumbprint. */
  readonly onWaiting: (thumbprint: string) => void
}

export interface OpenedTrust {
  readonly authority: Authority
  readonly slots: KeySlots
  readonly publisher: TrustPublisher
  readonly audience: TrustAudience
  readonly holder: TrustHolder
  readonly ceremonies: CeremonyDriver
  /** Renews the delegation when that is due and the root is at hand; the one in force otherwise. */
  readonly delegateAgain: () => Promise<HeldDelegation>
  /** Does it, and again after waiting for the root, as long as a newer delegation has left our key out meanwhile. */
  readonly onceDelegated: <T>(work: () => Promise<T>) => Promise<T>
}

const waitMilliseconds = 1000

/** Waits until the recovery root has delegated to a key of ours. Throws `delegation_expired`, `stopped`, `root_*`, `key_*`, and what store and record throw. */
export async function openTrust(parts: TrustParts): Promise<OpenedTrust> {
  const { context, clock, state } = parts
  const slots = new KeySlots(context)
  await slots.sweep(nowSeconds(context))
  await slots.advance(nowSeconds(context))
  const delegateAgain = () => delegation(context, state)
  const delegated = await untilDelegated(parts, delegateAgain)
  // Before anything is signed: what nobody knows to be ours, the others would take back.
  await tellKeys(parts, delegated.key)
  const holder = new TrustHolder({ sha256, importP256, monotonic: systemElapsed, wall: clock })
  const audience = new TrustAudience()
  const publisher = new TrustPublisher({
    context,
    delegation: delegated,
    floor: parts.floor ?? 0,
    hold: delegateAgain,
    audience,
    onState: (published, time) => holder.apply(published.state, time),
    onConfirmed: (time) => holder.confirm(time),
  })
  const onceDelegated = <T>(work: () => Promise<T>) => retried(work, () => untilDelegated(parts, delegateAgain))
  await onceDelegated(() => publisher.publish())
  const { issuer, allowedAudience, outsideAudience, enrolAddress } = parts
  const { rootFingerprint } = state
  const driver = new CeremonyDriver({ context, slots, publisher, audience, issuer, times: ceremonyTimes })
  const authority = new Authority({
    context,
    slots,
    publisher,
    audience,
    revocations: new Revocations({ context, publisher, audience, settleKeys: parts.settleKeys }),
    ceremonies: new Ceremonies({ context, driver, allowedAudience, signer: noteSigner(state) }),
    issuer,
    allowedAudience,
    outsideAudience,
    enrolAddress,
    rootFingerprint,
    rootAtHand: async () => (await readRecoveryRoot(state.rootFile, sha256)) !== null,
    storeAhead: () => state.lease.storeAhead,
  })
  return { authority, slots, publisher, audience, holder, ceremonies: driver, delegateAgain, onceDelegated }
}

/** Reports are signed like checkpoints, so that the verifier key of the log verifies them too. */
function noteSigner({ record, logKey }: TrustBasis): NoteSigner {
  const { origin } = record.stats()
  const { keyId } = verifierKey(sha256, origin, logKey.publicKey)
  return { name: origin, keyId, key: logKey.sign }
}

/** A further authority of a trust domain serves nobody before the root has named its key. */
async function untilDelegated(
  { context, state, signal, onWaiting }: TrustParts,
  hold: () => Promise<HeldDelegation>,
): Promise<HeldDelegation> {
  for (let told = false; ; told = true) {
    const held = await hold()
    if (held.key !== null) return held
    const { trustKey } = await tellKeys({ context, state }, null)
    if (!told && trustKey !== null) onWaiting(jwkThumbprint(trustKey, sha256))
    await timerSleep(waitMilliseconds, signal)
    if (signal.aborted) throw new DoorwardError('stopped', 'stopped before the recovery root had named its key')
  }
}

type Telling = Pick<TrustParts, 'context' | 'state'>

/** Where we are reached is as it was, until there are listeners. */
async function tellKeys({ context, state }: Telling, inUse: CustodyKey | null) {
  const told = await toldKeys(context, inUse)
  const { place, log } = await toldBefore(context)
  await state.lease.renew({ place, log, ...told })
  return told
}

/** All that we have, and as in use what was. */
async function tellAllKeys({ context, state }: Telling): Promise<void> {
  const { trustKeys } = await toldKeys(context, null)
  const { place, log, trustKey } = await toldBefore(context)
  await state.lease.renew({ place, log, trustKey, trustKeys })
}

async function toldBefore({ store, clock, instance }: TrustParts['context']): Promise<LeaseEntry> {
  const before = (await store.leases.list(clock())).find((entry) => entry.instance === instance)
  return before ?? { place: null, log: null, trustKey: null, trustKeys: [] }
}

async function retried<T>(work: () => Promise<T>, wait: () => Promise<unknown>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!isDoorwardError(error, 'delegation_missing')) throw error
      await wait()
    }
  }
}

/** The root is looked for each time: it comes back for a delegation and leaves again. */
async function delegation(context: AuthorityContext, state: TrustBasis): Promise<HeldDelegation> {
  const root = await readRecoveryRoot(state.rootFile, sha256)
  if (root === null) return holdDelegation(context, null)
  const { key } = root
  return holdDelegation(context, { jwk: key.jwk, key, tellKeys: () => tellAllKeys({ context, state }) })
}
