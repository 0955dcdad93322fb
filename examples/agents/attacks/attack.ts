/** What an attack is: something that somebody holds who should not, what they do with it, and what came of it. */

import { isDoorwardError, ServerRefused } from '@doorward/sdk'
import type { ConnectedIdentity, Identity } from '@doorward/sdk'
import type { Shop } from '../programs/shop.ts'

export interface Attack {
  readonly name: string
  /** What the attacker has got hold of. */
  readonly holds: string
  readonly tries: string
  readonly run: (loot: Loot) => Promise<Result>
}

/** Everything that attackers have got hold of; each attack takes a part of it. */
export interface Loot {
  readonly shop: Shop
  /** Registered like everybody, with no role anywhere: somebody inside. */
  readonly intern: ConnectedIdentity
  /** Taken over: whatever the buyer can do, the attacker does. */
  readonly buyer: ConnectedIdentity
  /** Not taken over; tokens and certificates of it have leaked. */
  readonly planner: ConnectedIdentity
  /** Taken over, with key and certificate. */
  readonly gateway: Identity
  /** File with the join string with which the buyer has joined. */
  readonly usedJoinString: string
  /** A place on the attacker's own machine. */
  readonly den: string
}

export interface Result {
  /** Whether the attacker got what it wanted. */
  readonly letThrough: boolean
  /** With what it was answered: a code of the denial table, or what the connection ended with. */
  readonly code: string
  /** Name of the entry in the record of whoever refused; null where strangers are counted. */
  readonly entry: string | null
}

/** A refusal of ours as a result; anything else is no result, but a fault of the attack. */
export function refusedWith(error: unknown): Result {
  if (error instanceof ServerRefused) return { letThrough: false, code: error.code, entry: error.decision }
  throw isDoorwardError(error) ? new Error(`the attack failed by itself: ${String(error)}`, { cause: error }) : error
}

/** Of an answer of ours over HTTP. */
export function resultOf({ status, headers }: Pick<Response, 'status' | 'headers'>): Result {
  return {
    letThrough: status < 400,
    code: headers.get('doorward-code') ?? `HTTP ${status}`,
    entry: headers.get('doorward-decision'),
  }
}
