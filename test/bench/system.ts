/** Everything that is measured, running: authority, gateway, server, the two comparisons, and the callers. */

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { toBase64 } from '@doorward/core'
import type { Identity } from '@doorward/sdk'
import { freePorts, TestDeployment } from '../fixtures/deployment.ts'
import { startProcess } from './child.ts'
import type { BenchProcess } from './child.ts'
import { startHaproxy } from './haproxy.ts'
import type { HaproxyOptions } from './haproxy.ts'
import { callPath, stdioPath } from './messages.ts'
import type { GateControl, GatewayPlace, Pem } from './messages.ts'
import { installOthers, otherPath, startOther } from './others.ts'
import type { OtherName } from './others.ts'

export type OverallName = 'direct' | 'listener' | 'blind' | 'full' | 'haproxy' | 'stdio' | OtherName
/** `tls`: forwarding blindly, callers without a certificate. The controls: that one and those before it. */
export type VariantName = OverallName | 'tls' | GateControl | 'nginx'

export interface Variant {
  readonly name: VariantName
  readonly port: number
  readonly path: string
  /** Plain HTTP instead of mutual TLS. */
  readonly plain: boolean
  /** The process whose CPU time counts. */
  readonly pid: number
}

export interface BenchSystem {
  /** HAProxy is missing where it is not installed, the proxies from npm where they cannot be. */
  readonly variants: readonly Variant[]
  readonly load: BenchProcess
  readonly stages: BenchProcess
  /** For a path of the gateway. */
  token(path: string): Promise<string>
}

export interface SystemOptions {
  /** Folder that gets a CPU profile of the gateway; none by default. */
  readonly profileFolder?: string
  /** False leaves out what is not ours. */
  readonly others?: boolean
}

/** Limits wide enough not to refuse; `limits` is last. */
export const benchYaml = `servers:
  bench: { url: "http://127.0.0.1:1/mcp", insecure_upstream: true, effects: { read: ["*"] } }
  stdio: { command: ["node"], effects: { read: ["*"] } }
roles:
  caller: ["read:bench/*", "read:stdio/*"]
security:
  rate_limiting: { global: 10000000/min, per_ip: 10000000/min, per_user: 10000000/min }
limits:
  sessions_per_user: 1000
  handshakes_per_ip: 1000000/min
`

/** Starts everything; what was started is given to `stack`. */
export async function startSystem(stack: AsyncDisposableStack, options: SystemOptions): Promise<BenchSystem> {
  const deployment = await TestDeployment.start({ yaml: benchYaml })
  stack.defer(() => deployment.remove())
  const caller = await deployment.identity('agent/bench', ['caller'])
  const server = await deployment.identity('server/bench')
  const proxy = await deployment.identity('proxy/bench')
  stack.defer(() => [caller, server, proxy].forEach((identity) => identity.close()))
  const start = async (...parts: Parameters<typeof startProcess>): Promise<BenchProcess> => {
    const process = await startProcess(...parts)
    stack.defer(() => process.close())
    return process
  }
  const upstream = await start({ process: 'upstream', pem: pemOf(server) })
  const gateway = await start(await gatewayStart(deployment, upstream.port), {
    logFile: join(deployment.folder, 'bench-gateway.log'),
    nodeOptions: profiling(options.profileFolder),
  })
  const blind = await start({ process: 'forwarding', pem: pemOf(proxy), upstreamPort: upstream.port })
  const listener = await start({ process: 'forwarding', pem: pemOf(proxy), upstreamPort: null })
  const haproxy = await openHaproxy(await writeProxyFiles(deployment.folder, pemOf(proxy), upstream.port))
  if (haproxy !== null) stack.defer(() => haproxy.close())
  const load = await start({ process: 'load', pem: pemOf(caller) })
  const stages = await start({ process: 'stages', folder: deployment.folder })
  const withOthers = options.others !== false && (await installOthers())
  const others = withOthers ? await openOthers(stack) : []
  const origin = `https://127.0.0.1:${(await deployment.deployment()).gateway.listeners.main.port}`
  return {
    variants: [
      { name: 'direct', ...placeOf(upstream) },
      { name: 'listener', ...placeOf(listener) },
      { name: 'blind', ...placeOf(blind) },
      { name: 'full', ...placeOf(gateway) },
      ...(haproxy === null ? [] : [{ name: 'haproxy' as const, ...behindTls(haproxy) }]),
      { name: 'stdio', ...placeOf(gateway), path: stdioPath },
      ...others,
    ],
    load,
    stages,
    token: async (path) => (await caller.token(`${origin}${path}`)).reveal(),
  }
}

export type Place = Omit<Variant, 'name'>

export function behindTls({ pid, port }: Pick<Place, 'pid' | 'port'>): Place {
  return { pid, port, path: callPath, plain: false }
}

export function placeOf({ pid, port }: BenchProcess): Place {
  return behindTls({ pid, port })
}

export async function openOthers(stack: AsyncDisposableStack): Promise<readonly Variant[]> {
  const variants: Variant[] = []
  for (const name of ['mcp-proxy', 'supergateway'] as const) {
    const other = await startOther(name)
    stack.defer(() => other.close())
    variants.push({ name, port: other.port, pid: other.pid, path: otherPath, plain: true })
  }
  return variants
}

function profiling(folder: string | undefined): readonly string[] {
  return folder === undefined ? [] : ['--cpu-prof', '--cpu-prof-name=gateway.cpuprofile', `--cpu-prof-dir=${folder}`]
}

export function pemOf(identity: Identity): Pem {
  const { chain, privateKey, anchors } = identity.material()
  const pem = (der: Uint8Array) =>
    `-----BEGIN CERTIFICATE-----\n${toBase64(der).replaceAll(/.{1,64}/g, '$&\n')}-----END CERTIFICATE-----\n`
  return {
    cert: chain.map(pem).join(''),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    anchors: anchors.map(pem).join(''),
  }
}

export async function gatewayStart(deployment: TestDeployment, upstreamPort: number) {
  const place = await registerGateway(deployment, 'bench')
  return { ...place, process: 'gateway', upstreamPort, upstreamId: 'spiffe://test.example/server/bench' } as const
}

/** Registers a gateway; its process joins by itself. */
export async function registerGateway(deployment: TestDeployment, name: string): Promise<GatewayPlace> {
  const folder = join(deployment.folder, name)
  await mkdir(folder, { mode: 0o700 })
  const file = join(folder, 'gateway.join')
  const words = ['gateway', 'add', name, '--out', file]
  const added = await deployment.run(words)
  if (added.code !== 0) throw new Error(`the gateway could not be registered: ${added.stderr}`)
  return { name, configFile: deployment.configFile, folder, joinString: (await readFile(file, 'utf8')).trim() }
}

export type ProxyFiles = Omit<HaproxyOptions, 'port'>

/** What proxies show and trust. */
export async function writeProxyFiles(folder: string, pem: Pem, upstreamPort: number): Promise<ProxyFiles> {
  const serverPem = join(folder, 'proxy.pem')
  const anchorsPem = join(folder, 'anchors.pem')
  await writeFile(serverPem, pem.cert + pem.key, { mode: 0o600 })
  await writeFile(anchorsPem, pem.anchors)
  return { upstreamPort, serverPem, clientPem: serverPem, anchorsPem }
}

/** Null where it is not installed. */
export async function openHaproxy(files: ProxyFiles) {
  const [port = 0] = await freePorts(1)
  const haproxy = await startHaproxy({ ...files, port })
  return haproxy === null ? null : { port, pid: haproxy.pid, close: () => haproxy.close() }
}
