/** Whether all parties of a call have a role: the question that a policy about `principal in Role` asks of each of them. */

import type { Principal } from '../identity/principal.ts'
import { partiesOf } from './call-world.ts'
import type { CompiledPolicy } from './compile.ts'
import { RolesOf } from './roles-of.ts'

export class PartyRoles {
  readonly #rolesOf: RolesOf

  constructor({ bindings, subjects }: Pick<CompiledPolicy, 'bindings' | 'subjects'>) {
    this.#rolesOf = new RolesOf(bindings, subjects)
  }

  /** True when every party has one of these. Nobody has one of none. */
  allHave(principal: Principal, roles: ReadonlySet<string>): boolean {
    return partiesOf(principal, this.#rolesOf).every(({ roles: own }) => [...own].some((role) => roles.has(role)))
  }
}
