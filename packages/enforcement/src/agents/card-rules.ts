/** What an agent's card says of the calls that it gets. */

import { a2aErrors } from '@doorward/core'
import type { A2aVersion, AgentCard } from '@doorward/core'
import { deny } from '../denial.ts'
import type { Denial } from '../denial.ts'

/** Null for a revision that the agent says to speak; else `protocol_version`. */
export function revisionProblem({ versions }: AgentCard, version: A2aVersion): Denial | null {
  if (versions.includes(version)) return null
  return deny('protocol_version', `the agent speaks A2A ${versions.join(' and ')}`, {
    rpc: a2aErrors.versionNotSupported,
  })
}
