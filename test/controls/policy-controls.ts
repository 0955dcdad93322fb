/** What holds of policies that change and of candidates, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

const reload = 'packages/server/src/apps/policy-reload.ts'

function control(name: string, test: Control['test'], edit: Edit): Control {
  return { name, edits: [edit], test }
}

const candidate = (name: string): Control['test'] => ({ file: 'test/scenarios/policy-candidate.test.ts', name })
const unit = (file: string, name: string): Control['test'] => ({ file: `test/unit/server/${file}.test.ts`, name })

export const policyControls: readonly Control[] = [
  control(
    'policy.shadow.enforces_nothing',
    candidate('a call that the candidate would forbid is made all the same, and its entry says so'),
    {
      file: 'packages/server/src/policy/shadow-engine.ts',
      from: 'return { ...verdict, shadow: other }',
      to: 'return { ...(await candidate.decide(request)), shadow: other }',
    },
  ),
  control(
    'policy.shadow.enforces_nothing.allow',
    candidate('a call that only the candidate would allow is refused and not forwarded, and its entry says so'),
    {
      file: 'packages/server/src/policy/shadow-engine.ts',
      from: 'return { ...verdict, shadow: other }',
      to: 'return { ...(await candidate.decide(request)), shadow: other }',
    },
  ),
  control(
    'policy.shadow.recorded',
    candidate('a call that the candidate would forbid is made all the same, and its entry says so'),
    {
      file: 'packages/enforcement/src/record.ts',
      from: 'if (shadow === null) return {}',
      to: 'if (shadow !== undefined) return {}',
    },
  ),
  control(
    'policy.change.recorded_first',
    unit('policy-reload', 'without a record the policy does not change, and goes on when the record is back'),
    {
      file: reload,
      from: "await record.append({ kind: 'admin', body: activationEntry(next, by) })",
      to: "record.append({ kind: 'admin', body: activationEntry(next, by) }).catch(() => undefined)",
    },
  ),
  control(
    'policy.error_denies',
    {
      file: 'test/refusals/policy-arguments.test.ts',
      name: 'values that are no number of Cedar, or of another type, are an error in the policy that reads them, and deny',
    },
    {
      file: 'packages/core/src/policy/verdict.ts',
      from: 'if (failed !== undefined) {',
      to: "if (failed !== undefined && answer.decision === 'deny') {",
    },
  ),
  control(
    'policy.own_api',
    {
      file: 'test/refusals/policy-reload.test.ts',
      name: 'one that opens our own API without naming it is refused with its place, and the one before decides on',
    },
    {
      file: 'packages/server/src/policy/prepare-policy-worker.ts',
      from: 'problems.push(...found.problems, ...openings(read))',
      to: 'problems.push(...found.problems)',
    },
  ),
]
