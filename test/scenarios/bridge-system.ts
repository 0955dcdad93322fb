/** The real thing for bridge scenarios: authority and gateway as processes, workloads that join by command, two official MCP servers. */

import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Supervisor } from '../../packages/server/src/apps/up.ts'
import { openDeploymentFolder } from '../../packages/server/src/config/deployment-folder.ts'
import { loadConfiguration } from '../../packages/server/src/config/load.ts'
import { deploymentOf } from '../../packages/server/src/config/settings.ts'

const repository = join(import.meta.dirname, '..', '..')
const entry = join(repository, 'packages', 'server', 'src', 'cli', 'main.ts')
const binary = process.execPath
const words = ['--conditions=source', entry]
export const program: readonly string[] = [binary, ...words]

export interface RunResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export class BridgeSystem {
  readonly folder: string
  readonly config: string
  readonly documents: string
  /** For every process of the deployment and its clients: keys lie in this test's own home. */
  readonly env: NodeJS.ProcessEnv
  #supervisor: Supervisor | null = null

  private constructor(folder: string) {
    this.folder = folder
    this.config = join(folder, 'doorward.yaml')
    this.documents = join(folder, 'documents')
    this.env = { ...process.env, HOME: folder, XDG_CONFIG_HOME: join(folder, 'config'), NO_COLOR: '1' }
  }

  static async start(): Promise<BridgeSystem> {
    const system = new BridgeSystem(await mkdtemp(join(tmpdir(), 'doorward-system-')))
    await mkdir(system.documents)
    await writeFile(join(system.documents, 'notes.md'), 'the door is shut\n')
    await writeFile(system.config, await configuration(system.documents))
    const deployment = deploymentOf(await loadConfiguration(system.config))
    const keyHome = join(system.folder, 'config', 'doorward')
    await openDeploymentFolder({
      dir: deployment.stateDir,
      trustDomain: deployment.trustDomain,
      keyDir: deployment.keyDir,
      keyHome,
    })
    const { HOME, XDG_CONFIG_HOME } = process.env
    // The children inherit the environment of this process; it is put back once they run.
    Object.assign(process.env, { HOME: system.env['HOME'], XDG_CONFIG_HOME: system.env['XDG_CONFIG_HOME'] })
    system.#supervisor = new Supervisor({ deployment, stateDir: deployment.stateDir, program, report: () => undefined })
    try {
      await system.#supervisor.start()
    } finally {
      restore('HOME', HOME)
      restore('XDG_CONFIG_HOME', XDG_CONFIG_HOME)
    }
    return system
  }

  /** Registers the workload, and joins it by command. */
  async join(name: string, roles: readonly string[]): Promise<void> {
    const text = await this.#running().joinString(`spiffe://bridge.example/${name}`, roles)
    const { code, stderr } = await this.run(['join'], text.reveal())
    if (code !== 0) throw new Error(`join ended with ${code}: ${stderr}`)
  }

  /** Runs a command to its end. */
  run(command: readonly string[], input = ''): Promise<RunResult> {
    const args = [...words, ...command, '--config', this.config]
    const child = spawn(binary, args, { env: this.env, stdio: 'pipe' })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (part: Buffer) => (stdout += part.toString()))
    child.stderr.on('data', (part: Buffer) => (stderr += part.toString()))
    child.stdin.end(input)
    return new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code) => resolve({ code, stdout, stderr }))
    })
  }

  /** How a host starts a bridge. */
  launch(server: string, as: string): { command: string; args: string[]; env: Record<string, string> } {
    const args = [...words, 'connect', server, '--config', this.config, '--as', as]
    const env = Object.fromEntries(
      Object.entries(this.env).filter((pair): pair is [string, string] => pair[1] !== undefined),
    )
    return { command: binary, args, env }
  }

  async stop(): Promise<void> {
    await this.#supervisor?.stop()
    await rm(this.folder, { recursive: true, force: true })
  }

  #running(): Supervisor {
    if (this.#supervisor === null) throw new Error('not started')
    return this.#supervisor
  }
}

function restore(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name]
  else process.env[name] = value
}

async function configuration(documents: string): Promise<string> {
  const ports = await freePorts(7)
  const server = (name: string, ...args: readonly string[]) =>
    JSON.stringify([
      process.execPath,
      join(repository, 'node_modules', '@modelcontextprotocol', name, 'dist', 'index.js'),
      ...args,
    ])
  const at = (index: number) => `127.0.0.1:${ports[index]}`
  return `trust_domain: bridge.example
listen: ${at(0)}
listeners: { admin: "${at(1)}", public: "${at(2)}" }
authority:
  listeners: { main: "${at(3)}", admin: "${at(4)}", enrol: "${at(5)}", public: "${at(6)}" }
security:
  rate_limiting: { per_ip: 6000/min, per_user: 6000/min }
servers:
  files:
    command: ${server('server-filesystem', documents)}
    effects: { read: ["read_*", "list_*", get_file_info] }
  everything:
    command: ${server('server-everything')}
roles:
  reader: ["read:files/*"]
  everybody: ["*:everything/*", "*:files/*"]
bindings:
  - { role: everybody, workloads: ["spiffe://bridge.example/agent/trusted"] }
  - { role: reader, workloads: ["spiffe://bridge.example/agent/reader"] }
`
}

/** Ports that are free now; all are held until the last one is known, so that they differ. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = createServer()
      return new Promise<typeof server>((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
    }),
  )
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
