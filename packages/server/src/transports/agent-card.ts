/** The card of one agent: fetched, verified, compared with what is approved, and looked at again as long as it is called. */

import { DoorwardError, parseAgentCard, shownCard } from '@doorward/core'
import type { A2aVersion, AgentCard, Definition, JsonObject } from '@doorward/core'
import { deny, isSignedBy, revisionProblem } from '@doorward/enforcement'
import type { CardKeyOf, Denial, KnownDefinitions } from '@doorward/enforcement'
import type { AgentCards } from './agent-call.ts'

export interface AgentCardParts {
  readonly agent: string
  /** At which callers reach it. */
  readonly url: string
  /** The card as the agent serves it. Throws why there is none. */
  readonly fetch: () => Promise<Uint8Array>
  /** What is approved of it; null where nothing is compared. */
  readonly known: () => KnownDefinitions | null
  /** Keys of which one has to have signed it; null where none has to. */
  readonly keyOf: CardKeyOf | null
  readonly monotonic: () => number
}

/** A card that was accepted is looked at again after so long, and one that was not after a pause. */
const FRESH_MILLISECONDS = 60_000
const PAUSE_MILLISECONDS = 1000
/** By which an agent's card is known among what servers say of themselves. */
const DEFINITION = { kind: 'server', name: 'agent-card' } as const

type Looked = { readonly card: AgentCard } | { readonly denial: Denial }

export class AgentCardGate implements AgentCards {
  readonly #parts: AgentCardParts
  #looked: { readonly result: Looked; readonly until: number } | null = null
  #looking: Promise<Looked> | null = null

  constructor(parts: AgentCardParts) {
    this.#parts = parts
  }

  /** Denials: `upstream_unavailable`, `upstream_invalid`, `definition_unapproved`, `protocol_version`. */
  async objection(version: A2aVersion): Promise<Denial | null> {
    const looked = await this.#now()
    if ('denial' in looked) return looked.denial
    return revisionProblem(looked.card, version)
  }

  /** Denials: as of `objection`. */
  async shown(): Promise<JsonObject | Denial> {
    const looked = await this.#now()
    return 'denial' in looked ? looked.denial : shownCard(looked.card, this.#parts.url)
  }

  /** What operators look at and approve. Throws why it cannot be had. */
  async definitions(): Promise<readonly Definition[]> {
    const card = await this.#fetch()
    if ('denial' in card)
      throw new DoorwardError('agent_card_invalid', 'the agent has no card that can be accepted', {
        where: this.#parts.agent,
        got: card.denial.explanation,
      })
    return [definitionOf(card.card)]
  }

  async #now(): Promise<Looked> {
    const { monotonic } = this.#parts
    const standing = this.#parts.known()?.standing(DEFINITION.kind, DEFINITION.name)
    const looked = this.#looked
    const accepted = looked !== null && 'card' in looked.result && standing !== 'unapproved' && standing !== 'unknown'
    const refused = looked !== null && 'denial' in looked.result
    if (looked !== null && (accepted || refused) && monotonic() < looked.until) return looked.result
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null
    })
    return this.#looking
  }

  async #look(): Promise<Looked> {
    const { monotonic } = this.#parts
    const fetched = await this.#fetch()
    const result = 'card' in fetched ? this.#compared(fetched.card) : fetched
    this.#looked = { result, until: monotonic() + ('card' in result ? FRESH_MILLISECONDS : PAUSE_MILLISECONDS) }
    return result
  }

  async #fetch(): Promise<Looked> {
    const { fetch, keyOf } = this.#parts
    let bytes: Uint8Array
    try {
      bytes = await fetch()
    } catch (error) {
      return { denial: deny('upstream_unavailable', `the card of the agent: ${String(error)}`) }
    }
    const card = parseAgentCard(bytes)
    if ('problem' in card) return { denial: deny('upstream_invalid', `the card of the agent: ${card.problem}`) }
    if (keyOf !== null && !isSignedBy(card, keyOf))
      return { denial: deny('definition_unapproved', 'the card of the agent is signed by no configured key') }
    return { card }
  }

  #compared(card: AgentCard): Looked {
    const known = this.#parts.known()
    if (known === null || known.see(definitionOf(card))) return { card }
    const { agent } = this.#parts
    return {
      denial: deny('definition_unapproved', `not the card that was approved; doorward servers show ${agent}`),
    }
  }
}

function definitionOf({ value }: AgentCard): Definition {
  return { ...DEFINITION, value }
}
