/** What one authority sees of an open ceremony: in the store, in the newest trust state, and of its own followers. */

import { epochMillis } from '@doorward/core'
import type { EpochMillis, SlotState, TrustState } from '@doorward/core'
import { acknowledged, followerKey } from './ceremony-audience.ts'
import type { Acknowledged, Follower, Marks } from './ceremony-audience.ts'
import { hasReached, isChosen } from './ceremony.ts'
import type { Ceremony, CeremonyAuthority } from './ceremony.ts'
import { withoutNew } from './ceremony-stages.ts'
import type { AuthoritySight, CeremonyTimes, Sight } from './ceremony-stages.ts'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import { sameKey } from './delegation.ts'
import { isDelegated } from './delegation-request.ts'
import type { AuthorityEntry, IssuedCertificateRow, KeySlot, StoredAck } from './ports.ts'
import { slotPurposes } from './key-slots.ts'
import type { TrustAudience } from './trust-audience.ts'
import type { PublishedState, TrustPublisher } from './trust-publisher.ts'

export interface SightParts {
  readonly context: AuthorityContext
  readonly publisher: Pick<TrustPublisher, 'current' | 'delegation'>
  readonly audience: Pick<TrustAudience, 'connected'>
  readonly times: CeremonyTimes
}

const nobody: Acknowledged = { followers: [], stragglers: [], each: [] }
/** What is not there any more comes first: it will not come to sign. */
const progress: readonly (SlotState | 'missing')[] = ['missing', 'retired', 'prepared', 'published', 'active']
/** All live certificates are looked at no more often. */
const certificatesMilliseconds = 1000

type Lasting = 'delegated' | 'shown' | 'reissued'

/** Remembers within one stage since when something is so. */
export class CeremonySighting {
  readonly #parts: SightParts
  readonly #startedAt: EpochMillis
  #stage = ''
  #since = new Map<Lasting, EpochMillis>()
  #marks: Marks | null = null
  #holders: { readonly at: EpochMillis; readonly keys: ReadonlySet<string> } | null = null

  constructor(parts: SightParts) {
    this.#parts = parts
    this.#startedAt = parts.context.clock()
  }

  async look(ceremony: Ceremony): Promise<Sight> {
    const { context, publisher } = this.#parts
    const now = context.clock()
    this.#enter(`${ceremony.id} ${ceremony.stage}`)
    const slots = await context.store.slots.list()
    const authorities = await this.#authorities(ceremony, slots)
    const delegated = ceremony.stage === 'delegate' && (await isDelegated(context, ceremony))
    const published = publisher.current()
    const shown = [published, published.callers].every(({ state }) => isShown(ceremony, state, { slots, authorities }))
    const shownSince = this.#holdsSince('shown', shown, now)
    if (shown) this.#marks ??= marksOf(published)
    const audience = await this.#audience(ceremony, now)
    const reissued = ceremony.stage === 'reissue' ? await this.#reissued(audience, ceremony, slots) : []
    const allReissued = shownSince !== null && withoutNew({ audience, reissued }).length === 0
    return {
      now,
      authorities,
      delegatedSince: this.#holdsSince('delegated', delegated, now),
      shownSince,
      audience,
      reissued,
      reissuedSince: this.#holdsSince('reissued', allReissued, now),
      remaining: slots.filter((slot) => slot.certificate !== null && isReplaced(ceremony, slot)).length,
    }
  }

  #enter(stage: string): void {
    if (this.#stage === stage) return
    this.#stage = stage
    this.#since = new Map()
    this.#marks = null
    this.#holders = null
  }

