/** `agent run`: puts an identity and a folder of credential files together, for programs that know only files. */

import { DoorwardError } from '@doorward/core'
import { randomBytes, systemRuntime } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { ChangeCommand } from './credential-command.ts'
import type { ChangeCommandOptions } from './credential-command.ts'
import { CredentialFiles } from './credential-files.ts'
import type { CredentialEvent } from './credential-files.ts'
import { CredentialFolder } from './credential-folder.ts'
import { generationNames } from './credential-generation.ts'
import type { TokenRequest } from './credential-generation.ts'
import { refusalWatch } from './credential-standing.ts'
import type { RefusalWatch } from './credential-standing.ts'
import { openLocalIdentity } from './local-identities.ts'
import type { ClientPlace } from './local-identities.ts'

export type AgentEvent = CredentialEvent | { readonly type: 'command'; readonly problem: DoorwardError | null }

export interface AgentOptions extends ClientPlace {
  /** Name of the identity; as `openLocalIdentity` without one. */
  readonly as: string | undefined
  readonly folder: string
  readonly tokens: readonly TokenRequest[]
  /** Runs after each new generation. */
  readonly onChange: ChangeCommandOptions['words'] | null
  readonly report: (event: AgentEvent, folder: string) => void
  readonly signal: AbortSignal
}

/** How long the program may still run when the agent has been asked to end. */
const COMMAND_GRACE = 5000
const folderVariable = 'DOORWARD_CREDENTIALS_DIR'

interface Agent {
  readonly identity: Identity
  readonly files: CredentialFiles
  readonly watch: RefusalWatch
  readonly command: ChangeCommand | null
  readonly report: (event: AgentEvent) => void
}

/**
 * Writes the files once. Throws `identity_dead` and `audience_unknown`, `identity_lapsed` when the files were withdrawn,
 * `token_file_invalid`, and the codes of `openLocalIdentity`, `Identity.prepare`, `Identity.token` and `CredentialFolder`.
 */
export async function writeCredentials(options: AgentOptions): Promise<void> {
  await withAgent(options, async ({ identity, files, watch, command }) => {
    const preparing = identity.prepare(options.signal)
    await preparing.catch((error: unknown) => watch.hear(error))
    const standing = await files.update()
    if (standing.kind !== 'usable') {
      // Why it could not be made usable says more than that it is not.
      await preparing
      throw lapsed(identity, standing)
    }
    await files.sweep()
    await command?.idle()
  })
}

/**
 * Keeps the files fresh until the signal aborts; then they stay as they are. An authority that is out of reach is waited
 * for. Throws `identity_dead`, and as `writeCredentials` for what is wrong at the start.
 */
export async function keepCredentials(options: AgentOptions): Promise<void> {
  await withAgent(options, async ({ identity, files, watch, report }) => {
    const over = new AbortController()
    await identity.prepare(options.signal).catch((error: unknown) => {
      watch.hear(error)
      if (!options.signal.aborted) report({ type: 'problem', error })
    })
    const running = identity.run(AbortSignal.any([options.signal, over.signal]))
    try {
      await files.run(options.signal)
      await files.sweep()
    } finally {
      over.abort()
      await running
    }
  })
}

async function withAgent(options: AgentOptions, work: (agent: Agent) => Promise<void>): Promise<void> {
  const names = generationNames(options.tokens)
  await using stack = new AsyncDisposableStack()
  let identity: Identity | null = null
  const watch = refusalWatch(() => identity?.credentials.peek() ?? null)
  const opened = await openLocalIdentity(options, options.as, (error) => {
    watch.hear(error)
    options.report({ type: 'problem', error }, options.folder)
  })
  identity = opened
  stack.defer(() => opened.close())
  const folder = await CredentialFolder.open({ path: options.folder, names, random: randomBytes })
  stack.defer(() => folder.release())
  const tell = (event: AgentEvent) => options.report(event, folder.path)
  const command = commandOf(options, folder.path, tell)
  stack.defer(() => command?.stop(COMMAND_GRACE))
  const report = (event: AgentEvent) => {
    tell(event)
    if (event.type === 'written') command?.trigger()
  }
  const files = new CredentialFiles({
    identity: opened,
    folder,
    tokens: options.tokens,
    watch,
    runtime: systemRuntime,
    report,
  })
  await files.resume()
  await work({ identity: opened, files, watch, command, report })
}

function commandOf(
  { onChange, environment }: AgentOptions,
  folder: string,
  report: (event: AgentEvent) => void,
): ChangeCommand | null {
  if (onChange === null) return null
  return new ChangeCommand({
    words: onChange,
    env: { ...environment.without([]), [folderVariable]: folder },
    report: (problem) => report({ type: 'command', problem }),
  })
}

function lapsed(
  { id }: Identity,
  { code, message }: { readonly code: string; readonly message: string },
): DoorwardError {
  return new DoorwardError('identity_lapsed', 'the identity cannot be used now; its files are withdrawn', {
    where: id.uri,
    got: `${code}: ${message}`,
    next: 'run this again when the authority can be reached',
  })
}
