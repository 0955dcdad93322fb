/**
 * Types of policies against the schema of our world. A policy that looks at arguments is checked against those of each
 * tool that it may apply to; where the tools of a server are not known, against what the policy itself makes of them.
 */

import {
  argumentSchema,
  guesses,
  inferArguments,
  mayApplyToPrompt,
  mayApplyToTool,
  policyLooksAt,
  policySchema,
  writeArgumentType,
} from '@doorward/core'
import type { Arguments, CompiledPolicy, Policy } from '@doorward/core'
import type { Cedar, CedarFinding } from './cedar-module.ts'
import { shapeOf } from './policy-shape.ts'
import { MAX_GUESSES, missingArguments } from './missing-arguments.ts'
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

/** One of each shape first; where something is said of it, all of that shape, for each has its own place. */
function checkAll(policies: readonly ReadPolicy[], schema: string, cedar: Cedar): Findings {
  const shapes = Map.groupBy(policies, ({ policy }) => shapeOf(policy))
  const firsts = [...shapes.values()].flatMap(([first]) => (first === undefined ? [] : [first]))
  const found = checkEach(firsts, schema, cedar)
  const named = new Set([...found.problems, ...found.warnings].map(({ policyId }) => policyId))
  if (named.size === 0 || firsts.length === policies.length) return found
  if (named.has(null)) return checkEach(policies, schema, cedar)
  const meant = [...shapes.values()].filter(([first]) => first !== undefined && named.has(first.id))
  return checkEach(meant.flat(), schema, cedar)
}

/** By id: the same ones for which the schema holds. */
function checkEach(policies: readonly ReadPolicy[], schema: string, cedar: Cedar): Findings {
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

interface Targets {
  /** One of each type. */
  readonly types: readonly Target[]
  /** Of every tool that is known; null where there may be others. */
  readonly tools: readonly Arguments[] | null
}

interface Target {
  readonly type: string
  /** A tool that has these arguments; null for none that is known. */
  readonly tool: string | null
  readonly unknown: boolean
}

interface Group {
  readonly schema: string
  /** By the policy's id: a tool of these arguments that the policy may meet. */
  readonly tools: Map<string, string | null>
  readonly policies: ReadPolicy[]
}

function* checkArguments(policies: readonly ReadPolicy[], compiled: CompiledPolicy, cedar: Cedar): Iterable<Findings> {
  const groups = new Map<string, Group>()
  const checks = new Map<string, number>()
  const known = knownTools(compiled)
  const guess = guesses(MAX_GUESSES)
  for (const policy of policies) {
    const { types: targets, tools } = targetsFor(policy.policy, known)
    if (tools !== null) yield { problems: [], warnings: missingArguments(policy, tools, guess) }
    checks.set(policy.id, targets.length)
    for (const [i, { type, tool }] of targets.entries()) {
      // One of its checks is against everything that it may apply to besides.
      const key = `${i === 0 ? 'all' : 'arguments'} ${type}`
      const schema = i === 0 ? policySchema(type) : argumentSchema(type)
      const group = groups.get(key) ?? { schema, tools: new Map<string, string | null>(), policies: [] }
      groups.set(key, group)
      group.tools.set(policy.id, tool)
      group.policies.push(policy)
    }
    if (targets.some(({ unknown }) => unknown)) yield { problems: [], warnings: [uncheckedArguments(policy)] }
  }
  const impossible = new Map<string, number>()
  const all = [...groups.values()]
  for (const policy of new Set(all.slice(MAX_CHECKS).flatMap((group) => group.policies)))
    yield { problems: [], warnings: [unchecked(policy)] }
  for (const group of all.slice(0, MAX_CHECKS)) {
    const { problems, warnings } = checkAll(group.policies, group.schema, cedar)
    for (const { policyId } of warnings)
      if (policyId !== null) impossible.set(policyId, (impossible.get(policyId) ?? 0) + 1)
    yield {
      problems: problems.map((problem) => forTool(problem, group.tools.get(problem.policyId ?? '') ?? null)),
      warnings: [],
    }
  }
  for (const policy of policies)
    if ((impossible.get(policy.id) ?? 0) === checks.get(policy.id))
      yield { problems: [], warnings: [neverApplies(policy)] }
}

function unchecked(policy: ReadPolicy): PolicyProblem {
  const message = `the policies look at more than ${MAX_CHECKS} kinds of arguments, and this one is not checked against all of its own`
  const where = placeIn(policy, { message, help: null })
  const help = 'name the tools that it is about in its scope'
  return { code: 'policy_unchecked', policyId: policy.id, where, message, help }
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

function uncheckedArguments(policy: ReadPolicy): PolicyProblem {
  const message = 'the policy looks at arguments of tools that are not known, so their names and types are not checked'
  const where = placeIn(policy, { message, help: null })
  const help = 'give the list of the tools: servers.<name>.tools'
  return { code: 'policy_arguments_unknown', policyId: policy.id, where, message, help }
}

/** By server; a server of which no tool is known has null. */
type KnownTools = ReadonlyMap<string, readonly (readonly [tool: string, type: string, args: Arguments])[] | null>

function knownTools({ tools, servers }: CompiledPolicy): KnownTools {
  const known = new Map<string, [string, string, Arguments][] | null>(Array.from(servers, (server) => [server, null]))
  for (const [name, args] of tools) {
    const server = name.slice(0, name.indexOf('/'))
    const listed = known.get(server) ?? []
    known.set(server, listed)
    listed.push([name.slice(server.length + 1), writeArgumentType(args.type), args])
  }
  return known
}

/** The only server that the scope leaves; null where it names none. */
function namedServer({ resource }: Policy): string | null {
  const within = resource.kind === 'is' ? resource.within : null
  const uid = resource.kind === 'equal' ? resource.uid : resource.kind === 'in' ? resource.uids[0] : within
  if (uid === undefined || uid === null || (resource.kind === 'in' && resource.uids.length > 1)) return null
  return uid.type === 'Server' ? uid.id : uid.id.slice(0, Math.max(0, uid.id.indexOf('/')))
}

/** A tool that its server has not listed may be there all the same. */
function namesOther({ resource }: Policy, server: string, known: KnownTools): boolean {
  if (resource.kind !== 'equal' || resource.uid.type !== 'Tool') return false
  const { id } = resource.uid
  return id.startsWith(`${server}/`) && known.get(server)?.some(([name]) => id === `${server}/${name}`) === false
}

function targetsFor(policy: Policy, known: KnownTools): Targets {
  const targets = new Map<string, Target>()
  const tools: Arguments[] = []
  const named = namedServer(policy)
  const servers = named === null ? [...known.keys()] : known.has(named) ? [named] : []
  for (const server of servers) {
    for (const [name, type, args] of known.get(server) ?? []) {
      if (!mayApplyToTool(policy, server, name)) continue
      tools.push(args)
      if (!targets.has(type)) targets.set(type, { type, tool: `${server}/${name}`, unknown: false })
    }
  }
  // The arguments of prompts are strings, of which the names are not known.
  const open = servers.some(
    (server) =>
      (known.get(server) === null && mayApplyToTool(policy, server, null)) ||
      namesOther(policy, server, known) ||
      mayApplyToPrompt(policy, server),
  )
  if (open) {
    const type = writeArgumentType(inferArguments(policy))
    targets.set(type, { type, tool: null, unknown: true })
  }
  if (targets.size === 0) targets.set('{}', { type: '{}', tool: null, unknown: false })
  return { types: [...targets.values()], tools: open ? null : tools }
}
