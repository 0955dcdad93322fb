/** Carries an attack out, and looks at what came of it: the answer, what was reached, and what stands in the record. */

import type { Entry } from '../system/record.ts'
import { withoutDomain } from '../system/record.ts'
import type { Attack, Loot, Result } from './attack.ts'

export interface Attempt {
  readonly attack: Attack
  readonly result: Result
  /** Calls that something behind the doors has seen meanwhile. */
  readonly reached: number
  /** When it began, in milliseconds. */
  readonly from: number
}

export interface Standing extends Attempt {
  /** Null when it is not on record. */
  readonly entry: Entry | null
  /** Why it was refused, as the record says; null when it does not. */
  readonly recorded: string | null
  /** Refused, with nothing reached, and on record with the code that the attacker was answered with. */
  readonly refused: boolean
}

export async function besiege(attack: Attack, loot: Loot, reached: () => number): Promise<Attempt> {
  const [before, from] = [reached(), Date.now()]
  const result = await attack.run(loot)
  return { attack, result, reached: reached() - before, from }
}

/** Behind the doors they still hear whoever may call: else nothing reached would say nothing. */
export async function stillHeard({ shop, planner }: Loot, reached: () => number): Promise<boolean> {
  const before = reached()
  const expect = `spiffe://${planner.trustDomain}/service/stock`
  const { status } = await planner.fetch(`${shop.stock}/stock/lamps`, { expect })
  return status === 200 && reached() === before + 1
}

/** A stranger has no entry of its own: it is counted, by where it came from and why. */
export function standingOf(attempt: Attempt, entries: readonly Entry[]): Standing {
  const { result, reached, from } = attempt
  const entry =
    entries.find(({ name, time, kind, body }) =>
      result.entry === null ? isStranger(kind, body) && time >= from : name === result.entry,
    ) ?? null
  const recorded = entry === null ? null : codeOf(entry, entries)
  const agrees = recorded !== null && (result.entry === null || recorded === result.code)
  return { ...attempt, entry, recorded, refused: !result.letThrough && reached === 0 && agrees }
}

/** A count of those whose certificate is none of ours. */
function isStranger(kind: string, { reason }: Entry['body']): boolean {
  return kind === 'refusals' && String(reason).startsWith('certificate_')
}

/** Why, as the record has it. Whoever may ask the authority and is refused what was asked for finds that in the outcome. */
function codeOf({ name, kind, body }: Entry, entries: readonly Entry[]): string | null {
  const { code, reason } = body as { readonly code?: string; readonly reason?: string }
  if (kind === 'refusals') return reason ?? null
  if (code !== 'allowed') return code ?? null
  const [origin, index] = name.split('#')
  const outcome = entries.find(
    (one) => one.kind === 'outcome' && one.name.startsWith(`${origin}#`) && one.body['of'] === Number(index),
  )
  const { code: failed, http = 0 } = (outcome?.body ?? {}) as { readonly code?: string; readonly http?: number }
  return failed ?? (http < 400 ? null : `HTTP ${http}`)
}

export function attackRow({ attack, result, reached, entry, recorded, refused }: Standing): readonly string[] {
  const code = refused ? `${recorded}${result.entry === null ? ' (counted)' : ''}` : 'LET THROUGH'
  const where = entry === null ? 'none' : withoutDomain(entry.name)
  return [attack.name, attack.holds, attack.tries, code, String(reached), where]
}
