/** Which roles a party of a call has: those of bindings, and for the presenter those that the trust state gives. */

import type { Subject } from '../identity/principal.ts'
import type { SpiffeId } from '../identity/spiffe-id.ts'
import { BindingIndex } from './binding-index.ts'
import { RoleSet } from './role-set.ts'
import type { Binding, SubjectBinding } from './source.ts'

export class RolesOf {
  readonly #workloads: BindingIndex
  /** By `key`. */
  readonly #users = new Map<string, string[]>()
  readonly #groups = new Map<string, string[]>()

  constructor(workloads: readonly Binding[], subjects: readonly SubjectBinding[]) {
    this.#workloads = new BindingIndex(workloads)
    for (const { role, issuer, kind, name } of subjects) {
      const map = kind === 'user' ? this.#users : this.#groups
      const roles = map.get(key(issuer, name)) ?? []
      map.set(key(issuer, name), roles)
      roles.push(role)
    }
  }

  workload(id: SpiffeId, given: readonly string[]): RoleSet {
    const bound = this.#workloads.rolesOf(id)
    return given.length === 0 ? bound : RoleSet.joined(bound, RoleSet.of(given))
  }

  subject(subject: Subject): RoleSet {
    if (subject.kind === 'workload') return this.workload(subject.id, [])
    const { issuer, subject: name, groups } = subject
    const roles = RoleSet.of(this.#users.get(key(issuer, name)) ?? [])
    for (const group of groups) for (const role of this.#groups.get(key(issuer, group)) ?? []) roles.add(role)
    return roles
  }
}

function key(issuer: string, name: string): string {
  return `${issuer.length}:${issuer}${name}`
}
