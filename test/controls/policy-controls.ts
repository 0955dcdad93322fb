/** What holds of policies that change and of candidates, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

const reload = 'packages/server/src/apps/policy-reload.ts'
const standing = 'packages/enforcement/src/standing-decisions.ts'
const session = 'packages/enforcement/src/mcp/session.ts'

function control(name: string, test: Control['test'], edit: Edit): Control {
  return { name, edits: [edit], test }
}

const candidate = (name: string): Control['test'] => ({ file: 'test/scenarios/policy-candidate.test.ts', name })
const open = (name: string): Control['test'] => ({ file: 'test/refusals/policy-open-answers.test.ts', name })
const forbidden = open(
  'a streaming answer that a new policy forbids ends with the decision; what is allowed still goes on',
)
const ownStreams = open(
  'streams of our own APIs end with the policy that allowed them: records of both parts, and the trust state',
)
const waiting = open(
  'a call that waits for its answer is refused as if it had just been made, and nothing of it comes later on',
)
const roles = open('roles that are taken away end what they allowed, and no others do')
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
      from: "record.append({ kind: 'admin', body: activationEntry(next, by) })",
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
      from: '...names.problems, ...openings(read))',
      to: '...names.problems)',
    },
  ),
  control(
    'policy.names',
    {
      file: 'test/refusals/policy-reload.test.ts',
      name: 'nothing starts by a policy with names that are not there, and the place is told',
    },
    {
      file: 'packages/server/src/policy/prepare-policy-worker.ts',
      from: '...names.problems, ',
      to: '',
    },
  ),
  control('policy.change.ends_answers', forbidden, {
    file: 'packages/server/src/apps/gateway.ts',
    from: 'policy.onChange((version) => void pipeline.policyChanged(version))',
    to: 'policy.onChange(() => undefined)',
  }),
  control('policy.change.ends_answers.authority', ownStreams, {
    file: 'packages/server/src/apps/authority-decisions.ts',
    from: 'policy.onChange((version) => void pipeline.policyChanged(version))',
    to: 'policy.onChange(() => undefined)',
  }),
  control('policy.roles.end_answers', roles, {
    file: standing,
    from: 'for (const call of this.#parts.open) if (this.#hasOtherRoles(call, view)) this.#waiting.add(call)',
    to: 'for (const call of this.#parts.open) if (view === null) this.#waiting.add(call)',
  }),
  control(
    'policy.roles.now',
    {
      file: 'test/unit/enforcement/standing-decisions.test.ts',
      name: 'roles that were taken away while a body came are not asked with',
    },
    {
      file: 'packages/enforcement/src/pipeline.ts',
      from: 'classify(rolesNow(identified, dependencies.trust.current()), body, options.classifier)',
      to: 'classify(rolesNow(identified, null), body, options.classifier)',
    },
  ),
  control('policy.withheld.answers', waiting, {
    file: session,
    from: "if (request === undefined || request.state === 'withheld') return null",
    to: 'if (request === undefined) return null',
  }),
  control('policy.withheld.progress', waiting, {
    file: session,
    from: "if (state === 'withheld' && own !== undefined && idKey(own) === key) return true",
    to: "if (state === 'withheld' && own !== undefined && idKey(own) === key) return false",
  }),
  control('policy.withheld.resumption', forbidden, {
    file: session,
    from: 'this.#withholds = true',
    to: 'this.#withholds = false',
  }),
]
