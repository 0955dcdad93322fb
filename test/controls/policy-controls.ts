/** What holds of policies that change and of candidates, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'

const reload = 'packages/server/src/apps/policy-reload.ts'

function control(name: string, test: Control['test'], file: string, from: string, to: string): Control {
  return { name, edits: [{ file, from, to }], test }
}

const candidate = (name: string): Control['test'] => ({ file: 'test/scenarios/policy-candidate.test.ts', name })
const unit = (file: string, name: string): Control['test'] => ({ file: `test/unit/server/${file}.test.ts`, name })

export const policyControls: readonly Control[] = [
  control(
    'policy.shadow.enforces_nothing',
    candidate('a call that the candidate would forbid is made all the same, and its entry says so'),
    'packages/server/src/policy/shadow-engine.ts',
    'return { ...verdict, shadow: other }',
    'return { ...(await candidate.decide(request)), shadow: other }',
  ),
  control(
    'policy.shadow.enforces_nothing.allow',
    candidate('a call that only the candidate would allow is refused and not forwarded, and its entry says so'),
    'packages/server/src/policy/shadow-engine.ts',
    'return { ...verdict, shadow: other }',
    'return { ...(await candidate.decide(request)), shadow: other }',
  ),
  control(
    'policy.shadow.recorded',
    candidate('a call that the candidate would forbid is made all the same, and its entry says so'),
    'packages/enforcement/src/record.ts',
    'if (shadow === null) return {}',
    'if (shadow !== undefined) return {}',
  ),
  control(
    'policy.change.recorded_first',
    unit('policy-reload', 'without a record the policy does not change, and goes on when the record is back'),
    reload,
    "await record.append({ kind: 'admin', body: activationEntry(next, by) })",
    "record.append({ kind: 'admin', body: activationEntry(next, by) }).catch(() => undefined)",
  ),
  control(
    'policy.error_denies',
    {
      file: 'test/refusals/policy-arguments.test.ts',
      name: 'values that are no number of Cedar, or of another type, are an error in the policy that reads them, and deny',
    },
    'packages/core/src/policy/verdict.ts',
    'if (failed !== undefined) {',
    "if (failed !== undefined && answer.decision === 'deny') {",
  ),
  control(
    'policy.own_api',
    {
      file: 'test/refusals/policy-reload.test.ts',
      name: 'one that opens our own API is refused with its place, and the one before decides on',
    },
    'packages/server/src/policy/prepare-policy-worker.ts',
    'problems.push(...found.problems, ...openings(read))',
    'problems.push(...found.problems)',
  ),
]
