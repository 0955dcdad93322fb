/** The policy of a part that runs: what decides, since when, and its change while everything goes on. */

import { toSeconds } from '@doorward/core'
import type { Clock, EpochSeconds, PolicyVersion } from '@doorward/core'
import type { DecisionPort, RecordEntry } from '@doorward/enforcement'
import type { PolicyReading } from '../config/policy-reading.ts'
import { CedarEngine, policyDigest } from '../policy/cedar-engine.ts'
import type { PolicyChange } from '../policy/policy-change.ts'
import { ShadowEngine } from '../policy/shadow-engine.ts'
import {
  activationEntry,
  candidateRefusalEntry,
  mistakesIn,
  refusalEntry,
  shadowEntry,
  shownOutcome,
  shownWarnings,
} from './policy-reload-entries.ts'
import type { Mistakes, PolicyOutcome } from './policy-reload-entries.ts'

export interface ActivePolicyParts {
  /** Resolves when the entry is durable. */
  readonly record: { append(entry: RecordEntry): Promise<unknown> }
  readonly clock: Clock
  /** As the part is started. */
  readonly reading: PolicyReading
  /** Reads everything anew; null where there is nothing that could be read. */
  readonly reread: (() => Promise<PolicyReading>) | null
  /** Makes ready what else of a reading counts with its policy; throws what is wrong with it. Nothing does by default. */
  readonly beside?: (reading: PolicyReading, by: string) => Promise<BesideChange>
  readonly onProblem: (error: unknown) => void
}

/** What changes with a policy that a part reads by itself. */
export interface BesideChange extends LargerChange {
  /** Keys of it; none where it is what it was. */
  readonly keys: readonly string[]
}

/** What changes together with a policy. */
export interface LargerChange {
  /** Resolves when the rest is on record: with the policy's own entry, and before either counts. */
  readonly commit: () => Promise<unknown>
  /** Lets the rest count, in the moment in which the policy does. Must not throw. */
  readonly apply: () => void
}

interface Failed extends Mistakes {
  readonly at: EpochSeconds
  readonly by: string
}

export class ActivePolicy {
  readonly #parts: ActivePolicyParts
  readonly #closing = new AbortController()
  readonly #engine = new CedarEngine({ stopping: this.#closing.signal })
  readonly #shadow = new ShadowEngine(this.#engine)
  #candidate: PolicyVersion | null = null
  /** Why there is none, although one is configured. */
  #candidateRefused: Mistakes | null = null
  #reading: PolicyReading
  #since: EpochSeconds | null = null
  #warnings: readonly string[] = []
  /** Of the newest reload, unless that went well. */
  #failed: Failed | null = null
  #turn: Promise<unknown> = Promise.resolve()
  #waiting = 0
  readonly #listeners = new Set<(version: PolicyVersion) => void>()
  readonly #reloads = { changed: 0, unchanged: 0, refused: 0 }

  constructor(parts: ActivePolicyParts) {
    this.#parts = parts
    this.#reading = parts.reading
  }

  /** Denies everything before the start. */
  get decisions(): DecisionPort {
    return this.#shadow
  }

  /** Whether what decides now may decide the same request differently at another time. */
  looksAtTime(): boolean {
    return this.#engine.looksAtTime()
  }

  /** Calls back whenever another policy decides from now on. */
  onChange(listener: (version: PolicyVersion) => void): void {
    this.#listeners.add(listener)
  }

  /** What decides now, as it was read. */
  current(): PolicyReading {
    return this.#reading
  }

  /** The first activation, on record before it counts. Throws the codes of `CedarEngine.activate` and of the record. */
  async start(): Promise<void> {
    await this.#activate(this.#reading, 'start')
    await this.#compare(this.#reading, 'start')
  }

  /** Gives up what is being read, so that nobody who stops has to wait for it. What is active goes on. */
  close(): void {
    this.#closing.abort()
  }

