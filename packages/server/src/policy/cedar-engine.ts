/** The decision port: policies that change from one moment to the next. */

import { createHash } from 'node:crypto'
import { PolicyJudge, deniedUnknown, readPolicy } from '@doorward/core'
import type { CompiledPolicy, DecisionRequest, ListVerdict, PolicyVersion, SomeRequest, Verdict } from '@doorward/core'
import type { DecisionPort } from '@doorward/enforcement'
import { preparePolicy, prepareTimeoutMilliseconds, refuseProblems } from './prepare-policy.ts'
import { difference, factsOf, noFacts } from './policy-change.ts'
import type { PolicyChange, PolicyFacts } from './policy-change.ts'
import type { PreparedPolicy } from './prepare-policy-worker.ts'

export interface CedarEngineOptions {
  readonly prepareTimeoutMilliseconds?: number
  /** Nothing is read any more when it aborts, and the policy stays. */
  readonly stopping?: AbortSignal
}

/** Told what is about to change, and waited for. */
export type Commit = (change: PolicyChange) => Promise<void>

const atOnce: Commit = () => Promise.resolve()
const noVersion: PolicyVersion = { digest: '', sequence: 0 }

/** Decides in-process under the last activated policy; before the first one everything is denied. */
export class CedarEngine implements DecisionPort {
  readonly #timeout: number
  readonly #stopping: AbortSignal | undefined
  #judge: PolicyJudge | null = null
  #facts: PolicyFacts = noFacts
  #activation: Promise<unknown> = Promise.resolve()

  constructor(options: CedarEngineOptions = {}) {
    this.#timeout = options.prepareTimeoutMilliseconds ?? prepareTimeoutMilliseconds
    this.#stopping = options.stopping
  }

  /** The active version; sequence 0 and an empty digest before the first. */
  version(): PolicyVersion {
    return this.#judge?.version ?? noVersion
  }

  /** Whether the active policy may decide the same request differently at another time. */
  looksAtTime(): boolean {
    return this.#judge?.looksAtTime ?? false
  }

  /** How many policies are active. */
  size(): number {
    return this.#facts.policies.size
  }

  /**
   * Checks the policy apart, then decides under it from one moment to the next. Sequences count activations of
   * this engine from 1. Rejects with the codes of `preparePolicy` and with `policy_invalid`, and the policy before
   * stays. Activations run one after the other.
   */
  async activate(policy: CompiledPolicy): Promise<PolicyVersion> {
    return (await this.change(policy, atOnce)).to
  }

  /** As `activate`, with what changes; the policy before stays when `commit` rejects, and its rejection is passed on. */
  change(policy: CompiledPolicy, commit: Commit): Promise<PolicyChange> {
    const next = this.#activation.then(async () => {
      const prepared = await preparePolicy(policy, this.#timeout, this.#stopping)
      refuseProblems(prepared)
      const judge = judgeOf(policy, prepared.policies, this.version().sequence + 1)
      const facts = factsOf(policy, prepared.policies)
      const { warnings } = prepared
      const change = { from: this.version(), to: judge.version, ...difference(this.#facts, facts), warnings }
      await commit(change)
      this.#judge = judge
      this.#facts = facts
      return change
    })
    this.#activation = next.catch(() => undefined)
    return next
  }

  async decide(request: DecisionRequest): Promise<Verdict> {
    return this.#judge?.decide(request) ?? deniedUnknown({ request, version: noVersion }, 'no policy is active')
  }

  async list(request: DecisionRequest): Promise<ListVerdict> {
    return this.#judge?.list(request) ?? 'deny'
  }

  async some(request: SomeRequest): Promise<ListVerdict> {
    return this.#judge?.some(request) ?? 'deny'
  }
}

/** Decides under that policy. */
export function judgeOf(policy: CompiledPolicy, policies: readonly PreparedPolicy[], sequence: number): PolicyJudge {
  const read = policies.map(({ id, json }) => readPolicy(id, json))
  return new PolicyJudge(policy, read, { digest: policyDigest(policy), sequence })
}

/** SHA-256 of everything that a decision depends on, base64url. */
export function policyDigest({ text }: Pick<CompiledPolicy, 'text'>): string {
  return createHash('sha256').update(text).digest('base64url')
}
