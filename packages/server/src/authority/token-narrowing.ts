/** What a token is narrowed to, and who may exchange it: never more than what it is made of (reference id DX-4). */

import { readSpiffeId, readTokenScope, tokenLimits, widerPermission } from '@doorward/core'
import type { AccessTokenClaims, Permission } from '@doorward/core'
import { isAuthorityRefusal, refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'

type Narrowing = Pick<AccessTokenClaims, 'scope' | 'may_act'>

export interface NarrowingWish {
  /** Who asks. */
  readonly id: string
  readonly scope: readonly string[] | null
  readonly mayAct: readonly string[] | null
}

/**
 * The claims of the new token, where `of` is what the old one has: what is not asked for stays, but that whoever acts now is
 * not named as who may. Refusals: `scope_unknown`, `scope_widened`, `exchange_actor`, `request_invalid`.
 */
export function narrowedClaims(wish: NarrowingWish, of: Narrowing): Narrowing | AuthorityRefusal {
  const scope = scopeOf(wish.scope, of.scope)
  if (isRefused(scope)) return scope
  const mayAct = mayActOf(wish, of.may_act?.sub)
  if (isRefused(mayAct)) return mayAct
  return {
    ...(scope === undefined ? {} : { scope }),
    ...(mayAct === undefined ? {} : { may_act: { sub: mayAct } }),
  }
}

function isRefused(value: unknown): value is AuthorityRefusal {
  return typeof value === 'object' && value !== null && isAuthorityRefusal(value)
}

function scopeOf(asked: readonly string[] | null, had: string | undefined): string | undefined | AuthorityRefusal {
  if (asked === null) return had
  const permissions = readTokenScope(asked)
  if ('problem' in permissions) return refuse('scope_unknown', permissions.problem)
  const before = had === undefined ? null : readTokenScope(had.split(' '))
  const wider = before === null ? null : widerThan(permissions, before)
  if (wider === null) return asked.join(' ')
  return refuse('scope_widened', `${wider} is not within ${had ?? 'any scope'}`)
}

function widerThan(
  inner: readonly Permission[],
  outer: readonly Permission[] | { readonly problem: string },
): string | null {
  return widerPermission(inner, 'problem' in outer ? [] : outer)?.text ?? null
}

function mayActOf(
  { id, mayAct }: NarrowingWish,
  had: readonly string[] | undefined,
): readonly string[] | undefined | AuthorityRefusal {
  const left = had?.filter((one) => one !== id)
  if (mayAct === null) return left
  const { length } = mayAct
  if (
    length > tokenLimits.mayAct ||
    new Set(mayAct).size !== length ||
    mayAct.some((one) => 'problem' in readSpiffeId(one))
  )
    return refuse('request_invalid', `expected may_act to name at most ${tokenLimits.mayAct} SPIFFE IDs, each once`)
  const wider = left === undefined ? undefined : mayAct.find((one) => !left.includes(one))
  return wider === undefined ? mayAct : refuse('exchange_actor', `${wider} is not among those who may act`)
}
