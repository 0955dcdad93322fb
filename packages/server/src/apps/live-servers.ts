/** The servers of a gateway that runs: what a new configuration adds, changes and takes away. */

import { openServer } from './gateway-servers.ts'
import type { GatewayServer, ServerParts } from './gateway-servers.ts'
import type { GatewaySettings } from './gateway-settings.ts'

/** Names. */
export interface ServerChanges {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly changed: readonly string[]
}

interface Opened {
  readonly server: GatewayServer
  /** Ends the way to it. */
  readonly closing: AsyncDisposableStack
  /** Its settings as text, to compare by. */
  readonly settings: string
}

export interface PreparedServers {
  readonly changes: ServerChanges
  readonly opened: ReadonlyMap<string, Opened>
}

export class LiveServers {
  readonly #parts: ServerParts
  readonly #opened = new Map<string, Opened>()
  readonly #servers = new Map<string, GatewayServer>()
  readonly #closing = new Set<Promise<void>>()

  constructor(parts: ServerParts) {
    this.#parts = parts
  }

  /** As they are now, whenever that is looked at. */
  get servers(): ReadonlyMap<string, GatewayServer> {
    return this.#servers
  }

  /** Opens what is new or changed, beside what serves. Throws as `openServer`; then nothing stays open. */
  async prepare(settings: GatewaySettings): Promise<PreparedServers> {
    const opened = new Map<string, Opened>()
    const changes = { added: [] as string[], removed: [] as string[], changed: [] as string[] }
    try {
      for (const [name, server] of Object.entries(settings.servers)) {
        // What was listed when a server was first approved changes nothing afterwards.
        const text = JSON.stringify({ ...server, listed: undefined })
        const known = this.#opened.get(name)
        if (known?.settings === text) continue
        changes[known === undefined ? 'added' : 'changed'].push(name)
        const closing = new AsyncDisposableStack()
        const live = await openServer({ ...this.#parts, settings }, { name, server }, closing).catch(
          async (error: unknown) => {
            // What of it was open already is in nobody's hands yet.
            await closing.disposeAsync()
            throw error
          },
        )
        opened.set(name, { server: live, closing, settings: text })
      }
    } catch (error) {
      await this.discard({ opened, changes })
      throw error
    }
    for (const name of this.#opened.keys()) if (!Object.hasOwn(settings.servers, name)) changes.removed.push(name)
    return { opened, changes }
  }

  /** Closes what was prepared and is not taken. */
  async discard({ opened }: PreparedServers): Promise<void> {
    for (const { closing } of opened.values()) await closing.disposeAsync()
  }

  /** From one moment to the next; what was replaced begins to close. Its sessions have been ended by then. */
  take({ opened, changes }: PreparedServers): void {
    for (const name of [...changes.removed, ...changes.changed]) this.#close(name)
    for (const [name, one] of opened) {
      this.#opened.set(name, one)
      this.#servers.set(name, one.server)
      this.#parts.definitions.hold(name, one.server.approved)
    }
  }

  /** Closes all, and waits for what closes already. */
  async close(): Promise<void> {
    for (const name of this.#opened.keys()) this.#close(name)
    await Promise.all(this.#closing)
  }

  #close(name: string): void {
    const one = this.#opened.get(name)
    this.#opened.delete(name)
    this.#servers.delete(name)
    if (one === undefined) return
    this.#parts.definitions.forget(name)
    const closing = one.closing
      .disposeAsync()
      .catch((error: unknown) => this.#parts.warn('server_unclosed', `server ${name}: ${String(error)}`))
      .finally(() => this.#closing.delete(closing))
    this.#closing.add(closing)
  }
}
