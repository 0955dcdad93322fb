/** What an analysis of policies finds. */

import type { EntityUid } from './cedar/value.ts'

export interface Finding {
  /**
   * `policy_server_unknown`, `policy_item_unknown`, `policy_trust_domain`, `policy_role_unknown`, `policy_never_applies`,
   * `policy_duplicate_rule`, `policy_shadowed`, `policy_overridden`, `policy_every_server`, `policy_unknown_tools`,
   * `policy_admin_tools`.
   */
  readonly code: string
  /** A problem names what cannot be there; a warning is a rule without effect; a note says what a rule grants. */
  readonly level: 'problem' | 'warning' | 'note'
  readonly policyId: string
  readonly message: string
  readonly help: string | null
  /** The name in the policy that is meant, where there is one. */
  readonly uid: EntityUid | null
  /** Ids of policies that make it superfluous; servers or `<server>/<tool>` that it covers today. At most 20. */
  readonly related: readonly string[]
  /** How many there are. */
  readonly total: number
}
