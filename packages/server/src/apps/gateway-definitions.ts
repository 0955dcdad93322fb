/** What is approved of each server of a gateway, opened with the gateway. */

import type { Definition, OtherServer } from '@doorward/core'
import type { Found } from '@doorward/enforcement'
import { aesGcmSealer, randomBytes } from '@doorward/sdk'
import type { DefinitionsPort } from '../transports/servers-routes.ts'
import { definitionFile } from './definition-file.ts'
import type { DefinitionFile } from './definition-file.ts'
import type { GatewaySettings, ServerSettings } from './gateway-settings.ts'
import type { GatewayState } from './gateway-state.ts'
import { ServerDefinitions } from './server-definitions.ts'

export interface GatewayDefinitionsParts {
  readonly settings: GatewaySettings
  readonly state: Pick<GatewayState, 'folder' | 'record'>
  readonly warn: (code: string, text: string) => void
  readonly onProblem: (error: unknown) => void
}

/** By server; those whose `approval` is off have none. */
export class GatewayDefinitions {
  readonly #parts: GatewayDefinitionsParts
  readonly #servers = new Map<string, ServerDefinitions>()
  readonly #files = new Map<string, DefinitionFile>()

  constructor(parts: GatewayDefinitionsParts) {
    this.#parts = parts
  }

  /** Reads what is approved, or takes up what the configuration lists. Throws `definitions_unreadable`, `definitions_rolled_back`. Null where `approval` is off. */
  async open(
    server: string,
    settings: Pick<ServerSettings, 'approval' | 'listed'>,
    inspect: () => Promise<readonly Definition[]>,
  ): Promise<ServerDefinitions | null> {
    const { approval: mode = 'on-first-use', listed } = settings
    const { state, warn, onProblem } = this.#parts
    if (mode === 'off') {
      warn('server_unapproved', `server ${server}: approval is off: whatever it says of itself reaches its callers`)
      return null
    }
    const file = this.#fileOf(server)
    const before = await file.read()
    const approved = before ?? (mode === 'required' ? (listed ?? []) : [])
    // From here on it hears of what is approved while it is not in use yet.
    const opened = new ServerDefinitions({
      server,
      mode,
      approved,
      file,
      record: state.record,
      inspect,
      onProblem,
    })
    if (before === null && approved.length > 0) await opened.takeUp()
    if (mode === 'required' && approved.length === 0)
      warn('server_unapproved', `server ${server} is refused until approved: doorward servers approve ${server}`)
    return opened
  }

  /** The same as long as the gateway runs: it counts, and tells everybody who decides by it. */
  #fileOf(server: string): DefinitionFile {
    const { state, settings } = this.#parts
    const { stateDir, keyDir, checkpointDir: markDir = keyDir } = settings
    const sealer = aesGcmSealer(state.folder.key, randomBytes)
    const { origin } = state.record.stats()
    const file = this.#files.get(server) ?? definitionFile({ stateDir, markDir, origin, server, sealer })
    this.#files.set(server, file)
    return file
  }

  /** From now on these are the server's; null for none. */
  hold(server: string, opened: ServerDefinitions | null): void {
    if (opened !== null) this.#servers.set(server, opened)
  }

  /** Whoever they were of is not there any more; what another of that name holds by now stays. */
  forget(server: string, opened: ServerDefinitions | null): void {
    if (this.#servers.get(server) === opened) this.#servers.delete(server)
  }

  /** Tools that are approved of the other servers. */
  others(server: string): readonly OtherServer[] {
    return [...this.#servers].flatMap(([name, one]) => (name === server ? [] : [{ server: name, tools: one.tools() }]))
  }

  look(): readonly Found[] {
    return [...this.#servers.values()].flatMap((one) => one.findings())
  }

  /** As the admin API asks. */
  port(): DefinitionsPort {
    return {
      standing: () => [...this.#servers.values()].map((one) => one.status()),
      find: (server) => this.#servers.get(server) ?? null,
      others: (server) => this.others(server),
    }
  }
}