  #holdsSince(what: Lasting, holds: boolean, now: EpochMillis): EpochMillis | null {
    const since = this.#since.get(what) ?? (holds ? now : null)
    if (since !== null) this.#since.set(what, since)
    return since
  }

  async #authorities(ceremony: Ceremony, slots: readonly KeySlot[]): Promise<readonly AuthoritySight[]> {
    const { context } = this.#parts
    const { store, clock, id } = context
    const entries = await store.leases.list(clock())
    const contributions = await store.ceremonies.contributions(ceremony.id)
    const own = await store.issuance.live(nowSeconds(context), id.uri)
    const { keys } = this.#parts.publisher.delegation.delegation
    // A recovery's own keys: those of the delegation at hand may be the old ones still.
    const named = (instance: string) =>
      ceremony.kind === 'rotate'
        ? keys
        : contributions.filter(({ authority }) => authority === instance).map(({ trustKey }) => trustKey)
    return takingPart(ceremony, entries).map(({ instance, name }) => {
      const entry = entries.find((one) => one.instance === instance)
      const made = slots.filter((slot) => slot.authority === instance && slot.ceremony === ceremony.id)
      return {
        instance,
        name,
        live: entry?.live ?? false,
        slots: leastOf(made),
        contributed: contributions.some(({ authority }) => authority === instance),
        delegated: named(instance).some(
          (key) => entry !== undefined && entry.trustKey !== null && sameKey(key, entry.trustKey),
        ),
        certified: made.some(({ keyId }) => own.some((row) => row.authority === instance && row.anchorKeyId === keyId)),
      }
    })
  }

  async #audience({ kind, stage }: Ceremony, now: EpochMillis): Promise<Acknowledged> {
    const { context, audience, times } = this.#parts
    if (this.#marks === null) return nobody
    const connected = audience.connected()
    const here = new Set(connected.map(followerKey))
    // A denial has just ended every connection: whoever followed a moment ago is expected back.
    const cutOff = kind === 'recover' && stage === 'settle'
    // Whom this process has heard of here, and who is not connected any more, has gone.
    const isGone = (ack: StoredAck) =>
      !cutOff && ack.authority === context.name && ack.at >= this.#startedAt && !here.has(followerKey(ack))
    const acks = (await context.store.acks.list()).filter((ack) => !isGone(ack))
    return acknowledged(acks, connected, { marks: this.#marks, since: epochMillis(now - times.heard) })
  }

  /** Ids of followers of which every instance that follows has a new certificate. */
  async #reissued(
    { followers, each }: Acknowledged,
    ceremony: Ceremony,
    slots: readonly KeySlot[],
  ): Promise<readonly string[]> {
    const holders = await this.#withNewCertificates(ceremony, slots)
    const late = new Set(each.filter((one) => !holders.has(holderKey(one))).map(({ id }) => id))
    return followers.filter((id) => !late.has(id))
  }

  async #withNewCertificates(ceremony: Ceremony, slots: readonly KeySlot[]): Promise<ReadonlySet<string>> {
    const { context } = this.#parts
    const now = context.clock()
    if (this.#holders !== null && Math.abs(now - this.#holders.at) < certificatesMilliseconds) return this.#holders.keys
    const old = replacedKeys(ceremony, slots)
    const live = await context.store.issuance.live(nowSeconds(context))
    const renewed = live.filter(({ anchorKeyId }) => !old.has(anchorKeyId))
    // Of a follower whose instance is not known, any will do.
    const keys = new Set(
      renewed.flatMap(({ id, instance }) => ['', instance ?? ''].map((of) => holderKey({ id, instance: of }))),
    )
    this.#holders = { at: now, keys }
    return keys
  }
}

function holderKey({ id, instance }: Pick<Follower, 'id' | 'instance'>): string {
  return `${id} ${instance}`
}

/** Before the end of `prepare` those who serve and were chosen, then those who have made keys. */
function takingPart(ceremony: Ceremony, entries: readonly AuthorityEntry[]): readonly CeremonyAuthority[] {
  if (ceremony.stage !== 'prepare') return ceremony.authorities
  return entries.filter((entry) => entry.live && entry.place !== null && isChosen(ceremony, entry))
}

function leastOf(slots: readonly KeySlot[]): SlotState | 'missing' {
  const states = slotPurposes.map((purpose) => slots.find((slot) => slot.purpose === purpose)?.state ?? 'missing')
  return progress.find((state) => states.includes(state)) ?? 'missing'
}

