/** What a drill consists of: parts, addresses, folders and the configuration of each. */

import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { DoorwardError, parseTrustDomain } from '@doorward/core'

export const drillDomain = parseTrustDomain('drill.internal')
/** All gateways answer for one name, as behind a load balancer: one token is good at each. */
export const gatewayUrl = 'https://mcp.drill.internal'
export const echoAudience = `${gatewayUrl}/mcp/echo`
export const callerRole = 'caller'

const authorityNames = ['east', 'west', 'north', 'south'] as const
export const mostAuthorities = authorityNames.length

export interface PlannedPart {
  readonly kind: 'authority' | 'gateway'
  readonly name: string
  readonly folder: string
  readonly configFile: string
  readonly stateDir: string
  readonly keyDir: string
  readonly ports: Readonly<Record<'main' | 'admin' | 'enrol' | 'public', number>>
}

export interface DrillPlan {
  readonly root: string
  readonly authorities: readonly PlannedPart[]
  readonly gateways: readonly PlannedPart[]
  /** Issuer, and where the first authority is. */
  readonly authorityUrl: string
  readonly echoPort: number
}

export interface PlanOptions {
  readonly root: string
  readonly authorities: number
  readonly gateways: number
  /** The section `authority.database`; null for SQLite. */
  readonly database: unknown
  readonly echoPort: number
}

/** Chooses free ports and writes every part's configuration. Throws `drill_size`. */
export async function planDrill(options: PlanOptions): Promise<DrillPlan> {
  const { root, authorities, gateways, database, echoPort } = options
  if (authorities < 1 || authorities > mostAuthorities || (authorities > 1 && database === null)) {
    throw new DoorwardError('drill_size', 'so many authorities cannot be rehearsed here', {
      expected: `one, or 2 to ${mostAuthorities} on one database`,
      got: `${authorities}`,
      next: 'name a throw-away database with --database FILE, or leave --authorities out',
    })
  }
  await chmod(root, 0o700)
  const names = authorityNames.slice(0, authorities)
  const places = await Promise.all([
    ...names.map((name) => place(root, 'authority', name)),
    ...Array.from({ length: gateways }, (_, i) => place(root, 'gateway', `g${i + 1}`)),
  ])
  const parts = { authorities: places.slice(0, authorities), gateways: places.slice(authorities) }
  const authorityUrl = `https://127.0.0.1:${parts.authorities[0]?.ports.main ?? 0}`
  const plan: DrillPlan = { root, ...parts, authorityUrl, echoPort }
  await Promise.all(places.map((part) => configure(part, plan, database)))
  return plan
}

async function place(root: string, kind: PlannedPart['kind'], name: string): Promise<PlannedPart> {
  const folder = join(root, name)
  await mkdir(folder, { mode: 0o700 })
  const [main, admin, enrol, open] = await Promise.all([freePort(), freePort(), freePort(), freePort()])
  return {
    kind,
    name,
    folder,
    configFile: join(folder, 'doorward.yaml'),
    stateDir: join(folder, 'state'),
    keyDir: join(folder, 'keys'),
    ports: { main, admin, enrol, public: open },
  }
}

/** Below the ports that systems give to outgoing connections, which a thousand workloads open all the time. */
const ports = { first: 15_000, count: 15_000 }
const PORT_TRIES = 100

/** Free a moment ago: whoever takes it meanwhile makes the start fail by name. Throws `drill_ports`. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORT_TRIES; tries++) {
    const port = ports.first + randomInt(ports.count)
    if (await isFree(port)) return port
  }
  throw new DoorwardError('drill_ports', 'no port is free for the parts of the drill', {
    expected: `a free port from ${ports.first} to ${ports.first + ports.count - 1} on 127.0.0.1`,
  })
}

function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

const address = (port: number) => `127.0.0.1:${port}`
const plenty = '10000000/min'

async function configure(part: PlannedPart, plan: DrillPlan, database: unknown): Promise<void> {
  const { ports, kind, name, stateDir, keyDir } = part
  const own = { main: address(ports.main), admin: address(ports.admin), public: address(ports.public) }
  const authority =
    kind === 'authority'
      ? {
          name,
          listeners: { ...own, enrol: address(ports.enrol) },
          // Everybody joins within minutes, and is re-issued at once.
          detect: { new_identities_per_hour: 100_000 },
          ...(database === null ? {} : { database }),
        }
      : {}
  const document = {
    trust_domain: drillDomain,
    public_url: gatewayUrl,
    ...(kind === 'gateway' ? { listeners: own, gateway: { name } } : {}),
    authority: { ...authority, public_url: plan.authorityUrl },
    state: { dir: stateDir, key_dir: keyDir },
    servers: {
      echo: { url: `http://127.0.0.1:${plan.echoPort}/mcp`, insecure_upstream: true, effects: { read: ['*'] } },
    },
    roles: { [callerRole]: ['read:echo/*'] },
    security: { rate_limiting: { global: plenty, per_ip: plenty, per_user: plenty } },
    limits: { sessions_per_user: 64, streams_per_user: 64, handshakes_per_ip: plenty, connections_per_ip: 10_000 },
  }
  await writeFile(part.configFile, stringify(document), { mode: 0o600 })
}
