/** The whole configuration of a gateway that runs, read anew: all of it counts from one moment on, or nothing does. */

import { toSeconds } from '@doorward/core'
import type { Clock, EpochSeconds } from '@doorward/core'
import type { RecordEntry } from '@doorward/enforcement'
import type { PolicyReading } from '../config/policy-reading.ts'
import { reloadEntry, reloadRefusalEntry, shownReload } from './gateway-reload-entries.ts'
import type { ReloadChange, ReloadOutcome } from './gateway-reload-entries.ts'
import type { GatewaySettings } from './gateway-settings.ts'
import type { ServerChanges } from './live-servers.ts'
import { mistakesIn, named } from './policy-reload-entries.ts'
import type { Mistakes } from './policy-reload-entries.ts'
import type { ActivePolicy } from './policy-reload.ts'

/** A configuration that may be taken up as it is: whatever cannot change was refused when it was read. */
export interface GatewayReading {
  readonly settings: GatewaySettings
  readonly policy: PolicyReading
  /** Of the configuration before, and of this one. */
  readonly digests: { readonly from: string; readonly to: string }
  /** Keys that say something else than before. */
  readonly changed: readonly string[]
  /** Keys that say something else than at the start, and that other processes alone go by. */
  readonly elsewhere: readonly string[]
  /** From now on this is what the next reading is compared with. Must not throw. */
  taken(): void
}

/** What is ready to count, beside what counts. */
export interface PreparedChange {
  readonly servers: ServerChanges
  /** What the record is told beside the change, before it counts. */
  readonly entries: readonly RecordEntry[]
  /** Lets it count. Must not throw. */
  apply(): void
  /** What takes a moment and follows. Never rejects. */
  follow(): Promise<void>
  /** Gives it up. */
  discard(): Promise<void>
}

export interface GatewayReloadParts {
  /** Resolves when the entry is durable. */
  readonly record: { append(entry: RecordEntry): Promise<unknown> }
  readonly clock: Clock
  readonly policy: Pick<ActivePolicy, 'adopt'>
  /** Digest of the configuration of the start. */
  readonly digest: string
  /** Throws every mistake with its place. Null where there is nothing that could be read. */
  readonly reread: (() => Promise<GatewayReading>) | null
  /** Throws what keeps it from being taken up; nothing is left of it then. */
  readonly prepare: (reading: GatewayReading) => Promise<PreparedChange>
  readonly onProblem: (error: unknown) => void
}

interface Failed extends Mistakes {
  readonly at: EpochSeconds
  readonly by: string
}

export class GatewayReload {
  readonly #parts: GatewayReloadParts
  readonly #reloads = { changed: 0, unchanged: 0, refused: 0 }
  #digest: string
  #since: EpochSeconds
  /** Of the newest reload, unless that went well. */
  #failed: Failed | null = null
  #elsewhere: readonly string[] = []
  #turn: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #closed = false

  constructor(parts: GatewayReloadParts) {
    this.#parts = parts
    this.#digest = parts.digest
    this.#since = toSeconds(parts.clock())
  }

  /** One after the other; null when one waits already, which will read what this one would. Never rejects. */
  async reload(by: string): Promise<ReloadOutcome | null> {
    if (this.#waiting > 0 || this.#closed) return null
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

  /** Takes up nothing more; resolves when what is under way has ended. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#turn
  }

  /** Why the newest reload was refused; null when it was not. */
  refusal(): Mistakes | null {
    return this.#failed
  }

  numbers(): Readonly<Record<ReloadOutcome['outcome'], number>> {
    return { ...this.#reloads }
  }

  /** Values that JSON can hold. */
  standing(): object {
    return { digest: this.#digest, since: this.#since, elsewhere: named(this.#elsewhere), failed: this.#failed }
  }

  async #reload(by: string): Promise<ReloadOutcome> {
    const { reread } = this.#parts
    if (reread === null) return { outcome: 'unchanged', digest: this.#digest, elsewhere: [] }
    try {
      return await this.#take(await reread(), by)
    } catch (error) {
      return this.#refuse(error, by)
    }
  }

  async #take(reading: GatewayReading, by: string): Promise<ReloadOutcome> {
    const { record, policy, prepare, clock } = this.#parts
    const { digests, changed, elsewhere } = reading
    const prepared = await prepare(reading)
    const change: ReloadChange = { ...digests, changed, servers: prepared.servers }
    const entry: RecordEntry = { kind: 'admin', body: reloadEntry(change, by) }
    const outcome = await policy
      .adopt(reading.policy, by, {
        commit: () =>
          Promise.all((changed.length > 0 ? [entry, ...prepared.entries] : []).map((one) => record.append(one))),
        apply: () => {
          prepared.apply()
          reading.taken()
          this.#digest = digests.to
        },
      })
      .catch(async (error: unknown) => {
        await prepared.discard()
        throw error
      })
    await prepared.follow()
    this.#failed = null
    this.#elsewhere = elsewhere
    if (changed.length === 0 && outcome.outcome === 'unchanged')
      return { outcome: 'unchanged', digest: digests.to, elsewhere }
    this.#since = toSeconds(clock())
    return { outcome: 'changed', change, policy: outcome, elsewhere }
  }

  async #refuse(error: unknown, by: string): Promise<ReloadOutcome> {
    const { record, clock, onProblem } = this.#parts
    const mistakes = mistakesIn(error)
    const kept = this.#digest
    this.#failed = { at: toSeconds(clock()), by, ...mistakes }
    onProblem(error)
    try {
      await record.append({ kind: 'admin', body: reloadRefusalEntry(mistakes, kept, by) })
    } catch (unrecorded) {
      onProblem(unrecorded)
    }
    return { outcome: 'refused', kept, ...mistakes }
  }
}

/** As the admin API asks it. */
export function configurationPort(reload: GatewayReload) {
  return {
    standing: () => reload.standing(),
    reload: async (by: string) => {
      const told = await reload.reload(by)
      return told === null ? null : shownReload(told)
    },
  }
}
