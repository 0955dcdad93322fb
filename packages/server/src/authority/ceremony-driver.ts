/**
 * Moves the open ceremony on: this authority's own part of the present stage, and the stage itself when everybody's is done.
 *
 * Run by every authority's loop. What is done twice changes nothing; a stage is left by compare-and-swap; whoever was away
 * makes up for the earlier stages first. Every change is on record, with the ceremony, before it is made.
 */

import { epochSeconds, jwkThumbprint } from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import { signCanaries } from './ceremony-canary.ts'
import { CeremonySighting, isReplaced, replacedKeys, unneeded } from './ceremony-sight.ts'
import type { SightParts } from './ceremony-sight.ts'
import { isSettled, judgeStage, prepared } from './ceremony-stages.ts'
import type { Sight } from './ceremony-stages.ts'
import { failedCeremony } from './ceremony-start.ts'
import { enteredAt, hasReached, isChosen, isOpen, nothingSeen } from './ceremony.ts'
import type { Ceremony, CeremonySight, CeremonyStage } from './ceremony.ts'
import { nowSeconds } from './context.ts'
import { forgetTrustKeys, newTrustKey } from './delegation.ts'
import type { KeySlots } from './key-slots.ts'
import type { Denial, KeySlot } from './ports.ts'
import type { TrustPublisher } from './trust-publisher.ts'

export interface CeremonyParts extends SightParts {
  readonly slots: KeySlots
  readonly publisher: TrustPublisher
  /** `iss` of tokens. */
  readonly issuer: string
}

/** What the process does for it beside keys and store. */
export interface CeremonyEffects {
  /** A certificate of its own by the anchor that signs now, in use at once. */
  readonly renewCertificate: () => Promise<void>
  /** The other authorities know of every key for trust state that this one holds. */
  readonly tellKeys: () => Promise<void>
}

/** What is seen of an open ceremony, for whoever watches. */
export interface CeremonyProgress {
  readonly ceremony: Ceremony
  readonly sight: CeremonySight
  /** Everyone has acknowledged the end, or was waited for: time to show that the old keys are refused. */
  readonly settled: boolean
}

/** More stages in one go there are not. */
const MAX_MOVES = 12
const latecomerSeconds = 5
const drainSeconds = 30
/** What a denied key has signed is refused for some time longer than it could live. */
const denialMarginSeconds = 600

export class CeremonyDriver {
  readonly #parts: CeremonyParts
  readonly #sighting: CeremonySighting
  #seen: { readonly id: string; readonly stage: CeremonyStage; readonly sight: Sight } | null = null
  #ended: string | null = null

  constructor(parts: CeremonyParts) {
    this.#parts = parts
    this.#sighting = new CeremonySighting(parts)
  }

