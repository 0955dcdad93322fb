/** Roles that the trust state gives to the workloads of a call: to the presenter, and to the others of its chain. */

import type { Principal } from '@doorward/core'
import type { TrustView } from './ports.ts'

export type TrustRoles = Pick<Principal, 'roles' | 'given'>
type Workloads = Pick<Principal, 'presenter' | 'act' | 'subject'>

export function rolesIn(view: Pick<TrustView, 'roles'>, { presenter, act, subject }: Workloads): TrustRoles {
  const roles = view.roles.get(presenter.uri) ?? []
  const others = subject.kind === 'workload' && subject.id.uri !== presenter.uri ? [...act, subject.id] : act
  if (others.length === 0) return { roles }
  return { roles, given: new Map(others.map(({ uri }) => [uri, view.roles.get(uri) ?? []])) }
}

export function sameRoles(one: TrustRoles, other: TrustRoles): boolean {
  if (one === other) return true
  if (!sameList(one.roles, other.roles) || one.given?.size !== other.given?.size) return false
  return [...(one.given ?? [])].every(([id, roles]) => sameList(roles, other.given?.get(id) ?? []))
}

function sameList(one: readonly string[], other: readonly string[]): boolean {
  return one === other || (one.length === other.length && one.every((role, i) => role === other[i]))
}
