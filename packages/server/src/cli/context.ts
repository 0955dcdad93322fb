/** What every command gets: streams, the way to speak, and the deployment that it is about. */

import type { Readable, Writable } from 'node:stream'
import { openDeploymentFolder } from '../config/deployment-folder.ts'
import type { DeploymentFolder } from '../config/deployment-folder.ts'
import type { Environment } from '../config/environment.ts'
import { loadConfiguration } from '../config/load.ts'
import { deploymentOf } from '../config/settings.ts'
import type { Deployment } from '../config/settings.ts'
import { harmless } from './output.ts'
import type { Output } from './output.ts'

export interface CliContext extends Output {
  readonly stdin: Readable
  readonly stdout: Writable
  readonly stderr: Writable
  readonly environment: Environment
  /** True when a person looks at standard output. */
  readonly interactive: boolean
  /** Ends when the user interrupts. */
  readonly signal: AbortSignal
  /** Where no terminal is ours, SIGHUP does this from then on instead of ending the process. */
  readonly onHangup: (reload: () => void) => void
  /** The command has answered, and the answer is no: it ends with 1. */
  readonly fail: () => void
  readonly exitCode: 0 | 1
  /** Absolute path of the program that hosts can start: a Node.js binary and its arguments. */
  readonly program: readonly string[]
  /** As `--config` has it. */
  readonly configurationFile: string
  /** The configuration of `--config`, `./doorward.yaml` by default. Read once. */
  deployment(): Promise<Deployment>
  /** The state folder of the deployment and where its keys lie; made when it is missing, unless `make` is false. */
  deploymentFolder(options?: { readonly make: boolean }): Promise<DeploymentFolder>
}

export interface GlobalOptions {
  readonly json: boolean
  /** Path of the configuration. */
  readonly config: string
}

export interface ContextParts {
  readonly stdin: Readable
  readonly stdout: Writable & { isTTY?: boolean }
  readonly stderr: Writable
  readonly environment: Environment
  /** Options that every command has; asked when they are needed, because commands are registered before words are parsed. */
  readonly globals: () => GlobalOptions
  readonly signal: AbortSignal
  /** Nothing by default. */
  readonly onHangup?: CliContext['onHangup']
  readonly program: readonly string[]
}

export function cliContext(parts: ContextParts): CliContext {
  let deployment: Promise<Deployment> | null = null
  let exitCode: 0 | 1 = 0
  const interactive = parts.stdout.isTTY === true
  const readDeployment = () => (deployment ??= loadConfiguration(parts.globals().config).then(deploymentOf))
  const openFolder = async ({ make } = { make: true }) => {
    const { stateDir, trustDomain, keyDir } = await readDeployment()
    return openDeploymentFolder({ dir: stateDir, trustDomain, keyDir, keyHome: parts.environment.keyHome, make })
  }
  return {
    get json() {
      return parts.globals().json
    },
    get color() {
      return interactive && parts.environment.color && !parts.globals().json
    },
    get configurationFile() {
      return parts.globals().config
    },
    out: (line) => void parts.stdout.write(`${harmless(line)}\n`),
    err: (line) => void parts.stderr.write(`${harmless(line)}\n`),
    stdin: parts.stdin,
    stdout: parts.stdout,
    stderr: parts.stderr,
    environment: parts.environment,
    interactive,
    signal: parts.signal,
    onHangup: parts.onHangup ?? (() => undefined),
    fail: () => {
      exitCode = 1
    },
    get exitCode() {
      return exitCode
    },
    program: parts.program,
    deployment: readDeployment,
    deploymentFolder: openFolder,
  }
}
