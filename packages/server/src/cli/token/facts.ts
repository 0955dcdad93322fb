/** What a token says, for people and for programs; never the token. */

import type { TokenView } from '../../apps/token-view.ts'
import type { CliContext } from '../context.ts'
import { painter, printable, table } from '../output.ts'

/** Members of JSON. */
export function factsOf(view: TokenView): object {
  const { mayAct, issuedAt, expiresAt, problem, ...rest } = view
  return {
    valid: problem === null,
    ...(problem === null ? {} : { problem }),
    ...rest,
    may_act: mayAct,
    issued_at: issuedAt,
    expires_at: expiresAt,
  }
}

export function tellFacts(context: CliContext, view: TokenView): void {
  if (context.json) return context.out(JSON.stringify(factsOf(view)))
  const { presenter, subject, act, audience, scope, mayAct, chain, id, expiresAt, problem } = view
  const rows = [
    ['caller', presenter],
    ...act.map((one) => ['through', one]),
    ...(subject === presenter ? [] : [['for', subject]]),
    ['audience', audience],
    ['scope', scope === null ? 'whatever policy allows' : scope.join(' ')],
    ['may act', mayAct === null ? 'whoever is called' : mayAct.join(' ') || 'nobody'],
    ...chain.map(({ token, id: holder }) => ['made of', `${token} of ${holder}`]),
    ['id', id],
    ['ends', new Date(expiresAt * 1000).toISOString()],
  ]
  context.out(
    table(
      ['', ''],
      rows.map((row) => row.map(printable)),
      context.color,
    ).trimStart(),
  )
  if (problem !== null) context.err(painter(context.color)('red', `not good now: ${printable(problem.message)}`))
}