  /**
   * Reads the policy anew and decides by it from one moment to the next; the record has the change before it counts. Whatever
   * is wrong leaves the policy as it was, is on record, and is told. One after the other; null when one waits already, which
   * will read what this one would.
   */
  async reload(by: string): Promise<PolicyOutcome | null> {
    if (this.#waiting > 0) return null
    this.#waiting++
    const next = this.#turn.then(async () => {
      this.#waiting--
      const told = await this.#reload(by)
      this.#reloads[told.outcome]++
      return told
    })
    this.#turn = next
    return next
  }

  /**
   * Takes a policy that was read with a larger change, which counts from the same moment on. Throws what is wrong with it, or
   * the record's codes; then nothing has changed. It waits for readings of the policy alone, and they for it.
   */
  adopt(reading: PolicyReading, by: string, change: LargerChange): Promise<PolicyOutcome> {
    const next = this.#turn.then(() => this.#adopt(reading, by, change))
    this.#turn = next.catch(() => undefined)
    return next
  }

  /** Why the newest reload, or the candidate to compare with, was refused; null when neither was. */
  refusal(): Mistakes | null {
    return this.#failed ?? this.#candidateRefused
  }

  /** For who counts: what decides, decisions that the candidate would have made otherwise, and readings by result. */
  numbers() {
    return { version: this.#engine.version(), differences: this.#shadow.differences, reloads: { ...this.#reloads } }
  }

  /** Values that JSON can hold. */
  standing(): object {
    const { policy, restart } = this.#reading
    const { digest, sequence } = this.#engine.version()
    return {
      digest,
      sequence,
      since: this.#since,
      time_zone: policy.timeZone,
      counts: {
        policies: this.#engine.size(),
        files: policy.files.length,
        bindings: policy.bindings.length + policy.subjects.length,
        tools: policy.tools.size,
      },
      warnings: this.#warnings,
      shadow:
        this.#candidate === null ? null : { digest: this.#candidate.digest, differences: this.#shadow.differences },
      shadow_refused: this.#candidateRefused,
      needs_restart: restart,
      failed: this.#failed,
    }
  }

  async #reload(by: string): Promise<PolicyOutcome> {
    const { reread } = this.#parts
    try {
      const reading = await (reread ?? (() => Promise.resolve(this.#reading)))()
      const { restart } = reading
      const beside = (await this.#parts.beside?.(reading, by)) ?? null
      const also = beside?.keys ?? []
      await this.#compare(reading, by)
      if (policyDigest(reading.policy) === this.#engine.version().digest) {
        await beside?.commit()
        beside?.apply()
        this.#reading = reading
        this.#failed = null
        return { outcome: 'unchanged', version: this.#engine.version(), restart, also }
      }
      const change = await this.#activate(reading, by, beside)
      this.#failed = null
      return { outcome: 'changed', change, restart, also }
    } catch (error) {
      return this.#refuse(error, by)
    }
  }

  async #adopt(reading: PolicyReading, by: string, larger: LargerChange): Promise<PolicyOutcome> {
    const { restart } = reading
    const version = this.#engine.version()
    const same = policyDigest(reading.policy) === version.digest
    if (same) {
      await larger.commit()
      larger.apply()
      this.#reading = reading
    }
    const change = same ? null : await this.#activate(reading, by, larger)
    this.#failed = null
    await this.#compare(reading, by)
    const told = { restart, also: [] }
    return change === null ? { outcome: 'unchanged', version, ...told } : { outcome: 'changed', change, ...told }
  }

  async #activate(reading: PolicyReading, by: string, larger: LargerChange | null = null): Promise<PolicyChange> {
    const { record, clock } = this.#parts
    const change = await this.#engine.change(reading.policy, async (next) => {
      const rest = larger?.commit()
      await Promise.all([rest, record.append({ kind: 'admin', body: activationEntry(next, by) })])
    })
    larger?.apply()
    this.#reading = reading
    this.#since = toSeconds(clock())
    this.#warnings = shownWarnings(change)
    for (const listener of this.#listeners) listener(change.to)
    return change
  }

  /** Takes up the candidate that the policy is compared with. What is wrong with it is told, and nothing is compared. */
  async #compare({ candidate }: PolicyReading, by: string): Promise<void> {
    this.#candidateRefused = null
    if (candidate === null) return this.#compareWith(null)
    try {
      if (candidate instanceof Error) throw candidate
      if (policyDigest(candidate) === this.#candidate?.digest) return
      const engine = new CedarEngine({ stopping: this.#closing.signal })
      await engine.change(candidate, async (change) => {
        await this.#parts.record.append({ kind: 'admin', body: shadowEntry(change, by) })
      })
      this.#compareWith(engine)
    } catch (error) {
      this.#compareWith(null)
      this.#candidateRefused = await this.#tell(error, (mistakes) => candidateRefusalEntry(mistakes, by))
    }
  }

  /** To the operator and to the record, as far as that takes it. */
  async #tell(error: unknown, entry: (mistakes: Mistakes) => object): Promise<Mistakes> {
    const { record, onProblem } = this.#parts
    const mistakes = mistakesIn(error)
    if (this.#closing.signal.aborted) return mistakes
    onProblem(error)
    try {
      await record.append({ kind: 'admin', body: entry(mistakes) })
    } catch (unrecorded) {
      onProblem(unrecorded)
    }
    return mistakes
  }

  #compareWith(engine: CedarEngine | null): void {
    this.#candidate = engine?.version() ?? null
    this.#shadow.compareWith(engine)
  }

  async #refuse(error: unknown, by: string): Promise<PolicyOutcome> {
    const version = this.#engine.version()
    const mistakes = await this.#tell(error, (told) => refusalEntry(told, version, by))
    this.#failed = { at: toSeconds(this.#parts.clock()), by, ...mistakes }
    return { outcome: 'refused', version, ...mistakes }
  }
}

/** As the admin API asks it. */
export function policyPort(active: ActivePolicy) {
  return {
    standing: () => active.standing(),
    reload: async (by: string) => {
      const told = await active.reload(by)
      return told === null ? null : shownOutcome(told)
    },
  }
}
