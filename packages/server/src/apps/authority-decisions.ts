/** By what an authority decides: its policy, and what counts with it. */

import type { Clock } from '@doorward/core'
import type { Pipeline, PipelineWatch, TrustHolder } from '@doorward/enforcement'
import type { OperatorRules } from '../authority/operators.ts'
import type { AuthorityOptions, AuthoritySettings } from './authority-settings.ts'
import type { AuthorityState } from './authority-state.ts'
import type { Listening } from './authority-watchers.ts'
import { openPipeline } from './own-pipeline.ts'
import type { Believed } from './people.ts'
import { ActivePolicy } from './policy-reload.ts'

export interface DecisionParts {
  readonly settings: AuthoritySettings
  readonly options: AuthorityOptions
  readonly clock: Clock
  readonly state: AuthorityState
  readonly listening: Listening
  readonly believed: Believed
}

export interface Decisions {
  readonly policy: ActivePolicy
  readonly pipeline: Pipeline
}

/** The policy is on record before anything is decided by it. */
export async function openDecisions(
  { settings, options, clock, state, listening, believed }: DecisionParts,
  trust: TrustHolder,
  watch: PipelineWatch,
): Promise<Decisions> {
  const { operatorRoles = ['admin'], publicUrl: issuer } = settings
  const policy = new ActivePolicy({
    record: listening.log,
    clock,
    reading: { policy: settings.policy, operatorRoles, candidate: settings.candidate ?? null, restart: [] },
    reread: options.rereadPolicy ?? null,
    beside: ({ issuers = settings.issuers ?? [], restart }, by) =>
      believed.people.change({ issuers, restart }, by, (entry) => listening.log.append(entry)),
    onProblem: (error) => options.report({ type: 'problem', error }),
  })
  await policy.start()
  const { decisions } = policy
  const pipeline = openPipeline({ ...settings, issuer, trust, decisions, log: state.record, clock, watch })
  policy.onChange((version) => void pipeline.policyChanged(version))
  return { policy, pipeline }
}

/** As the configuration says that was read with the policy that is active. */
export function audiencesBy(
  policy: ActivePolicy,
  { allowedAudience }: AuthoritySettings,
): (audience: string) => boolean {
  return (audience) => policy.current().audiences?.has(audience) ?? allowedAudience(audience)
}

/** As the policy that is active says. */
export function operatorRules(policy: ActivePolicy): OperatorRules {
  return {
    get roles() {
      return policy.current().operatorRoles
    },
    get bindings() {
      return policy.current().policy.bindings
    },
  }
}
