/** The policy of a deployment, opened for questions: nothing is started, nothing is asked of a running part. */

import { resolve } from 'node:path'
import { DoorwardError, fromUtf8 } from '@doorward/core'
import type { CompiledPolicy, KnownNames, PolicyExplainer, PolicyFile } from '@doorward/core'
import { readBoundedFile } from '../config/certificate-file.ts'
import { readExpectationFile } from '../config/expectation-file.ts'
import { compiledPolicy } from '../config/policy-source.ts'
import type { Deployment } from '../config/settings.ts'
import { runExpectations } from '../policy/expectations.ts'
import type { Expectation, ExpectationOutcome, ExpectationRun } from '../policy/expectations.ts'
import { formatPolicies } from '../policy/format-policies.ts'
import { checkPolicy, explainerOf, isGenerated } from '../policy/policy-tools.ts'
import type { Checked, Remark } from '../policy/policy-tools.ts'
import { behalfOf, requestOf } from '../policy/policy-tools-question.ts'
import type { Question } from '../policy/policy-tools-question.ts'
import { permitted } from '../policy/policy-tools-permitted.ts'
import type { AskedList, Permitted, PermittedList } from '../policy/policy-tools-permitted.ts'
import { preparePolicy, refuseProblems } from '../policy/prepare-policy.ts'
import type { PreparedPolicy } from '../policy/prepare-policy-worker.ts'
import { toolEffects } from '@doorward/enforcement'

export { behalfOf, formatPolicies, requestOf }
export type { AskedList, Checked, ExpectationOutcome, ExpectationRun, Permitted, PreparedPolicy, Question, Remark }

export interface OpenPolicy {
  readonly compiled: CompiledPolicy
  readonly policies: readonly PreparedPolicy[]
  readonly explainer: PolicyExplainer
  readonly known: KnownNames
}

export interface CheckedFiles {
  /** Judged beside those of the configuration. */
  readonly more: readonly string[]
  /** Judged in place of those of the configuration. */
  readonly candidate: string | null
}

/** Nobody waits for a decision. */
const patienceMilliseconds = 120_000

const MAX_FILE = 8 * 1024 * 1024

/** Throws the codes of `compiledPolicy` and `preparePolicy`, and `policy_invalid`. */
export async function openPolicy(deployment: Deployment): Promise<OpenPolicy> {
  const compiled = await compiledPolicy(deployment)
  const prepared = await preparePolicy(compiled, patienceMilliseconds)
  refuseProblems(prepared)
  const known = knownNames(deployment, compiled)
  return { compiled, policies: prepared.policies, explainer: explainerOf(compiled, prepared), known }
}

/** Throws the codes of `compiledPolicy` and `preparePolicy`, and `file_unreadable`. */
export async function checkFiles(deployment: Deployment, { more, candidate }: CheckedFiles): Promise<Checked> {
  const active = await compiledPolicy(deployment)
  const configured = candidate === null ? active.files : [await policyFile(candidate)]
  const places = new Set(configured.map(({ name }) => resolve(deployment.folder, name)))
  const others = [...new Set(more)].filter((path) => !places.has(resolve(path)))
  const files = [...configured, ...(await Promise.all(others.map(policyFile)))]
  const compiled = { ...active, files }
  return checkPolicy(compiled, await preparePolicy(compiled, patienceMilliseconds), knownNames(deployment, compiled))
}

async function policyFile(name: string): Promise<PolicyFile> {
  const bytes = await readBoundedFile(name, MAX_FILE)
  try {
    return { name, text: fromUtf8(bytes) }
  } catch (cause) {
    throw new DoorwardError('file_unreadable', 'a file cannot be read', { where: name, expected: 'UTF-8', cause })
  }
}

/** What the configuration says that there is; roles of registrations are not among it. */
export function knownNames({ configuration, trustDomain }: Deployment, compiled: CompiledPolicy): KnownNames {
  const tools = new Map<string, string[]>()
  for (const name of compiled.tools.keys()) {
    const slash = name.indexOf('/')
    const server = name.slice(0, slash)
    const names = tools.get(server) ?? []
    tools.set(server, names)
    names.push(name.slice(slash + 1))
  }
  const effects = new Map(
    Object.entries(configuration.servers).map(([name, server]) => [name, toolEffects(server.effects)]),
  )
  const roles = [...configuration.security.rbac.policies.map(({ role }) => role), ...Object.keys(configuration.roles)]
  return {
    servers: compiled.servers,
    tools,
    effectOf: (server, tool) => effects.get(server)?.(tool) ?? 'write',
    trustDomain,
    roles: new Set(roles),
  }
}

/** Throws `spiffe_id_invalid`. */
export function permittedBy({ explainer, known }: OpenPolicy, asked: AskedList): PermittedList {
  return permitted(explainer, known, asked)
}

/** Throws `file_unreadable`, a ConfigurationError, and what `requestOf` throws, with the place of the expectation. */
export async function testPolicy(open: OpenPolicy, paths: readonly string[]): Promise<ExpectationRun> {
  const expectations: Expectation[] = []
  for (const path of paths) {
    for (const one of await readExpectationFile(path)) {
      const { name, line, expect, reason, by, ...question } = one
      const where = `${path}:${line}`
      refuseUnaskable(question, where, open.known)
      expectations.push({ name: name ?? `${one.action} ${one.resource}`, where, question, expect, reason, by })
    }
  }
  const ids = open.policies.filter((policy) => !isGenerated(policy)).map(({ id }) => id)
  return runExpectations(expectations, open.explainer, { known: open.known, ids })
}

function refuseUnaskable(question: Question, where: string, known: KnownNames): void {
  try {
    requestOf(question, known)
  } catch (error) {
    if (!(error instanceof DoorwardError)) throw error
    const { code, message, expected, got } = error
    throw new DoorwardError(code, message, { where, ...(expected && { expected }), ...(got && { got }) })
  }
}
