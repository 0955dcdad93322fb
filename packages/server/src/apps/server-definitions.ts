/** What is approved of one server, kept, compared and changed: the gate that calls pass, and what operators ask and do. */

import { definitionDigest, definitionKey, definitionsDigest, DoorwardError } from '@doorward/core'
import type { Definition, JsonObject } from '@doorward/core'
import { DefinitionGate, KnownDefinitions } from '@doorward/enforcement'
import type { ApprovalMode, Found, Record } from '@doorward/enforcement'
import { sha256 } from '@doorward/sdk'
import type { DefinitionFile } from './definition-file.ts'

export interface ServerDefinitionsParts {
  readonly server: string
  readonly mode: ApprovalMode
  readonly approved: readonly Definition[]
  readonly file: DefinitionFile
  readonly record: Record
  /** Asks the server. Rejects when it cannot be asked. */
  readonly inspect: () => Promise<readonly Definition[]>
  readonly onProblem: (error: unknown) => void
  /** Between two inspections; 2000 by default. */
  readonly pauseMilliseconds?: number
}

/** What an operator decides on. */
export interface DefinitionsView {
  readonly approved: readonly Definition[]
  /** What the server says now, and what it has shown to callers otherwise than approved and does not say now. */
  readonly defined: readonly Definition[]
  /** Of `defined`: approving names it, so that nothing else is approved. */
  readonly digest: string
  /** Keys of what was shown to callers in another form than it is shown to the gateway: that cannot be approved. */
  readonly twofold: readonly string[]
}

export interface Approval {
  /** `<origin>#<index>` */
  readonly entry: string
  readonly digest: string
  readonly items: number
}

const PAUSE_MILLISECONDS = 2000
/** What is seen first comes in lists: written together. */
const GATHER_MILLISECONDS = 100
const NAMED = 8

export class ServerDefinitions {
  readonly server: string
  readonly known: KnownDefinitions
  readonly gate: DefinitionGate
  readonly #parts: ServerDefinitionsParts
  #inspectedAt = Number.NEGATIVE_INFINITY
  #problem: string | null = null
  #gathering: NodeJS.Timeout | null = null
  /** Writes of the file, one after the other. */
  #writes: Promise<unknown> = Promise.resolve()
  readonly #untell: () => void

