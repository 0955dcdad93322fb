/** Warns of arguments that a policy asks for and no tool has. */

import { unknownArguments } from '@doorward/core'
import type { Arguments, guesses, Policy } from '@doorward/core'
import { argumentMention } from './policy-tools-place.ts'
import { placeIn } from './policy-text.ts'
import type { PlacedPolicy } from './policy-text.ts'
import type { PolicyProblem } from './policy-problem.ts'

type Guess = ReturnType<typeof guesses>

const MAX_NAMED = 10
/** As many as are told at most. */
export const MAX_GUESSES = 100

/** `tools`: the arguments of every tool that the policy is about. */
export function missingArguments(
  policy: PlacedPolicy & { readonly policy: Policy },
  tools: readonly Arguments[],
  guess: Guess,
): readonly PolicyProblem[] {
  return unknownArguments(policy.policy, tools, guess).map(({ path, near, there }) => {
    const name = path.at(-1) ?? ''
    const message = `no tool that the policy is about has the argument ${JSON.stringify(path.join('.').slice(0, 80))}`
    const where = argumentMention(policy.text, placeIn(policy, { message, help: null }), name)
    const more = there.length > MAX_NAMED ? ` and ${there.length - MAX_NAMED} more` : ''
    const listed = `there are: ${there.slice(0, MAX_NAMED).join(', ') || '(none)'}${more}`
    const help = near === null ? listed : `did you mean ${JSON.stringify(near)}?`
    return { code: 'policy_argument_unknown', policyId: policy.id, where, message, help }
  })
}
