/**
 * Operators who are invited from the authority's own machine: the first one, whom no operator can invite, and, for a reason
 * that goes on record, one more when none of those who are there can act. Every such act is an alarm.
 */

import { boundRoles, parseSpiffeId } from '@doorward/core'
import type { Binding, EpochSeconds, Secret } from '@doorward/core'
import type { Authority } from './authority.ts'
import type { AuthorityContext } from './context.ts'
import { raiseDetection } from './detection.ts'
import type { Registration } from './ports.ts'
import { isAuthorityRefusal, refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'
import { checkedDocument } from './registration-check.ts'

/** Who counts as an operator. */
export interface OperatorRules {
  /** Roles that may do whatever the admin API offers. */
  readonly roles: readonly string[]
  readonly bindings: readonly Binding[]
}

export interface OperatorsParts {
  readonly context: AuthorityContext
  readonly authority: Pick<Authority, 'unfit' | 'trustState' | 'addRegistration' | 'createJoinString'>
  readonly rules: OperatorRules
}

export interface OperatorWanted {
  /** SPIFFE ID. */
  readonly id: string
  readonly role: string
  /** Why, although others can act; null when none can. */
  readonly reason: string | null
}

export interface InvitedOperator {
  readonly roles: readonly string[]
  /** Single use, ten minutes. */
  readonly joinString: Secret
  readonly expiresAt: EpochSeconds
}

/** Of those who can act, so many are named. */
const MOST_NAMED = 3
/** More candidates are not looked at one by one: then there is somebody. */
const MOST_LOOKED_AT = 512

export class Operators {
  readonly #parts: OperatorsParts

  constructor(parts: OperatorsParts) {
    this.#parts = parts
  }

  /**
   * The first few who can act: registered with a role of operators, or bound to one, and with a machine key that is not
   * locked, by which they come back after any absence.
   */
  async standing(): Promise<readonly string[]> {
    const { authority, context } = this.#parts
    const candidates = authority.trustState().state.workloads.filter((workload) => this.#administers(workload))
    if (candidates.length > MOST_LOOKED_AT) return candidates.slice(0, 1).map(({ id }) => id)
    const found: string[] = []
    for (const { id } of candidates) {
      const instances = await context.store.instances.list(id)
      if (instances.some(({ locked }) => locked === null)) found.push(id)
      if (found.length === MOST_NAMED) break
    }
    return found
  }

  /**
   * Registers the operator unless that is done, and makes a join string with a token. Refusals: `authority_unready`,
   * `request_invalid`, and `conflict` with a reason: `role` for one that administers nothing, `operator_present`,
   * `not_operator` for an id that is registered for something else, those of `addRegistration` and `createJoinString`.
   */
  async invite(wanted: OperatorWanted, by: string): Promise<InvitedOperator | AuthorityRefusal> {
    const { authority, context } = this.#parts
    const { id, role } = wanted
    const document = checkedDocument(
      { id, roles: [role] },
      { ...context, asking: 'operator', isOwnAudience: () => false },
    )
    if (isAuthorityRefusal(document)) return document
    const standing = await this.standing()
    const held = await context.store.registrations.find(id)
    const refusal = this.#judge(wanted, standing, held)
    if (refusal !== null) return refusal
    await this.#enter(wanted, standing, by)
    if (held === null) {
      const added = await authority.addRegistration({ document: { ...document }, again: false, asking: 'operator' }, by)
      if (isAuthorityRefusal(added)) return added
    }
    const made = await authority.createJoinString(id, by, true)
    if (isAuthorityRefusal(made)) return made
    const { joinString, expiresAt } = made
    if (expiresAt === null) return refuse('conflict', `${id} is not attested by join tokens`)
    return { roles: held?.roles ?? [role], joinString, expiresAt }
  }

  #administers({ id, roles }: Pick<Registration, 'id' | 'roles'>): boolean {
    const { rules } = this.#parts
    return [...roles, ...boundRoles(rules.bindings, parseSpiffeId(id))].some((role) => rules.roles.includes(role))
  }

  #judge(
    { id, role, reason }: OperatorWanted,
    standing: readonly string[],
    held: Registration | null,
  ): AuthorityRefusal | null {
    const { authority, rules } = this.#parts
    const unfit = authority.unfit()
    if (unfit !== null) return refuse('authority_unready', unfit)
    if (!rules.roles.includes(role))
      return refuse('conflict', `the role ${role} is none of operators`, { reason: 'role', roles: rules.roles })
    if (standing.length > 0 && reason === null)
      return refuse('conflict', 'an operator can act', { reason: 'operator_present', operators: standing })
    if (held !== null && !this.#administers(held))
      return refuse('conflict', `${id} is registered, and not as an operator`, { reason: 'not_operator' })
    return null
  }

  /** On record before anything happens, and among the alarms, where every other operator sees it. */
  async #enter({ id, role, reason }: OperatorWanted, standing: readonly string[], by: string): Promise<void> {
    const { context } = this.#parts
    await context.log.append({ kind: 'admin', body: { change: 'operator.invite', id, role, by, standing, reason } })
    const why = reason === null ? 'nobody else could act' : `the reason given: ${reason}`
    const others = standing.length === 0 ? '' : `, although ${standing.join(', ')} could act`
    await raiseDetection(context, {
      detector: 'operator_invited',
      subject: id,
      detail: `invited as ${role} by ${by} on the machine of authority ${context.name}${others}; ${why}`,
    })
  }
}
