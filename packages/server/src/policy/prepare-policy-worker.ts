/** The throw-away thread in which policies are read and checked: hostile text may kill it. */

import { parentPort, workerData } from 'node:worker_threads'
import { approverOf, guesses, isDoorwardError, reachesOwnApi, readPolicy, unknownNames } from '@doorward/core'
import type { CompiledPolicy, JsonObject } from '@doorward/core'
import { keepLongs, loadCedarBriefly } from './cedar-module.ts'
import type { Cedar } from './cedar-module.ts'
import { idOf, placeIn, takeApart } from './policy-text.ts'
import type { PlacedPolicy } from './policy-text.ts'
import { entityMention } from './policy-tools-place.ts'
import type { PolicyProblem } from './policy-problem.ts'
import { sessionCompanion } from './session-companion.ts'
import { validate } from './validation.ts'
import type { Findings, ReadPolicy } from './validation.ts'

/** A policy that was read, as Cedar's JSON format spells it. */
export interface PreparedPolicy {
  readonly id: string
  readonly json: unknown
  readonly text: string
  /** `<file>:<line>:<column>`; null for one that was made from a role. */
  readonly where: string | null
}

export interface Prepared {
  /** Empty when there are problems. */
  readonly policies: readonly PreparedPolicy[]
  readonly problems: readonly PolicyProblem[]
  readonly warnings: readonly PolicyProblem[]
}

const MAX_REPORTED = 100

interface Reading {
  readonly read: (ReadPolicy & { readonly json: unknown })[]
  readonly problems: PolicyProblem[]
}

function prepare(compiled: CompiledPolicy, cedar: Cedar): Prepared {
  const reading = readAll(compiled, cedar)
  const { read, problems } = reading
  if (problems.length === 0) addSessions(reading, compiled, cedar)
  problems.push(...duplicates(read))
  if (problems.length > 0) return { policies: [], problems: problems.slice(0, MAX_REPORTED), warnings: [] }
  const found = validate(read, compiled, cedar)
  const names = namesIn(read, compiled)
  const warnings = [...names.warnings, ...found.warnings].slice(0, MAX_REPORTED)
  problems.push(...found.problems, ...names.problems, ...openings(read))
  problems.push(...approverProblems(read, compiled))
  if (problems.length > 0) return { policies: [], problems: problems.slice(0, MAX_REPORTED), warnings }
  const policies = read.map((one) => ({
    id: one.id,
    json: one.json,
    text: one.text,
    where: one.at === null ? null : placeIn(one, start),
  }))
  return { policies, problems: [], warnings }
}

const start = { message: '', help: null }

function readAll({ policies, files }: CompiledPolicy, cedar: Cedar): Reading {
  const reading: Reading = { read: [], problems: [] }
  for (const { id, text } of policies) readOne({ id, text, at: null }, reading, cedar)
  for (const file of files) {
    const parts = takeApart(file, cedar)
    if ('problems' in parts) reading.problems.push(...parts.problems)
    else for (const part of parts.policies) readOne(part, reading, cedar)
  }
  return reading
}

function readOne(placed: PlacedPolicy, { read, problems }: Reading, cedar: Cedar): void {
  const answer = cedar.policyToJson(placed.text)
  if (answer.type === 'failure') {
    for (const error of answer.errors)
      problems.push({ code: 'policy_syntax', policyId: placed.id, where: placeIn(placed, error), ...error })
    return
  }
  try {
    const { json } = answer
    const policy = readPolicy(placed.id, json)
    const id = placed.at === null ? placed.id : idOf(policy.annotations, placed)
    read.push({ ...placed, id, json, policy: { ...policy, id } })
  } catch (error) {
    if (!isDoorwardError(error)) throw error
    const message = `${error.message}: expected ${error.expected ?? '?'}, got ${error.got ?? '?'}`
    problems.push({
      code: error.code,
      policyId: placed.id,
      where: placeIn(placed, start),
      message,
      help: null,
    })
  }
}

/** Under the id `<id>/session`, at the place of the policy that it goes with. */
function addSessions(reading: Reading, compiled: CompiledPolicy, cedar: Cedar): void {
  const own = reading.read.filter(({ at }) => at !== null)
  for (const { id, policy, json } of own) {
    const companion = sessionCompanion(policy, json as JsonObject, compiled)
    if (companion === null) continue
    const written = cedar.policyToText(companion)
    if (written.type === 'failure') throw new Error(`no text for ${id}/session: ${written.errors[0]?.message ?? ''}`)
    const text = `// ${id.replaceAll(/\s/g, ' ')}: sessions and lists where it permits something\n${written.text}`
    readOne({ id: `${id}/session`, text, at: null }, reading, cedar)
  }
}

function* duplicates(read: Reading['read']): Iterable<PolicyProblem> {
  const seen = new Set<string>()
  for (const one of read) {
    if (seen.has(one.id)) {
      const message = `two policies have the id ${JSON.stringify(one.id)}`
      const help = 'give each policy an @id of its own in its file'
      yield { code: 'policy_duplicate', policyId: one.id, where: placeIn(one, start), message, help }
    }
    seen.add(one.id)
  }
}

/** Of files; what roles name is judged where they are compiled. */
function namesIn(read: Reading['read'], compiled: CompiledPolicy): Findings {
  const known = { ...compiled, tools: toolNames(compiled), guess: guesses(MAX_REPORTED) }
  const found: Record<'problem' | 'warning', PolicyProblem[]> = { problem: [], warning: [] }
  for (const one of read) {
    if (one.at === null) continue
    for (const { code, level, uid, message, help } of unknownNames(one.policy, known)) {
      const where = entityMention(one.text, placeIn(one, start), uid)
      found[level].push({ code, policyId: one.id, where, message, help })
    }
  }
  return { problems: found.problem, warnings: found.warning }
}

/** By server. */
function toolNames({ tools }: CompiledPolicy): ReadonlyMap<string, readonly string[]> {
  const names = Map.groupBy(tools.keys(), (name) => name.slice(0, name.indexOf('/')))
  return new Map(Array.from(names, ([server, all]) => [server, all.map((name) => name.slice(server.length + 1))]))
}

/** Policies from roles name our own API where they mean it; those of files have to. */
function* openings(read: Reading['read']): Iterable<PolicyProblem> {
  for (const one of read) {
    if (one.at === null || !reachesOwnApi(one.policy)) continue
    const message = 'the policy permits the administration of Doorward itself without naming it'
    const help =
      'name the servers, tools or routes in the scope, such as resource in Server::"github" or resource is Tool'
    yield { code: 'policy_own_api', policyId: one.id, where: placeIn(one, start), message, help }
  }
}

/** An annotation that nobody would go by stands for nothing, and whoever wrote it relies on it. */
function* approverProblems(read: Reading['read'], { approvers }: CompiledPolicy): Iterable<PolicyProblem> {
  for (const one of read) {
    const by = approverOf(one.policy)
    if (by === null) continue
    const found = { code: 'policy_approval', policyId: one.id, where: placeIn(one, start) }
    if (one.policy.effect === 'forbid') {
      const message = 'a policy that forbids asks for an approval'
      yield { ...found, message, help: 'write @approval above the policy that permits the calls' }
    } else if (!approvers.has(by)) {
      const message = `the approvers ${JSON.stringify(by.slice(0, 64))} are not defined`
      yield { ...found, message, help: `name one of approvals.groups: ${[...approvers].join(', ') || '(none)'}` }
    }
  }
}

keepLongs()
parentPort?.postMessage(prepare(workerData as CompiledPolicy, loadCedarBriefly()))
