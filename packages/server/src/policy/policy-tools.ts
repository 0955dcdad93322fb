/** Everything that can be said about a policy before it counts: what is wrong with it, and what its rules do not say. */

import { createHash } from 'node:crypto'
import { actionTable, analyse, nearestName, PolicyExplainer, readPolicy } from '@doorward/core'
import type { CompiledPolicy, Finding, KnownNames, PolicyFile } from '@doorward/core'
import { entityMention } from './policy-tools-place.ts'
import type { PolicyProblem } from './policy-problem.ts'
import type { Prepared, PreparedPolicy } from './prepare-policy-worker.ts'

/** Something that is said about a policy, with its place. */
export interface Remark extends PolicyProblem {
  readonly level: 'problem' | 'warning' | 'note'
  /** The line of the file that is meant; null for policies of roles. */
  readonly line: { readonly number: number; readonly column: number; readonly text: string } | null
  /** Policies, servers or tools that the message is about; at most 20. */
  readonly related: readonly string[]
  /** How many there are. */
  readonly total: number
}

export interface Checked {
  /** Problems first, then warnings, then notes. */
  readonly remarks: readonly Remark[]
  /** False where rules that change nothing were not all looked for, because too many resemble each other. */
  readonly complete: boolean
  /** How many policies there are; null when they cannot be read. */
  readonly policies: number | null
}

const levels = ['problem', 'warning', 'note'] as const

/** What the official build says, and where that is nothing, what an analysis finds. */
export function checkPolicy(compiled: CompiledPolicy, prepared: Prepared, known: KnownNames): Checked {
  const { problems, warnings, policies } = prepared
  const remarks = remarksOf(compiled.files, prepared)
  if (problems.length > 0) return { remarks, complete: true, policies: null }
  const impossible = new Set(
    warnings.filter(({ code }) => code === 'policy_impossible').map(({ policyId }) => policyId),
  )
  const byId = new Map(policies.map((policy) => [policy.id, policy]))
  const { findings, complete } = analyse(
    policies.map(({ id, json }) => readPolicy(id, json)),
    known,
    new Set(policies.filter(isGenerated).map(({ id }) => id)),
  )
  for (const finding of findings) {
    if (finding.code === 'policy_never_applies' && impossible.has(finding.policyId)) continue
    // Names in files have been judged before.
    if (finding.uid !== null && byId.get(finding.policyId)?.where !== null) continue
    remarks.push(remarkOf(finding, byId.get(finding.policyId), compiled.files))
  }
  return {
    remarks: levels.flatMap((level) => remarks.filter((one) => one.level === level)),
    complete,
    policies: policies.length,
  }
}

/** Of what the official build says, in its order. What is wrong with a policy is not told again of what goes with it. */
function remarksOf(files: readonly PolicyFile[], { problems, warnings }: Prepared): Remark[] {
  const wrong = new Set(problems.map(({ policyId }) => policyId))
  const isEcho = ({ policyId, where }: PolicyProblem) =>
    policyId !== null && where === policyId && policyId.endsWith('/session') && wrong.has(policyId.slice(0, -8))
  return [
    ...problems.filter((one) => !isEcho(one)).map((one) => remark(files, 'problem', betterSaid(one))),
    ...warnings.filter(({ policyId }) => !wrong.has(policyId)).map((one) => remark(files, 'warning', one)),
  ]
}

function remarkOf(finding: Finding, policy: PreparedPolicy | undefined, files: readonly PolicyFile[]): Remark {
  const { code, level, policyId, message, help, uid, related, total } = finding
  const where = policy === undefined ? policyId : placeOf(policy, uid)
  return { ...remark(files, level, { code, policyId, where, message, help }), related, total }
}

function placeOf({ id, where, text }: PreparedPolicy, uid: Finding['uid']): string {
  if (where === null) return id
  return uid === null ? where : entityMention(text, where, uid)
}

function remark(files: readonly PolicyFile[], level: Remark['level'], problem: PolicyProblem): Remark {
  return { ...problem, level, line: lineOf(files, problem.where), related: [], total: 0 }
}

const MAX_LINE = 400

/** Of `<file>:<line>:<column>`. */
function lineOf(files: readonly PolicyFile[], where: string): Remark['line'] {
  const [, name, line, column] = /^(.*):(\d+):(\d+)$/s.exec(where) ?? []
  const file = files.find((one) => one.name === name)
  const text = file?.text.split('\n')[Number(line) - 1]
  if (text === undefined) return null
  return { number: Number(line), column: Number(column), text: text.replace(/\r$/, '').slice(0, MAX_LINE) }
}

/** Made to go with a policy of a file, without a place of its own. */
export function isGenerated({ id, where }: PreparedPolicy): boolean {
  return where === null && !id.startsWith('role:') && !id.startsWith('builtin:')
}

const groups = ['read', 'write', 'admin', 'session']

/** The official build's guess at an action does not look at how near it is. */
function betterSaid(problem: PolicyProblem): PolicyProblem {
  const [, action] = /^unrecognized action `Action::"([^"`]*)"`$/.exec(problem.message) ?? []
  if (action === undefined) return problem
  const near = nearestName(action, [...actionTable.keys(), ...groups])
  return { ...problem, help: near === null ? null : `did you mean Action::"${near}"?` }
}

/** Explains what is decided under that policy. Expects one without problems. */
export function explainerOf(compiled: CompiledPolicy, { policies }: Prepared): PolicyExplainer {
  const digest = createHash('sha256').update(compiled.text).digest('base64url')
  const read = policies.map(({ id, json }) => readPolicy(id, json))
  return new PolicyExplainer(compiled, read, { digest, sequence: 0 })
}