/** Whether a key is one that the ceremony replaces. A recovery replaces whatever is of an earlier epoch. */
export function isReplaced({ id, kind, replaces, epoch }: Ceremony, slot: KeySlot): boolean {
  if (slot.ceremony === id) return false
  return kind === 'recover' ? slot.epoch < epoch : replaces.includes(slot.keyId)
}

export function replacedKeys(ceremony: Ceremony, slots: readonly KeySlot[]): ReadonlySet<string> {
  const present = slots.filter((slot) => isReplaced(ceremony, slot)).map(({ keyId }) => keyId)
  return new Set([...ceremony.replaces, ...present])
}

interface Shown {
  readonly slots: readonly KeySlot[]
  readonly authorities: readonly AuthoritySight[]
}

/** Whether a state shows what the stage wants everyone to see. */
function isShown(ceremony: Ceremony, state: TrustState, { slots, authorities }: Shown): boolean {
  const old = replacedKeys(ceremony, slots)
  const denied = () => state.epoch >= ceremony.epoch && state.anchors.every(({ keyId }) => !old.has(keyId))
  switch (ceremony.stage) {
    case 'publish':
    case 'activate':
      return showsNew(ceremony, state, { slots, authorities })
    case 'reissue':
      return state.anchors.every(({ keyId, reissue }) => reissue || !old.has(keyId))
    case 'deny':
      return ceremony.kind === 'rotate' || denied()
    case 'settle':
      return ceremony.kind === 'recover' ? denied() : showsNew(ceremony, state, { slots, authorities })
    case 'prepare':
    case 'delegate':
    case 'done':
    case 'failed':
      return false
  }
}

/**
 * Every new key that is out, in its present state, and at least one. Once they have signed none may be left: where all were
 * revoked meanwhile, or their authorities have gone, there is nothing of them that anybody could wait for.
 */
function showsNew(ceremony: Ceremony, state: TrustState, { slots, authorities }: Shown): boolean {
  const live = new Set(authorities.filter((one) => one.live && one.delegated).map(({ instance }) => instance))
  const out = slots.filter(
    (slot) => slot.ceremony === ceremony.id && slot.state !== 'prepared' && live.has(slot.authority),
  )
  const shown = new Map([
    ...state.anchors.map(({ keyId, state: slot }) => [keyId, slot] as const),
    ...[...state.tokenKeys, ...state.jwtSvidKeys].map(({ kid, state: slot }) => [kid, slot] as const),
  ])
  const activated = hasReached(ceremony, 'activate')
  return (
    (out.length > 0 || ceremony.stage === 'settle') &&
    out.every(({ keyId, state: slot }) => shown.get(keyId) === slot || (!activated && shown.has(keyId)))
  )
}

function marksOf({ state, callers }: PublishedState): Marks {
  return {
    full: { delegation: state.delegation, sequence: state.sequence },
    callers: { delegation: callers.state.delegation, sequence: callers.state.sequence },
  }
}

/**
 * Anchors that nothing needs any more: for every certificate under one there is another by a key that stays, for so long
 * that connections have moved to it.
 */
export function unneeded(
  anchors: readonly KeySlot[],
  live: readonly IssuedCertificateRow[],
  moment: { readonly old: ReadonlySet<string>; readonly movedBefore: number },
): readonly string[] {
  const holder = ({ id, instance, authority }: IssuedCertificateRow) => `${id} ${instance ?? authority}`
  const moved = new Set(
    live
      .filter(({ anchorKeyId, intendedAt }) => !moment.old.has(anchorKeyId) && intendedAt <= moment.movedBefore)
      .map(holder),
  )
  const needed = new Set(live.filter((row) => !moved.has(holder(row))).map(({ anchorKeyId }) => anchorKeyId))
  return anchors.map(({ keyId }) => keyId).filter((keyId) => !needed.has(keyId))
}
