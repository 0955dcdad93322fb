/**
 * The calls that wait for a human, of one gateway. An approval is good for one call, by one caller, with exactly these
 * arguments, for a while, and by somebody who takes no part in it.
 */

import type { Clock, EpochMillis, JsonObject, Principal, RandomBytes } from '@doorward/core'
import { hex, matchesSpiffeId, readSpiffeId, Secret, toBase64url, toSeconds } from '@doorward/core'
import type { Record as AuditRecord } from '../record/record.ts'
import { approverName, groupsOf, takesPart } from './approver.ts'
import type { ApproverGroup, ApproverGroups } from './approver.ts'
import { sha256 } from './approval-request.ts'
import type { ApprovalAsk, ApprovalRequest, GivenApproval } from './approval-request.ts'
import { ApprovalWaiting } from './approval-waiting.ts'
import { DeniedOften } from './denied-often.ts'
import type { ApprovalAnswer, ApprovalClaim, Approvals, OnWait } from './ports.ts'
import type { AskedApproval } from '../denial.ts'

export interface ApprovalSettings {
  readonly groups: ApproverGroups
  /** How long a call waits for an answer; 0 for not at all. */
  readonly waitMilliseconds: number
  /** How long a request waits for its approval, and an approval for its call. */
  readonly expiresMilliseconds: number
}

/** Where requests outlast a restart. Each verb is durable when it resolves. */
export interface ApprovalStore {
  write(request: ApprovalRequest): Promise<void>
  /** Nothing happens where there is none. */
  remove(id: string): Promise<void>
}

export interface ApprovalDeskParts {
  readonly store: ApprovalStore
  readonly log: AuditRecord
  readonly clock: Clock
  readonly random: RandomBytes
  /** As they are now. */
  readonly settings: () => ApprovalSettings
  /** True for identities that the trust state denies now: what they have approved is worth nothing any more. */
  readonly isDenied: (id: string) => boolean
  /** Told of requests that are new, and that wait no longer; must not throw. */
  readonly onRequested: (request: ApprovalRequest, links: LinkTokens) => void
  readonly onProblem: (error: unknown) => void
}

/** By group, what opens the link that it is sent. */
export type LinkTokens = ReadonlyMap<string, Secret>

/** Who answers: a caller of the admin API, or somebody with a link that was sent to a group. */
export type Approver =
  | { readonly kind: 'caller'; readonly principal: Principal }
  | { readonly kind: 'link'; readonly group: string; readonly remoteAddress: string }

export interface ApprovalDecision {
  readonly approve: boolean
  /** Why; empty for nothing. */
  readonly reason: string
}

/** What became of an answer: `waiting` when somebody of another group has to approve, too. */
export type DecisionOutcome = 'approved' | 'denied' | 'waiting'
export const approvalEvents = ['requested', 'approved', 'denied', 'used', 'expired', 'withdrawn', 'cooling'] as const
/** What the record says of requests; that one is used, the entry of the call says. */
export type ApprovalEvent = (typeof approvalEvents)[number]
export type DecisionRefusal = 'unknown' | 'changed' | 'decided' | 'takes_part'

const MOST_PENDING = 16
const MOST_KEPT = 1000
const ID_BYTES = 8
const LINK_BYTES = 32

interface Held {
  request: ApprovalRequest
  /** Somebody's answer is being put on record, or a call uses it. */
  busy: boolean
  /** It is on record, and people may be shown it. */
  told: boolean
  /** Resolves when the request is durable; rejects when it will never be. */
  made: Promise<void>
}

export class ApprovalDesk implements Approvals {
  readonly #parts: ApprovalDeskParts
  readonly #byKey = new Map<string, Held>()
  readonly #byId = new Map<string, Held>()
  readonly #often = new DeniedOften()
  readonly #waiting = new ApprovalWaiting()
  readonly #events = new Map<ApprovalEvent, number>()

  /** `before`: what waited when the gateway stopped. */
  constructor(parts: ApprovalDeskParts, before: readonly ApprovalRequest[] = []) {
    this.#parts = parts
    for (const request of before) this.#hold({ request, busy: false, told: true, made: Promise.resolve() })
  }

