/** Between a server and its callers: calls of what is not approved do not leave, and lists do not show it. */

import { listedDefinitions, serverDefinitions } from '@doorward/core'
import type { Classified, Definition, DefinitionKind, JsonValue, McpSubject } from '@doorward/core'
import { deny } from '../denial.ts'
import type { Denial } from '../denial.ts'
import type { DefinitionStanding, KnownDefinitions } from './known-definitions.ts'
import { TaskTools } from './task-tools.ts'

export interface DefinitionGateParts {
  readonly server: string
  readonly known: KnownDefinitions
  /** Asks the server itself what it defines, within a bound of time; null where that cannot be known. Never rejects. */
  readonly look: () => Promise<readonly Definition[] | null>
}

/** Methods by which clients use a definition of the subject's name. */
const uses: ReadonlyMap<string, DefinitionKind> = new Map([
  ['tools/call', 'tool'],
  ['prompts/get', 'prompt'],
])

const changes: ReadonlyMap<string, readonly DefinitionKind[]> = new Map([
  ['notifications/tools/list_changed', ['tool']],
  ['notifications/prompts/list_changed', ['prompt']],
  ['notifications/resources/list_changed', ['resource_template']],
])

export class DefinitionGate {
  readonly server: string
  readonly known: KnownDefinitions
  readonly tasks = new TaskTools()
  readonly #look: DefinitionGateParts['look']
  #looking: Promise<readonly Definition[] | null> | null = null

  constructor({ server, known, look }: DefinitionGateParts) {
    this.server = server
    this.known = known
    this.#look = look
  }

  /** What has to be asked before a message leaves that policy allows; null where nothing has, as almost always. */
  objection(message: Classified): (() => Promise<Denial | null>) | null {
    if (message.kind !== 'request') return null
    const { method, subject } = message
    if (method === 'initialize' || method === 'server/discover') return this.#opening()
    const kind = uses.get(method) ?? completionKind(method, subject)
    if (kind === null || this.known.standing(kind, subject.name) === 'approved') return null
    return () => this.#judge(kind, subject.name)
  }

  /**
   * What the server answers to a method that lists, or opens: for each item, in order, whether its callers may see it.
   * Null where the method defines nothing.
   */
  see(method: string, result: JsonValue | undefined): readonly boolean[] | null {
    const opens = method === 'initialize' || method === 'server/discover'
    const definitions = opens ? serverDefinitions(result) : listedDefinitions(method, result)
    return definitions?.map((definition) => this.known.see(definition)) ?? null
  }

  /** The server tells of something. */
  notified(method: string): void {
    for (const kind of changes.get(method) ?? []) this.known.stale(kind)
  }

  /** What the server defines now; those who ask at the same time share one answer. */
  async look(): Promise<readonly Definition[] | null> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null
    })
    return this.#looking
  }

  /** A session begins: nothing of a server that nobody has approved, and what is approved is compared first. */
  #opening(): (() => Promise<Denial | null>) | null {
    const { known } = this
    if (known.mode === 'on-first-use' || known.standing('server', 'instructions') === 'approved') return null
    return async () => {
      if (known.approvedCount === 0) return this.#refuse('nothing of the server has been approved')
      await this.#compare()
      return known.standing('server', 'instructions') === 'unapproved'
        ? this.#refuse('what the server says of itself')
        : null
    }
  }

  async #judge(kind: DefinitionKind, name: string): Promise<Denial | null> {
    const { known } = this
    let standing: DefinitionStanding = known.standing(kind, name)
    if (standing === 'unknown') {
      await this.#compare()
      standing = known.standing(kind, name)
    }
    if (standing === 'approved') return null
    const what = `${kind} ${JSON.stringify(name.slice(0, 128))}`
    return this.#refuse(standing === 'unknown' ? `whether it is still as approved cannot be known: ${what}` : what)
  }

  async #compare(): Promise<void> {
    const defined = await this.look()
    for (const definition of defined ?? []) this.known.see(definition)
  }

  #refuse(what: string): Denial {
    return deny(
      'definition_unapproved',
      `not as an operator has approved it: ${what}; doorward servers show ${this.server}`,
    )
  }
}

/** `completion/complete` names a prompt, or a resource by its template; a resource itself is no definition. */
function completionKind(method: string, { kind, name }: McpSubject): DefinitionKind | null {
  if (method !== 'completion/complete') return null
  if (kind === 'prompt') return 'prompt'
  return kind === 'resource' && name.includes('{') ? 'resource_template' : null
}
