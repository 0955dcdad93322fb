/** The decision port on the official Cedar WebAssembly build. */

import { createHash } from 'node:crypto'
import {
  DoorwardError,
  allowed,
  cedarQuestions,
  denialOf,
  deniedError,
  deniedUnknown,
  unknownPart,
} from '@doorward/core'
import type {
  CedarAnswer,
  CedarQuestion,
  CompiledPolicy,
  DecisionRequest,
  Judged,
  ListVerdict,
  PolicyVersion,
  Verdict,
} from '@doorward/core'
import type { DecisionPort } from '@doorward/enforcement'
import { loadCedar } from './cedar-module.ts'
import type { Cedar } from './cedar-module.ts'
import { checkPolicy, checkTimeoutMilliseconds, policySet } from './check-policy.ts'
import { DecisionCache, decisionKey } from './decision-cache.ts'

/** Cedar keeps parsed sets for ever, so exactly two ids are used in turn. */
type SetId = 'a' | 'b'

interface Active {
  readonly policy: CompiledPolicy
  readonly version: PolicyVersion
  readonly set: SetId
  readonly cache: DecisionCache
}

export interface CedarEngineOptions {
  /** Verdicts kept per policy version; 8192 by default, 0 for none. */
  readonly cacheEntries?: number
  readonly checkTimeoutMilliseconds?: number
  /** Makes a fresh instance of Cedar. */
  readonly load?: () => Cedar
}

const noVersion: PolicyVersion = { digest: '', sequence: 0 }

/**
 * Decides in-process under the last activated policy; before the first one everything is denied. Any failure
 * denies: an error in a policy that applies, a question that Cedar refuses, and an engine that breaks, which is
 * replaced by a fresh one at most once per second of request time.
 *
 * No policy reads arguments, time or address yet, so they are not handed to Cedar: whatever they hold cannot
 * disturb a decision, and `list` answers exactly as `decide` does.
 */
export class CedarEngine implements DecisionPort {
  readonly #load: () => Cedar
  readonly #cacheEntries: number
  readonly #checkTimeout: number
  #cedar: Cedar | null = null
  #active: Active | null = null
  #activation: Promise<unknown> = Promise.resolve()
  #revivedSeconds = Number.NEGATIVE_INFINITY

  constructor(options: CedarEngineOptions = {}) {
    this.#load = options.load ?? loadCedar
    this.#cacheEntries = options.cacheEntries ?? 8192
    this.#checkTimeout = options.checkTimeoutMilliseconds ?? checkTimeoutMilliseconds
  }

  /** The active version; sequence 0 and an empty digest before the first. */
  version(): PolicyVersion {
    return this.#active?.version ?? noVersion
  }

  /**
   * Checks the policy apart, then decides under it from one moment to the next. Sequences count activations of
   * this engine from 1. Rejects with the codes of `checkPolicy`, and the policy before stays. Activations run one
   * after the other.
   */
  activate(policy: CompiledPolicy): Promise<PolicyVersion> {
    const next = this.#activation.then(async () => {
      await checkPolicy(policy, this.#checkTimeout)
      return this.#install(policy)
    })
    this.#activation = next.catch(() => undefined)
    return next
  }

  async decide(request: DecisionRequest): Promise<Verdict> {
    return this.#judge(request)
  }

  async list(request: DecisionRequest): Promise<ListVerdict> {
    return this.#judge(request).effect
  }

  #install(policy: CompiledPolicy): PolicyVersion {
    const set: SetId = this.#active?.set === 'a' ? 'b' : 'a'
    this.#prepare(policy, set)
    const digest = createHash('sha256').update(policy.text).digest('base64url')
    const version = { digest, sequence: this.version().sequence + 1 }
    this.#active = { policy, version, set, cache: new DecisionCache(this.#cacheEntries) }
    return version
  }

  /** Hands the set to Cedar under the id. After a throw the instance is dropped; the next decision makes another. */
  #prepare(policy: CompiledPolicy, set: SetId): void {
    let answer
    try {
      this.#cedar ??= this.#fresh()
      answer = this.#cedar.preparsePolicySet(set, policySet(policy))
    } catch (error) {
      this.#cedar = null
      throw new DoorwardError('policy_hostile', 'the policy broke the decision engine', { cause: error })
    }
    if (answer.type === 'failure')
      throw new DoorwardError(
        'policy_invalid',
        `the policy is not valid: ${answer.errors[0]?.message ?? 'no reason given'}`,
      )
  }

  /** A new instance that already holds the active policy. */
  #fresh(): Cedar {
    const cedar = this.#load()
    if (this.#active !== null) {
      const answer = cedar.preparsePolicySet(this.#active.set, policySet(this.#active.policy))
      if (answer.type === 'failure')
        throw new DoorwardError('policy_invalid', 'the active policy is no longer accepted')
    }
    return cedar
  }

  #judge(request: DecisionRequest): Verdict {
    const active = this.#active
    if (active === null) return deniedUnknown({ request, version: noVersion }, 'no policy is active')
    const key = decisionKey(request)
    const known = key === null ? undefined : active.cache.get(key)
    if (known !== undefined) return known
    const verdict = this.#evaluate(active, request)
    // An engine that failed once may answer the next time.
    const lasting = verdict.effect === 'allow' || verdict.reason !== 'error'
    if (key !== null && lasting) active.cache.set(key, Object.freeze(verdict))
    return verdict
  }

  #evaluate(active: Active, request: DecisionRequest): Verdict {
    const judged: Judged = { request, version: active.version }
    const unknown = unknownPart(request, active.policy)
    if (unknown !== null) return deniedUnknown(judged, unknown)
    const questions = cedarQuestions(request, active.policy)
    if (questions.length === 0) return deniedError(judged, 'nothing to ask')
    const policies = new Set<string>()
    for (const question of questions) {
      const answer = this.#ask(active, question, request.context.timeSeconds)
      if (typeof answer === 'string') return deniedError(judged, answer)
      const denial = denialOf(judged, question, answer)
      if (denial !== null) return denial
      for (const id of answer.reason) policies.add(id)
    }
    return allowed(judged, [...policies])
  }

  /** Cedar's answer, or why there is none. */
  #ask(active: Active, question: CedarQuestion, nowSeconds: number): CedarAnswer | string {
    try {
      this.#cedar ??= this.#revive(nowSeconds)
      if (this.#cedar === null) return 'the decision engine is broken and is being replaced'
      const answer = this.#cedar.statefulIsAuthorized({ ...question, preparsedPolicySetId: active.set })
      if (answer.type === 'failure')
        return `Cedar refused the question: ${answer.errors[0]?.message ?? 'no reason given'}`
      const { decision, diagnostics } = answer.response
      const errors = diagnostics.errors.map(({ policyId, error }) => ({ policyId, message: error.message }))
      return { decision, reason: diagnostics.reason, errors }
    } catch (error) {
      this.#cedar = null
      return `the decision engine broke: ${String(error)}`
    }
  }

  /** Null while the last replacement is less than a second old: making one costs 50 ms that a caller must not be able to cause at will. */
  #revive(nowSeconds: number): Cedar | null {
    if (nowSeconds - this.#revivedSeconds < 1) return null
    this.#revivedSeconds = nowSeconds
    return this.#fresh()
  }
}
