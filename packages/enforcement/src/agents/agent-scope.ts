/** For whom names of an agent are good. */

import type { AgentNames } from './agent-names.ts'
import type { TaskOwners } from './task-owners.ts'

export interface AgentScope {
  /** As policy knows it. */
  readonly agent: string
  /** On whose behalf and by whom. */
  readonly owner: string
  readonly names: AgentNames
  readonly owners: TaskOwners
}