  /** True while a ceremony is open. Rejects with what store, record and custody throw: the next call goes on. */
  async advance(effects: CeremonyEffects): Promise<boolean> {
    const { store } = this.#parts.context
    for (let moves = 0; moves < MAX_MOVES; moves++) {
      const ceremony = await store.ceremonies.newest()
      if (ceremony === null) return false
      if (!isOpen(ceremony)) {
        await this.#end(ceremony)
        return false
      }
      await this.#takePart(ceremony, effects)
      if (!(await this.#move(ceremony))) return true
    }
    return true
  }

  /** The newest ceremony and what was last seen of it. */
  async progress(): Promise<CeremonyProgress | null> {
    const { context, times } = this.#parts
    const ceremony = await context.store.ceremonies.newest()
    if (ceremony === null) return null
    const seen = this.#seen
    const current = seen !== null && seen.id === ceremony.id && seen.stage === ceremony.stage ? seen.sight : null
    return {
      ceremony,
      sight: current === null ? nothingSeen : countsOf(current),
      settled: current !== null && ceremony.stage === 'settle' && isSettled(current, times),
    }
  }

  async #takePart(ceremony: Ceremony, effects: CeremonyEffects): Promise<void> {
    const { context, slots, publisher } = this.#parts
    const now = nowSeconds(context)
    if (!this.#isPart(ceremony)) return
    if (ceremony.stage === 'prepare') {
      await slots.prepareFor(ceremony, now)
      if (ceremony.kind === 'recover') await this.#contribute(ceremony, effects)
      return
    }
    if (!hasReached(ceremony, 'publish')) return
    if (await slots.publishFor(ceremony.id, now)) await publisher.publish()
    if (!hasReached(ceremony, 'activate')) return
    await this.#activate(ceremony, effects, now)
    if (ceremony.stage === 'reissue') await this.#reissue(ceremony)
    if (ceremony.kind === 'recover' && hasReached(ceremony, 'deny')) await this.#deny(ceremony, now)
    if (ceremony.kind === 'rotate' && ceremony.stage === 'deny') await this.#retire(ceremony, now)
    if (ceremony.stage === 'settle' && ceremony.canary !== null) await signCanaries(this.#parts, ceremony)
  }

  #isPart({ stage, authorities, ...chosen }: Ceremony): boolean {
    const { instance, name } = this.#parts.context
    if (stage === 'prepare') return isChosen(chosen, { instance, name })
    return authorities.some((one) => one.instance === instance)
  }

  /**
   * The key first: a crash leaves one too many, which goes when the next delegation is in force. Whose it is is known before
   * the root can name it, for it may be named while we are away.
   */
  async #contribute({ id }: Ceremony, { tellKeys }: CeremonyEffects): Promise<void> {
    const { context } = this.#parts
    const { store, instance, log, sha256 } = context
    const contributions = await store.ceremonies.contributions(id)
    if (contributions.some(({ authority }) => authority === instance)) return
    const { jwk } = await newTrustKey(context)
    const body = { change: 'trust-key.prepare', key_id: jwkThumbprint(jwk, sha256), ceremony: id }
    await log.append({ kind: 'trust', body })
    await tellKeys()
    await store.ceremonies.contribute(id, instance, jwk)
  }

  async #activate(ceremony: Ceremony, effects: CeremonyEffects, now: EpochSeconds): Promise<void> {
    const { slots, publisher } = this.#parts
    if (await this.#mayActivate(ceremony, now)) {
      if (await slots.activateFor(ceremony.id, now)) await publisher.publish()
    }
    const active = slots.anchor(now)
    if (active?.slot.ceremony !== ceremony.id || (await this.#isCertified(active.slot))) return
    await effects.renewCertificate()
  }

  /** Whoever publishes late gives everyone a moment to hear of it. */
  async #mayActivate(ceremony: Ceremony, now: EpochSeconds): Promise<boolean> {
    const { store, instance } = this.#parts.context
    const opened = enteredAt(ceremony, 'activate')
    const own = (await store.slots.list()).filter(
      (slot) => slot.authority === instance && slot.ceremony === ceremony.id && slot.state === 'published',
    )
    const published = own.map(({ publishedAt }) => publishedAt ?? now)
    return ceremony.emergency || published.every((at) => at * 1000 <= opened || Math.abs(now - at) >= latecomerSeconds)
  }

  async #isCertified({ keyId }: KeySlot): Promise<boolean> {
    const { context } = this.#parts
    const own = await context.store.issuance.live(nowSeconds(context), context.id.uri)
    return own.some(({ authority, anchorKeyId }) => authority === context.instance && anchorKeyId === keyId)
  }

