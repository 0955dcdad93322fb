/** The authority and the gateway: `doorward up` with a configuration of its own, on ports that are free, in a folder of its own. */

import { createServer } from 'node:net'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Identity } from '@doorward/sdk'
import { stateIdOf, stolenGateway } from '../attacks/stolen-gateway.ts'
import type { Shop } from '../programs/shop.ts'
import { clientId } from '../programs/provider.ts'
import { ownCommand, runCommand } from './processes.ts'
import type { Command } from './processes.ts'

export const trustDomain = 'shop.example'
export const issuer = 'https://login.shop.example'

const repository = fileURLToPath(new URL('../../../', import.meta.url))
const notesServer = fileURLToPath(new URL('../programs/notes.ts', import.meta.url))

/** Below those that systems hand out by themselves: nobody is given one between our look and its use. */
const FIRST_PORT = 10_000
const PORTS = 22_000
/** Who runs beside us begins at another place. */
const PORTS_EACH = 64

/** Free now. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = []
  for (let tried = 0; ports.length < count; tried++) {
    if (tried === PORTS) throw new Error(`expected ${count} free ports of 127.0.0.1, got ${ports.length}`)
    const port = FIRST_PORT + ((process.pid * PORTS_EACH + tried) % PORTS)
    if (await isFree(port)) ports.push(port)
  }
  return ports
}

function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

export function configuration(home: string, ports: readonly number[]): string {
  const [main, admin, open, authority, authorityAdmin, enrol, bundle] = ports.map((port) => `127.0.0.1:${port}`)
  return `trust_domain: ${trustDomain}
listen: ${main}
listeners: { admin: "${admin}", public: "${open}" }
authority:
  listeners: { main: "${authority}", admin: "${authorityAdmin}", enrol: "${enrol}", public: "${bundle}" }
issuers:
  corp:
    issuer: ${issuer}
    algorithms: [ES256]
    jwks_file: provider.jwks
    claims: { groups: groups }
    login: { client_id: ${clientId}, workloads: ["spiffe://${trustDomain}/laptop/*"] }
# All of them come from one address here.
limits:
  networks:
    - { cidr: 127.0.0.0/8, per_ip: 6000/min, connections_per_ip: 1000, handshakes_per_ip: 6000/min }
servers:
  notes:
    command: ["${process.execPath}", "${notesServer}"]
    cwd: ${home}/notes
    env: { NOTES_FILE: ${home}/notes/notes.txt, NOTES_CALLS: ${home}/notes/calls }
    effects: { read: [read_notes] }
roles:
  reader: ["read:notes/*"]
bindings:
  - { role: reader, workloads: ["spiffe://${trustDomain}/agent/planner", "spiffe://${trustDomain}/laptop/alice"] }
  - { role: reader, issuer: "${issuer}", groups: [purchasing] }
`
}

/** Who there is. Nobody has an identity who is not listed here, and no role comes with one. */
export function workloads({ planner, buyer, writer, stock }: Shop): string {
  return `- { id: agent/planner, audiences: ["${planner}"] }
- { id: agent/buyer, audiences: ["${buyer}"] }
- { id: agent/writer, audiences: ["${writer}"] }
- { id: service/stock, audiences: ["${stock}"] }
- { id: laptop/alice }
- { id: agent/intern }
`
}

export class Deployment {
  readonly home: string
  readonly #env: Readonly<Record<string, string>>

  constructor(home: string) {
    const { PATH = '', USER = 'operator' } = process.env
    this.home = home
    this.#env = { PATH, USER, HOME: home, XDG_CONFIG_HOME: join(home, 'config'), NO_COLOR: '1' }
  }

  get env(): Readonly<Record<string, string>> {
    return this.#env
  }

  /** `doorward` with these words. */
  command(...words: readonly string[]): Command {
    const program = process.env['DOORWARD_PROGRAM'] ?? join(repository, 'packages', 'server', 'bin', 'doorward.cjs')
    return ownCommand(program, { env: this.#env, cwd: this.home }, words)
  }

  run(...words: readonly string[]): Promise<string> {
    return runCommand(this.command(...words))
  }

  /** Registers everybody; a join string for each lies in `joins` afterwards. */
  async register(shop: Shop): Promise<void> {
    await writeFile(join(this.home, 'workloads.yaml'), workloads(shop))
    await this.run('workload', 'apply', '-f', 'workloads.yaml', '--yes', '--out-dir', 'joins')
  }

  /** What a thief of the gateway's disk and of its key file has. */
  async stolenGateway(): Promise<Identity> {
    const state = join(this.home, '.doorward')
    const keys = join(this.home, 'config', 'doorward', await stateIdOf(state))
    return stolenGateway(join(state, 'gateway'), join(keys, 'gateway-main.key'))
  }
}
