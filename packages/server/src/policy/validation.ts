/**
 * Types of policies against the schema of our world. A policy that looks at arguments is checked against those of each
 * tool that it may apply to; where the tools of a server are not known, against what the policy itself makes of them.
 */

import {
  argumentSchema,
  inferArguments,
  mayApplyToPrompt,
  mayApplyToTool,
  policyLooksAt,
  policySchema,
  writeArgumentType,
} from '@doorward/core'
import type { CompiledPolicy, Policy } from '@doorward/core'
import type { Cedar, CedarFinding } from './cedar-module.ts'
import { placeIn } from './policy-text.ts'
import type { PlacedPolicy } from './policy-text.ts'
import type { PolicyProblem } from './policy-problem.ts'

export interface ReadPolicy extends PlacedPolicy {
  readonly policy: Policy
}

export interface Findings {
  readonly problems: readonly PolicyProblem[]
  readonly warnings: readonly PolicyProblem[]
}

/** Each takes some milliseconds. */
const MAX_CHECKS = 1000

export function validate(policies: readonly ReadPolicy[], compiled: CompiledPolicy, cedar: Cedar): Findings {
  const plain = policies.filter(({ policy }) => !policyLooksAt(policy, 'args'))
  const arguing = policies.filter(({ policy }) => policyLooksAt(policy, 'args'))
  const found = [checkAll(plain, compiled.schema, cedar), ...checkArguments(arguing, compiled, cedar)]
  return {
    problems: unique(found.flatMap(({ problems }) => problems)),
    warnings: unique(found.flatMap(({ warnings }) => warnings)),
  }
}

function unique(problems: readonly PolicyProblem[]): readonly PolicyProblem[] {
  return [...new Map(problems.map((problem) => [`${problem.where} ${problem.message}`, problem])).values()]
}

/** By id: the same ones for which the schema holds. */
function checkAll(policies: readonly ReadPolicy[], schema: string, cedar: Cedar): Findings {
  if (policies.length === 0) return { problems: [], warnings: [] }
  const byId = new Map(policies.map((one) => [one.id, one]))
  const staticPolicies = Object.fromEntries(policies.map(({ id, text }) => [id, text]))
  const answer = cedar.validate({ schema, policies: { staticPolicies } })
  if (answer.type === 'failure') {
    const problems = answer.errors.map(({ message, help }) => ({
      code: 'policy_type',
      policyId: null,
      where: 'policy',
      message,
      help,
    }))
    return { problems, warnings: [] }
  }
  return {
    problems: answer.validationErrors.map((finding) => problemOf('policy_type', finding, byId)),
    warnings: answer.validationWarnings.map((finding) => problemOf('policy_impossible', finding, byId)),
  }
}

function problemOf(
  code: string,
  { policyId, error }: CedarFinding,
  byId: ReadonlyMap<string, ReadPolicy>,
): PolicyProblem {
  const policy = byId.get(policyId)
  const where = policy === undefined ? policyId : placeIn(policy, error)
  const message = error.message.replace(/^for policy `[^`]*`, /, '')
  return { code, policyId, where, message, help: error.help }
}

interface Target {
  readonly type: string
  /** A tool that has these arguments; null for none that is known. */
  readonly tool: string | null
  readonly unknown: boolean
}

interface Group {
  readonly schema: string
  readonly tool: string | null
  readonly policies: ReadPolicy[]
}

function* checkArguments(policies: readonly ReadPolicy[], compiled: CompiledPolicy, cedar: Cedar): Iterable<Findings> {
  const groups = new Map<string, Group>()
  const checks = new Map<string, number>()
  for (const policy of policies) {
    const targets = targetsFor(policy.policy, compiled)
    checks.set(policy.id, targets.length)
    for (const [i, { type, tool }] of targets.entries()) {
      // One of its checks is against everything that it may apply to besides.
      const key = `${i === 0 ? 'all' : 'arguments'} ${type}`
      const schema = i === 0 ? policySchema(type) : argumentSchema(type)
      const group = groups.get(key) ?? { schema, tool, policies: [] }
      groups.set(key, group)
      group.policies.push(policy)
    }
    if (targets.some(({ unknown }) => unknown)) yield { problems: [], warnings: [unknownArguments(policy)] }
  }
  const impossible = new Map<string, number>()
  for (const group of [...groups.values()].slice(0, MAX_CHECKS)) {
    const { problems, warnings } = checkAll(group.policies, group.schema, cedar)
    for (const { policyId } of warnings)
      if (policyId !== null) impossible.set(policyId, (impossible.get(policyId) ?? 0) + 1)
    yield { problems: problems.map((problem) => forTool(problem, group.tool)), warnings: [] }
  }
  for (const policy of policies)
    if ((impossible.get(policy.id) ?? 0) === checks.get(policy.id))
      yield { problems: [], warnings: [neverApplies(policy)] }
}

/** Impossible with the arguments of every tool that it may meet. */
function neverApplies(policy: ReadPolicy): PolicyProblem {
  const message = 'policy is impossible: it applies to no valid request'
  const where = placeIn(policy, { message, help: null })
  return { code: 'policy_impossible', policyId: policy.id, where, message, help: null }
}

function forTool(problem: PolicyProblem, tool: string | null): PolicyProblem {
  return tool === null ? problem : { ...problem, message: `${problem.message} (arguments of ${tool})` }
}

function unknownArguments(policy: ReadPolicy): PolicyProblem {
  const message = 'the policy looks at arguments of tools that are not known, so their names and types are not checked'
  const where = placeIn(policy, { message, help: null })
  const help = 'give the list of the tools: servers.<name>.tools'
  return { code: 'policy_arguments_unknown', policyId: policy.id, where, message, help }
}

function targetsFor(policy: Policy, { tools, servers }: CompiledPolicy): readonly Target[] {
  const targets = new Map<string, Target>()
  const listed = new Set<string>()
  for (const [name, { type }] of tools) {
    const server = name.slice(0, name.indexOf('/'))
    listed.add(server)
    if (!mayApplyToTool(policy, server, name.slice(server.length + 1))) continue
    const text = writeArgumentType(type)
    if (!targets.has(text)) targets.set(text, { type: text, tool: name, unknown: false })
  }
  // The arguments of prompts are strings, of which the names are not known.
  const open = [...servers].some(
    (server) => (!listed.has(server) && mayApplyToTool(policy, server, null)) || mayApplyToPrompt(policy, server),
  )
  if (open) {
    const type = writeArgumentType(inferArguments(policy))
    targets.set(type, { type, tool: null, unknown: true })
  }
  if (targets.size === 0) targets.set('{}', { type: '{}', tool: null, unknown: false })
  return [...targets.values()]
}