  async #reissue(ceremony: Ceremony): Promise<void> {
    const { context, publisher } = this.#parts
    const wanted = (await context.store.slots.list()).filter(
      (slot) => slot.certificate !== null && !slot.reissue && isReplaced(ceremony, slot),
    )
    if (wanted.length === 0) return
    const keys = wanted.map(({ keyId }) => keyId)
    const body = { change: 'anchor.reissue', key_ids: keys, ceremony: ceremony.id }
    await context.log.append({ kind: 'trust', body })
    await context.store.slots.reissue(keys)
    await publisher.publish()
  }

  /** The epoch with it: what a key of an earlier one has signed is refused even where its denial has lapsed. */
  async #deny(ceremony: Ceremony, now: EpochSeconds): Promise<void> {
    const { context, publisher, slots } = this.#parts
    const { store, log } = context
    const domain = await store.domain.read()
    const known = new Set((await store.denials.list(now)).map(({ value }) => value))
    const wanted = (await store.slots.list()).filter(
      (slot) => isReplaced(ceremony, slot) && slot.notAfter > now && !known.has(slot.keyId),
    )
    const signing = [slots.anchor(now), slots.tokenKey(now), slots.jwtSvidKey(now)]
    if (signing.some((active) => active?.slot.ceremony !== ceremony.id)) return
    if (wanted.length === 0 && (domain?.epoch ?? 0) >= ceremony.epoch) return
    const key_ids = wanted.map(({ keyId }) => keyId)
    const body = { change: 'authority.deny', key_ids, epoch: ceremony.epoch, ceremony: ceremony.id }
    await log.append({ kind: 'trust', body })
    await store.denials.denyInEpoch(
      wanted.map((slot) => denialOf(slot, ceremony, now)),
      ceremony.epoch,
    )
    await publisher.publish()
  }

  async #retire(ceremony: Ceremony, now: EpochSeconds): Promise<void> {
    const { context, publisher, slots } = this.#parts
    const { store, instance } = context
    const all = await store.slots.list()
    const mine = all.filter(
      (slot) => slot.authority === instance && slot.certificate !== null && isReplaced(ceremony, slot),
    )
    if (mine.length === 0) return
    const live = await store.issuance.live(now)
    const moment = { old: replacedKeys(ceremony, all), movedBefore: now - drainSeconds }
    if (await slots.retireNow(unneeded(mine, live, moment))) await publisher.publish()
  }

  /** True when the stage was left, by us or by another authority. */
  async #move(ceremony: Ceremony): Promise<boolean> {
    const { context, times } = this.#parts
    const sight = await this.#sighting.look(ceremony)
    this.#seen = { id: ceremony.id, stage: ceremony.stage, sight }
    if (!this.#isPart(ceremony)) return false
    const verdict = judgeStage(ceremony, sight, times)
    switch (verdict.verdict) {
      case 'wait':
        return false
      case 'fail':
        await this.#leave(ceremony, failedCeremony(ceremony, verdict.note, context.clock()))
        return true
      case 'next': {
        const taken = ceremony.stage === 'prepare' ? await this.#assigned(ceremony, sight) : {}
        await this.#leave(ceremony, { ...stepped(ceremony, verdict, context.clock()), ...taken })
        return true
      }
    }
  }

  async #leave(before: Ceremony, after: Ceremony): Promise<void> {
    const { store, log } = this.#parts.context
    const { id, stage } = before
    await log.append({ kind: 'trust', body: { change: 'ceremony.stage', ceremony: id, from: stage, to: after.stage } })
    await store.ceremonies.advance(id, stage, after)
  }

  async #assigned(ceremony: Ceremony, sight: Sight): Promise<Pick<Ceremony, 'authorities' | 'replaces'>> {
    const authorities = prepared(ceremony, sight).map(({ instance, name }) => ({ instance, name }))
    const instances = new Set(authorities.map(({ instance }) => instance))
    const replaced = (slot: KeySlot) =>
      ceremony.kind === 'recover' ||
      (instances.has(slot.authority) && (slot.state === 'active' || slot.state === 'retired'))
    const slots = await this.#parts.context.store.slots.list()
    const replaces = slots.filter((slot) => slot.ceremony !== ceremony.id && replaced(slot)).map(({ keyId }) => keyId)
    return { authorities, replaces }
  }

  /** Once for each ceremony: keys that nobody needs any more go for good. */
  async #end(ceremony: Ceremony): Promise<void> {
    if (this.#ended === ceremony.id) return
    const { context, slots, publisher } = this.#parts
    const now = nowSeconds(context)
    if (await slots.advance(now)) await publisher.publish()
    await slots.sweep(now)
    await forgetTrustKeys(context, publisher.delegation.delegation)
    this.#ended = ceremony.id
  }
}

function stepped(
  ceremony: Ceremony,
  { stage, sight }: { readonly stage: CeremonyStage; readonly sight: CeremonySight },
  at: Ceremony['startedAt'],
): Ceremony {
  const { stages } = ceremony
  const left = stages.map((step, index) => (index === stages.length - 1 ? { ...step, ...sight } : step))
  return { ...ceremony, stage, stages: [...left, { ...nothingSeen, stage, at }] }
}

function countsOf({ audience, reissued }: Sight): CeremonySight {
  const { followers, stragglers } = audience
  const renewed = followers.filter((id) => reissued.includes(id)).length
  return {
    stragglers: stragglers.slice(0, 100),
    straggling: stragglers.length,
    followers: followers.length,
    acknowledged: followers.length - stragglers.length,
    reissued: renewed,
    note: '',
  }
}

function denialOf(slot: KeySlot, { id, reason }: Ceremony, now: EpochSeconds): Denial {
  return {
    kind: 'authority',
    value: slot.keyId,
    issuedBefore: now,
    lapsesAt: epochSeconds(slot.notAfter + denialMarginSeconds),
    reason: `recovery ${id}: ${reason}`,
  }
}
