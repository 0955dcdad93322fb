/** What makes a witness of one part for the other, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

function control(name: string, test: Control['test'], edit: Edit): Control {
  return { name, edits: [edit], test }
}

const refusal = (name: string): Control['test'] => ({ file: 'test/refusals/witness-routes.test.ts', name })
const scenario = (name: string): Control['test'] => ({ file: 'test/scenarios/witnesses.test.ts', name })

const follows = refusal('what does not follow from what is remembered is refused, and raises an alarm')
const ownLog = refusal('nobody shows the log of somebody else, nor one with another key')
const gatewayBack = scenario(
  'a gateway that was put back, second copy and all, permits nothing; with the newest copy it goes on',
)
const authorityBack = scenario('an authority that was put back, second copy and all, signs nothing any more')

export const witnessControls: readonly Control[] = [
  control('witness.before_permits', gatewayBack, {
    file: 'packages/enforcement/src/record/witnessed-record.ts',
    from: "return kind === 'decision' && (body as { readonly decision?: unknown }).decision !== 'deny'",
    to: "return kind === 'decision' && (body as { readonly decision?: unknown }).decision === null",
  }),
  control('witness.consistency', follows, {
    file: 'packages/core/src/audit/witness.ts',
    from: "return { at: follows ? 'follows' : 'unproven', checkpoint }",
    to: "return { at: follows ? 'follows' : 'follows', checkpoint }",
  }),
  control('witness.forked', follows, {
    file: 'packages/core/src/audit/witness.ts',
    from: 'if (checkpoint.size === known && !equalBytes(checkpoint.root, remembered.root)) return',
    to: 'if (checkpoint.size === known) return { at: `follows`, checkpoint }\n  if (checkpoint.size < 0) return',
  }),
  control('witness.own_log', ownLog, {
    file: 'packages/server/src/apps/log-witness.ts',
    from: 'if (key === null || name !== expected)',
    to: 'if (key === null)',
  }),
  control('witness.kept_key', ownLog, {
    file: 'packages/server/src/apps/log-places.ts',
    from: 'if (kept === log.verifierKey) return',
    to: 'if (kept !== null) return',
  }),
  control('witness.evidence', authorityBack, {
    file: 'packages/server/src/apps/authority-witness.ts',
    from: "fitness.hold('log_went_back', detail)",
    to: 'void fitness',
  }),
]
