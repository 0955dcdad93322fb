/** An explanation in lines, for people. */

import { isApprovalDuty } from '@doorward/core'
import type { Explanation, PartyAccount, PolicyAccount, Shortfall } from '@doorward/core'

const MAX_CONSIDERED = 20

/** Why it is decided as it is, in plain text without colours; from the worst party to what would have to change. */
export function whyLines({ verdict, unknown, parties }: Explanation): readonly string[] {
  if (unknown !== null) return [unknown]
  if (verdict.effect === 'allow') {
    const duties = verdict.obligations.filter(isApprovalDuty)
    const asked = duties.map(({ by, rules }) => `needs an approval of ${by}: ${rules.join(', ')}`)
    return [`allowed by ${verdict.policies.join(', ')}`, ...asked]
  }
  const denied = parties.filter(({ decision }) => decision === 'deny')
  const permission = verdict.wouldAllow === null ? [] : [`the permission ${verdict.wouldAllow} would allow it`]
  return [...denied.flatMap(deniedLines), ...permission]
}

function deniedLines(party: PartyAccount): readonly string[] {
  const { id, roles, reason, considered, nearest, rolesToBind } = party
  const who = `${id} ${roles.length === 0 ? 'without roles' : `with ${roles.join(', ')}`}`
  if (reason === 'error')
    return [
      `${who}: a rule failed, which denies`,
      ...considered.filter(({ outcome }) => outcome === 'fails').flatMap(accountLines),
    ]
  if (reason === 'forbid') {
    const forbids = considered.filter(({ effect, outcome }) => effect === 'forbid' && outcome === 'holds')
    const change = '  one part of each of these rules would have to be otherwise'
    return [`${who}: forbidden`, ...forbids.flatMap(accountLines), change]
  }
  const roleLines = rolesToBind.length === 0 ? [] : [`  one of the roles would allow it: ${rolesToBind.join(', ')}`]
  return [`${who}: nothing allows it`, ...nearest.slice(0, 3).flatMap(accountLines), ...roleLines]
}

/** Every policy that was looked at; built-in ones where they hold. */
export function consideredLines(party: PartyAccount): readonly string[] {
  const considered = party.considered.filter(({ id, outcome }) => outcome === 'holds' || !id.startsWith('builtin:'))
  if (considered.length === 0) return ['  no rule is about this']
  const more = considered.length - MAX_CONSIDERED
  const lines = considered.slice(0, MAX_CONSIDERED).flatMap(accountLines)
  return more > 0 ? [...lines, `  … and ${more} more`] : lines
}

const outcomes: Readonly<Record<PolicyAccount['outcome'], string>> = {
  holds: 'holds',
  'does-not-hold': 'does not hold',
  fails: 'fails',
  'does-not-fit': 'is about something else',
}

export function accountLines({ id, effect, outcome, parts }: PolicyAccount): readonly string[] {
  return [`  ${effect} ${id} ${outcomes[outcome]}`, ...parts.flatMap(partLines)]
}

function partLines({ part, text, saw, error }: Shortfall): readonly string[] {
  const clause = part === 'when' || part === 'unless' ? `${part} { ${text} }` : text
  const values = saw.filter((one) => one.text !== text).map((one) => `      ${one.text} is ${one.value}`)
  return [`    ${clause}${error === null ? '' : `: ${error}`}`, ...values]
}