  constructor(parts: ServerDefinitionsParts) {
    const { server, mode, approved, file } = parts
    this.#parts = parts
    this.server = server
    this.known = new KnownDefinitions({ mode, approved, sha256, onFirstUse: () => this.#gather() })
    this.gate = new DefinitionGate({ server, known: this.known, look: () => this.#look() })
    // Another one of the same server, before or after a reload, may approve: what is approved counts for both.
    this.#untell = file.tell({
      approved: (definitions) => this.known.approve(definitions),
      learned: (definitions) => this.known.learn(definitions),
    })
  }

  /** Names of approved tools. */
  tools(): readonly string[] {
    return this.known.approved().flatMap(({ kind, name }) => (kind === 'tool' ? [name] : []))
  }

  /** For operators. */
  status(): JsonObject {
    const { known, server } = this
    const { keys, more } = known.differing()
    return {
      server,
      approval: known.mode,
      approved: known.approvedCount,
      digest: known.approvedCount === 0 ? null : definitionsDigest(known.approved(), sha256),
      unapproved: keys.slice(0, 256),
      more: more || keys.length > 256,
      problem: this.#problem,
    }
  }

  /** Asks the server. Throws why it cannot be asked. */
  async view(): Promise<DefinitionsView> {
    const now = await this.#inspect()
    const saysNow = new Map(now.map((one) => [definitionKey(one), one]))
    const shown = this.known.differingDefinitions()
    const differs = (one: Definition) => {
      const said = saysNow.get(definitionKey(one))
      return said !== undefined && definitionDigest(said, sha256) !== definitionDigest(one, sha256)
    }
    const defined = [...now, ...shown.filter((one) => !saysNow.has(definitionKey(one)))]
    const twofold = shown.filter((one) => differs(one)).map((one) => definitionKey(one))
    return { approved: this.known.approved(), defined, digest: definitionsDigest(defined, sha256), twofold }
  }

  /**
   * What the server says now is approved if it still is what `digest` names. On record before it counts. Throws
   * `definitions_changed`, `definitions_too_large`, and why the server cannot be asked.
   */
  async approve(digest: string, by: string): Promise<Approval> {
    const { defined, digest: now, approved } = await this.view()
    if (now !== digest)
      throw new DoorwardError('definitions_changed', 'the server does not say what was looked at', {
        where: this.server,
        expected: digest,
        got: now,
        next: `look again: doorward servers show ${this.server}`,
      })
    return this.#approve(defined, approved, by)
  }

  /** What stands in the configuration is approved by whoever wrote it. */
  async takeUp(): Promise<void> {
    await this.#approve(this.known.approved(), [], 'configuration')
  }

  #approve(defined: readonly Definition[], before: readonly Definition[], by: string): Promise<Approval> {
    const digest = definitionsDigest(defined, sha256)
    const was = before.length === 0 ? null : definitionsDigest(before, sha256)
    return this.#exclusively(async () => {
      const { record, file, server } = this.#parts
      const body = { change: 'servers.approve', by, server, digest, was, items: defined.length }
      const entry = await record.append({ kind: 'admin', body })
      await file.write(defined)
      return { entry: entry.toString(), digest, items: defined.length }
    })
  }

  /** What stands against the server. */
  findings(): readonly Found[] {
    const { known, server } = this
    const { keys, more } = known.differing()
    if (keys.length === 0 && !more) return []
    const names = keys.slice(0, NAMED).map((key) => JSON.stringify(key.slice(0, 80)))
    const rest = keys.length > NAMED || more ? ', …' : ''
    const detail = `${keys.length} shown otherwise than approved, hidden and refused: ${names.join(', ')}${rest}`
    return [
      {
        detector: 'definition_changed',
        subject: `server ${server}`,
        severity: known.isGrave ? 'critical' : 'high',
        detail,
      },
    ]
  }

  /** Resolves when everything that was approved is kept. What others approve counts here no more. */
  async close(): Promise<void> {
    if (this.#gathering !== null) {
      clearTimeout(this.#gathering)
      this.#keepFirstUse()
    }
    await this.#writes
    this.#untell()
  }

  async #look(): Promise<readonly Definition[] | null> {
    try {
      return await this.#inspect()
    } catch {
      return null
    }
  }

  async #inspect(): Promise<readonly Definition[]> {
    const { inspect, pauseMilliseconds = PAUSE_MILLISECONDS, onProblem } = this.#parts
    const left = this.#inspectedAt + pauseMilliseconds - performance.now()
    if (left > 0) await new Promise((resolve) => setTimeout(resolve, left).unref())
    try {
      const definitions = await inspect()
      this.#problem = null
      return definitions
    } catch (error) {
      this.#problem = error instanceof DoorwardError ? `${error.code}: ${error.got ?? error.message}` : String(error)
      onProblem(error)
      throw error
    } finally {
      this.#inspectedAt = performance.now()
    }
  }

  #gather(): void {
    this.#gathering ??= setTimeout(() => this.#keepFirstUse(), GATHER_MILLISECONDS).unref()
  }

  #keepFirstUse(): void {
    this.#gathering = null
    const { record, file, server, onProblem } = this.#parts
    this.#exclusively(async () => {
      const approved = this.known.approved()
      const digest = definitionsDigest(approved, sha256)
      const body = { event: 'definitions.first_use', server, digest, items: approved.length }
      await record.append({ kind: 'lifecycle', body, patient: true })
      await file.add(approved)
    }).catch(onProblem)
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#writes.then(work)
    this.#writes = mine.catch(() => undefined)
    return mine
  }
}
