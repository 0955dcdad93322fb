/** The servers and services of a gateway that runs: what a new configuration adds, changes and takes away. */

import { openBackend } from './gateway-backends.ts'
import type { BackendParts, GatewayBackend } from './gateway-backends.ts'
import { openServer } from './gateway-servers.ts'
import type { GatewayServer, ServerParts } from './gateway-servers.ts'
import type { BackendSettings, GatewaySettings, ServerSettings } from './gateway-settings.ts'

/** Names. */
export interface ServerChanges {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly changed: readonly string[]
}

/** What one kind of way is made of. */
interface Kind<Settings, Way> {
  readonly of: (settings: GatewaySettings) => Readonly<Record<string, Settings>>
  readonly open: (
    settings: GatewaySettings,
    one: { readonly name: string; readonly server: Settings },
    closing: AsyncDisposableStack,
  ) => Promise<Way>
  readonly onTaken?: (name: string, way: Way) => void
  readonly onClosed?: (name: string, way: Way) => void
  readonly warn: (code: string, text: string) => void
}

interface Opened<Way> {
  readonly way: Way
  /** Ends the way to it. */
  readonly closing: AsyncDisposableStack
  /** Its settings as text, to compare by. */
  readonly settings: string
}

export interface PreparedWays<Way> {
  readonly changes: ServerChanges
  readonly opened: ReadonlyMap<string, Opened<Way>>
}

export class LiveWays<Settings extends object, Way> {
  readonly #kind: Kind<Settings, Way>
  readonly #opened = new Map<string, Opened<Way>>()
  readonly #ways = new Map<string, Way>()
  readonly #closing = new Set<Promise<void>>()

  constructor(kind: Kind<Settings, Way>) {
    this.#kind = kind
  }

  /** As they are now, whenever that is looked at. */
  get ways(): ReadonlyMap<string, Way> {
    return this.#ways
  }

  /** Opens what is new or changed, beside what serves. Throws as `open` of the kind; then nothing stays open. */
  async prepare(settings: GatewaySettings): Promise<PreparedWays<Way>> {
    const opened = new Map<string, Opened<Way>>()
    const changes = { added: [] as string[], removed: [] as string[], changed: [] as string[] }
    const all = this.#kind.of(settings)
    try {
      for (const [name, server] of Object.entries(all)) {
        // What was listed when a server was first approved changes nothing afterwards; limits are looked at for each call.
        const text = JSON.stringify({ ...server, listed: undefined, limits: undefined })
        const known = this.#opened.get(name)
        if (known?.settings === text) continue
        changes[known === undefined ? 'added' : 'changed'].push(name)
        opened.set(name, { ...(await this.#open(settings, { name, server })), settings: text })
      }
    } catch (error) {
      await this.discard({ opened, changes })
      throw error
    }
    for (const name of this.#opened.keys()) if (!Object.hasOwn(all, name)) changes.removed.push(name)
    return { opened, changes }
  }

  async #open(settings: GatewaySettings, one: { readonly name: string; readonly server: Settings }) {
    const closing = new AsyncDisposableStack()
    try {
      return { way: await this.#kind.open(settings, one, closing), closing }
    } catch (error) {
      await closing.disposeAsync()
      throw error
    }
  }

  /** Closes what was prepared and is not taken. */
  async discard({ opened }: PreparedWays<Way>): Promise<void> {
    for (const { closing } of opened.values()) await closing.disposeAsync()
  }

  /** From one moment to the next; what was replaced begins to close. The sessions of a server have been ended by then. */
  take({ opened, changes }: PreparedWays<Way>): void {
    for (const name of [...changes.removed, ...changes.changed]) this.#close(name)
    for (const [name, one] of opened) {
      this.#opened.set(name, one)
      this.#ways.set(name, one.way)
      this.#kind.onTaken?.(name, one.way)
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
    this.#ways.delete(name)
    if (one === undefined) return
    this.#kind.onClosed?.(name, one.way)
    const closing = one.closing
      .disposeAsync()
      .catch((error: unknown) => this.#kind.warn('server_unclosed', `server ${name}: ${String(error)}`))
      .finally(() => this.#closing.delete(closing))
    this.#closing.add(closing)
  }
}

export type LiveServers = LiveWays<ServerSettings, GatewayServer>
export type LiveBackends = LiveWays<BackendSettings, GatewayBackend>

export function liveServers(parts: Omit<ServerParts, 'settings'>): LiveServers {
  const { definitions, warn } = parts
  return new LiveWays<ServerSettings, GatewayServer>({
    of: ({ servers }) => servers,
    open: (settings, one, closing) => openServer({ ...parts, settings }, one, closing),
    onTaken: (name, { approved }) => definitions.hold(name, approved),
    onClosed: (name, { approved }) => definitions.forget(name, approved),
    warn,
  })
}

export function liveBackends(parts: Omit<BackendParts, 'settings'>): LiveBackends {
  const { definitions, warn } = parts
  return new LiveWays<BackendSettings, GatewayBackend>({
    of: ({ backends = {} }) => backends,
    open: (settings, one, closing) => openBackend({ ...parts, settings }, one, closing),
    onTaken: (name, { approved }) => definitions.hold(name, approved),
    onClosed: (name, { approved }) => definitions.forget(name, approved),
    warn,
  })
}