  /** Requests by their state, and calls that wait for an answer. */
  counts(): Readonly<Record<ApprovalRequest['state'] | 'waiting', number>> {
    const states = Array.from(this.#byId.values(), ({ request }) => request.state)
    const of = (state: ApprovalRequest['state']) => states.filter((one) => one === state).length
    return { pending: of('pending'), approved: of('approved'), denied: of('denied'), waiting: this.#waiting.size }
  }

  /** How often each event has come about since the start. */
  events(): ReadonlyMap<ApprovalEvent, number> {
    return this.#events
  }

  async claim(ask: ApprovalAsk): Promise<ApprovalClaim | null> {
    const held = this.#byKey.get(ask.key)
    if (held === undefined || held.busy || held.request.state !== 'approved' || this.#isOver(held)) return null
    // From here on no other call finds it.
    held.busy = true
    const { request } = held
    try {
      if (!this.#isStillGood(request)) {
        await this.#end(held, 'withdrawn')
        return null
      }
      await this.#parts.store.remove(request.id)
      this.#forget(held)
    } finally {
      held.busy = false
    }
    this.#count('used')
    return { id: request.id, giveBack: () => this.#giveBack(held) }
  }

  async ask(ask: ApprovalAsk, whenGone: (listener: () => void) => void, onWait?: OnWait): Promise<ApprovalAnswer> {
    const known = this.#byKey.get(ask.key)
    if (known !== undefined && !this.#isOver(known)) return this.#await(known, whenGone, onWait)
    if (known !== undefined) await this.#expire(known)
    const { groups, expiresMilliseconds } = this.#parts.settings()
    if (ask.shown === null) return { kind: 'unavailable', why: 'the arguments are more than a human can look at' }
    const missing = ask.duties.find(({ by }) => !groups.has(by))
    if (missing !== undefined) return { kind: 'unavailable', why: `the approvers ${missing.by} are not configured` }
    const now = this.#parts.clock()
    const pause = this.#often.pause(subjectKey(ask), now)
    if (pause > 0) return { kind: 'cooling', retryAfterSeconds: Math.ceil(pause / 1000) }
    if (this.#byKey.has(ask.key)) return this.ask(ask, whenGone, onWait)
    if (this.#byId.size >= MOST_KEPT || this.#pendingOf(ask) >= MOST_PENDING) return { kind: 'full' }
    const id = `ap-${hex(this.#parts.random(ID_BYTES))}`
    const { shown, ...bound } = ask
    const expires = (now + expiresMilliseconds) as EpochMillis
    const tokens = this.#tokensFor(ask)
    const links = Array.from(tokens, ([group, token]) => ({ group, hash: sha256(token.reveal()) }))
    const request: ApprovalRequest = { ...bound, shown, id, state: 'pending', created: now, expires, given: [], links }
    const held: Held = { request, busy: true, told: false, made: Promise.resolve() }
    this.#hold(held)
    held.made = this.#make(held, tokens)
    return this.#await(held, whenGone, onWait)
  }

  /** Of these groups, what waits and what was answered, oldest first. */
  listFor(groups: ReadonlySet<string>): readonly ApprovalRequest[] {
    const shown = [...this.#byId.values()].filter((held) => held.told && !this.#isOver(held))
    return shown.map(({ request }) => request).filter(({ duties }) => duties.some(({ by }) => groups.has(by)))
  }

  /** What a link is for; null where it is of nothing that its group may still answer. */
  linked(token: string): { readonly request: ApprovalRequest; readonly group: string } | null {
    const hash = sha256(token)
    for (const held of this.#byId.values()) {
      const { request } = held
      const group = request.links.find((link) => link.hash === hash)?.group
      if (group === undefined) continue
      const open = request.state === 'pending' && !request.given.some((one) => one.group === group)
      const allowed = this.#parts.settings().groups.get(group)?.links === true
      return open && allowed && held.told && !this.#isOver(held) ? { request, group } : null
    }
    return null
  }

  /** True while somebody still has to answer. */
  isPending(id: string): boolean {
    const held = this.#byId.get(id)
    return held !== undefined && held.request.state === 'pending' && !this.#isOver(held)
  }

  groupsOf(principal: Principal): ReadonlySet<string> {
    return groupsOf(principal, this.#parts.settings().groups)
  }

  /**
   * Answers exactly the request that the digest names. On record before it counts; rejects when it cannot be recorded, and
   * then nothing has changed.
   */
  async decide(
    { id, digest }: { readonly id: string; readonly digest: string },
    approver: Approver,
    decision: ApprovalDecision,
  ): Promise<DecisionOutcome | DecisionRefusal> {
    const held = this.#byId.get(id)
    const groups = this.#groupsFor(approver)
    const asked = held?.request.duties.filter(({ by }) => groups.has(by)).map(({ by }) => by) ?? []
    if (held === undefined || this.#isOver(held) || asked.length === 0) return 'unknown'
    const { request } = held
    if (request.digest !== digest) return 'changed'
    const open = asked.filter((group) => !request.given.some((one) => one.group === group))
    if (request.state !== 'pending' || held.busy || open.length === 0) return 'decided'
    if (approver.kind === 'caller' && takesPart(approver.principal, request.parties)) return 'takes_part'
    held.busy = true
    try {
      return await this.#settle(held, { approver, open, decision })
    } finally {
      held.busy = false
    }
  }

  /** Takes away what is over; once a second is enough. Never rejects. */
  async sweep(): Promise<void> {
    for (const held of this.#byId.values()) if (!held.busy && this.#isOver(held)) await this.#expire(held)
  }

  /** Whoever waits is answered as if the time were over. */
  close(): void {
    this.#waiting.close()
  }

  #hold(held: Held): void {
    this.#byKey.set(held.request.key, held)
    this.#byId.set(held.request.id, held)
  }

  #forget({ request }: Held): void {
    this.#byId.delete(request.id)
    // The same call may have been asked for anew.
    if (this.#byKey.get(request.key)?.request.id === request.id) this.#byKey.delete(request.key)
  }

  #isOver({ request }: Held): boolean {
    return request.expires <= this.#parts.clock()
  }

  #pendingOf({ caller }: ApprovalAsk): number {
    const name = caller['caller']
    let count = 0
    for (const { request } of this.#byId.values())
      if (request.state === 'pending' && request.caller['caller'] === name && request.expires > this.#parts.clock())
        count++
    return count
  }

  #tokensFor({ duties }: ApprovalAsk): LinkTokens {
    const { groups } = this.#parts.settings()
    const linked = duties.filter(({ by }) => groups.get(by)?.links === true)
    return new Map(linked.map(({ by }) => [by, new Secret(toBase64url(this.#parts.random(LINK_BYTES)))]))
  }

  async #make(held: Held, tokens: LinkTokens): Promise<void> {
    const { request } = held
    try {
      await this.#parts.store.write(request)
      await this.#record('requested', request, {
        policy: { ...request.policy },
        rules: request.duties.flatMap(({ rules }) => rules),
        expires: toSeconds(request.expires),
      })
    } catch (error) {
      this.#forget(held)
      await this.#parts.store.remove(request.id).catch(this.#parts.onProblem)
      throw error
    } finally {
      held.busy = false
    }
    held.told = true
    this.#parts.onRequested(request, tokens)
  }

  async #await(held: Held, whenGone: (listener: () => void) => void, onWait?: OnWait): Promise<ApprovalAnswer> {
    await held.made
    const { waitMilliseconds } = this.#parts.settings()
    const { id } = held.request
    if (held.request.state === 'pending') {
      if (waitMilliseconds > 0) onWait?.({ ...toldOf(held.request), waitMilliseconds })
      await this.#waiting.wait(id, waitMilliseconds, whenGone)
    }
    const { state } = held.request
    const told = toldOf(held.request)
    return state === 'approved' ? { kind: state, ...told } : { kind: state, ...told }
  }

  #groupsFor(approver: Approver): ReadonlySet<string> {
    if (approver.kind === 'caller') return this.groupsOf(approver.principal)
    const group = this.#parts.settings().groups.get(approver.group)
    return new Set(group?.links === true ? [approver.group] : [])
  }

  async #settle(
    held: Held,
    { approver, open, decision }: { approver: Approver; open: readonly string[]; decision: ApprovalDecision },
  ): Promise<DecisionOutcome> {
    const { clock, store, settings } = this.#parts
    const before = held.request
    const now = clock()
    const by = approver.kind === 'link' ? null : approverName(approver.principal)
    const given = [...before.given, ...open.map((group): GivenApproval => ({ group, by, at: now }))]
    const complete = before.duties.every((duty) => given.some(({ group }) => group === duty.by))
    const outcome = !decision.approve ? 'denied' : complete ? 'approved' : 'waiting'
    const expires = (now + settings().expiresMilliseconds) as EpochMillis
    const after: ApprovalRequest =
      outcome === 'waiting'
        ? { ...before, given }
        : { ...before, state: outcome, expires, given: outcome === 'denied' ? before.given : given }
    await this.#record(decision.approve ? 'approved' : 'denied', before, {
      by: by ?? `link of ${open.join(', ')}`,
      groups: [...open],
      ...(approver.kind === 'link' ? { remote: approver.remoteAddress } : {}),
      ...(decision.reason === '' ? {} : { reason: decision.reason }),
    })
    await store.write(after)
    held.request = after
    if (outcome === 'denied') await this.#denied(after, now)
    if (outcome !== 'waiting') this.#waiting.answer(after.id)
    return outcome
  }

  async #denied(request: ApprovalRequest, now: EpochMillis): Promise<void> {
    const { expiresMilliseconds } = this.#parts.settings()
    if (!this.#often.denied(subjectKey(request), now, expiresMilliseconds)) return
    const until = toSeconds((now + expiresMilliseconds) as EpochMillis)
    await this.#record('cooling', request, { until }).catch(this.#parts.onProblem)
  }

  /** Whoever has approved must still be one who may. */
  #isStillGood({ given, duties }: ApprovalRequest): boolean {
    const { groups } = this.#parts.settings()
    return duties.every(({ by: group }) =>
      given.some((one) => {
        const known = one.group === group ? groups.get(group) : undefined
        if (known === undefined) return false
        if (one.by === null) return known.links
        return !this.#parts.isDenied(one.by) && isNamed(one.by, known)
      }),
    )
  }

  async #giveBack(held: Held): Promise<void> {
    // Meanwhile the same call may have been asked for anew.
    if (this.#byKey.has(held.request.key)) return
    this.#hold(held)
    await this.#parts.store.write(held.request)
  }

  async #expire(held: Held): Promise<void> {
    if (held.busy) return
    held.busy = true
    await this.#end(held, 'expired').catch(this.#parts.onProblem)
    held.busy = false
  }

  /** Gone even where that cannot be recorded: what is over is good for nothing. */
  async #end(held: Held, event: 'expired' | 'withdrawn'): Promise<void> {
    const { request } = held
    this.#forget(held)
    this.#waiting.answer(request.id)
    await this.#parts.store.remove(request.id)
    if (request.state !== 'denied') await this.#record(event, request, {})
  }

  #count(event: ApprovalEvent): void {
    this.#events.set(event, (this.#events.get(event) ?? 0) + 1)
  }

  async #record(event: Exclude<ApprovalEvent, 'used'>, request: ApprovalRequest, more: JsonObject): Promise<void> {
    const { id, caller, action, resource, digest, duties } = request
    const { name, group } = action
    const what = { action: name, group, resource: { ...resource }, digest, approvers: duties.map(({ by }) => by) }
    await this.#parts.log.append({ kind: 'approval', body: { event, approval: id, ...caller, ...what, ...more } })
    this.#count(event)
  }
}

function isNamed(name: string, { users, workloads }: ApproverGroup): boolean {
  const id = readSpiffeId(name)
  return 'problem' in id ? users.has(name) : workloads.some((pattern) => matchesSpiffeId(pattern, id))
}

/** One caller and what it calls. */
function subjectKey({ caller, action, resource }: Pick<ApprovalAsk, 'caller' | 'action' | 'resource'>): string {
  return JSON.stringify([caller['caller'], action.name, resource.server, resource.kind, resource.name])
}

/** What a caller may know of it. */
function toldOf({ id, duties, expires }: ApprovalRequest): AskedApproval {
  return { id, by: duties.map(({ by }) => by), expires: toSeconds(expires) }
}
