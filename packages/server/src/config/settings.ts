/** What a configuration means: addresses, URLs, audiences and folders, each derived in one place. */

import { isIP } from 'node:net'
import { isAbsolute, join, resolve } from 'node:path'
import { parseTrustDomain, workloadId } from '@doorward/core'
import type { SpiffeId, TrustDomain } from '@doorward/core'
import type { PlatformSection } from './attestor-schema.ts'
import { readIssuer } from './issuer-settings.ts'
import type { IssuerPlaces, IssuerSettings } from './issuer-settings.ts'
import type { LineOf, Loaded } from './load.ts'
import { addressKey, readNetwork } from './network.ts'
import type { Rate } from './rate.ts'
import type { Configuration } from './schema.ts'
import { defaultHeaders } from './security-schema.ts'

/** The three limits of ADR-0011 as the request path asks for them. */
export interface ArrivalLimits {
  readonly global: Rate
  readonly perIp: (address: string) => Rate
  readonly ipKey: (address: string) => string
}

export interface Address {
  readonly host: string
  readonly port: number
}

/** One deployment as every command sees it. */
export interface Deployment {
  readonly file: string
  readonly folder: string
  readonly configuration: Configuration
  /** Line of a key in the file; null where it is not known. */
  readonly lineOf: LineOf
  readonly trustDomain: TrustDomain
  readonly stateDir: string
  /** Set when the configuration names the key folder itself. */
  readonly keyDir: string | null
  readonly authority: {
    readonly id: SpiffeId
    readonly publicUrl: string
    readonly adminUrl: string
    readonly listeners: Readonly<Record<'main' | 'admin' | 'enrol' | 'public', Address>>
  }
  readonly gateway: {
    readonly id: SpiffeId
    readonly name: string
    readonly publicUrl: string
    readonly adminUrl: string
    readonly listeners: Readonly<Record<'main' | 'admin' | 'public', Address>>
  }
}

/** `host:port`, host perhaps in brackets. */
export function readAddress(text: string): Address {
  const at = text.lastIndexOf(':')
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) }
}

export function showAddress(address: Address): string {
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`
}

function fromFolder(folder: string, path: string): string {
  return isAbsolute(path) ? path : resolve(folder, path)
}

export function deploymentOf(loaded: Loaded): Deployment {
  const { configuration, folder } = loaded
  const trustDomain = parseTrustDomain(configuration.trust_domain)
  const gatewayMain = configuration.listen ?? configuration.listeners.main ?? '127.0.0.1:8443'
  const { listeners } = configuration.authority
  const keyDir = configuration.state.key_dir
  return {
    file: loaded.file,
    folder,
    configuration,
    lineOf: loaded.lineOf ?? (() => null),
    trustDomain,
    stateDir: fromFolder(folder, configuration.state.dir),
    keyDir: keyDir === undefined ? null : fromFolder(folder, keyDir),
    authority: {
      id: workloadId(trustDomain, 'doorward', 'authority'),
      publicUrl: configuration.authority.public_url ?? `https://${listeners.main}`,
      adminUrl: `https://${listeners.admin}`,
      listeners: {
        main: readAddress(listeners.main),
        admin: readAddress(listeners.admin),
        enrol: readAddress(listeners.enrol),
        public: readAddress(listeners.public),
      },
    },
    gateway: {
      id: workloadId(trustDomain, 'doorward', 'gateway', configuration.gateway.name),
      name: configuration.gateway.name,
      publicUrl: configuration.public_url ?? `https://${gatewayMain}`,
      adminUrl: `https://${configuration.listeners.admin}`,
      listeners: {
        main: readAddress(gatewayMain),
        admin: readAddress(configuration.listeners.admin),
        public: readAddress(configuration.listeners.public),
      },
    },
  }
}

/** By what clients dial the gateway: for those that check names. Its identity is the SPIFFE ID alone. */
export function gatewayNames({ gateway }: Deployment): {
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
} {
  const dialled = new URL(gateway.publicUrl).hostname.replaceAll(/^\[|\]$/g, '')
  const hosts = [...Object.values(gateway.listeners).map(({ host }) => host.toLowerCase()), dialled]
  const ipAddresses = [...new Set(hosts)].filter((host) => isIP(host) !== 0 && host !== '0.0.0.0' && host !== '::')
  const loopback = ipAddresses.some((address) => address === '127.0.0.1' || address === '::1') ? ['localhost'] : []
  const dnsNames = [...new Set([...hosts.filter((host) => isIP(host) === 0), ...loopback])]
  return { dnsNames, ipAddresses }
}

/** Resource identifier, hence token audience, of one server behind the gateway. */
export function serverAudience(deployment: Deployment, server: string): string {
  return `${deployment.gateway.publicUrl}/mcp/${server}`
}

/** Resource identifier, hence token audience, of one plain HTTP service behind the gateway. */
export function backendAudience(deployment: Deployment, backend: string): string {
  return `${deployment.gateway.publicUrl}/http/${backend}`
}

/** Resource identifier, hence token audience, of one agent behind the gateway. */
export function agentAudience(deployment: Deployment, agent: string): string {
  return `${deployment.gateway.publicUrl}/a2a/${agent}`
}

/** Resource identifier of the gateway's admin API. */
export function gatewayAdminAudience(deployment: Deployment): string {
  return `${deployment.gateway.publicUrl}/admin`
}

/** Resource identifier of what every caller may ask the gateway itself. */
export function gatewayAudience(deployment: Deployment): string {
  return deployment.gateway.publicUrl
}

/** Everything a token may be asked for. */
export function allowedAudiences(deployment: Deployment): ReadonlySet<string> {
  return new Set([
    deployment.authority.publicUrl,
    gatewayAudience(deployment),
    gatewayAdminAudience(deployment),
    ...Object.keys(deployment.configuration.servers).map((name) => serverAudience(deployment, name)),
    ...Object.keys(deployment.configuration.services).map((name) => backendAudience(deployment, name)),
    ...Object.keys(deployment.configuration.agents).map((name) => agentAudience(deployment, name)),
  ])
}

/** Headers of every response: ADR-0011's, with the configuration's own on top. */
export function securityHeaders(configuration: Configuration): Readonly<Record<string, string>> {
  const own = configuration.security.headers
  const replaced = new Set(Object.keys(own).map((name) => name.toLowerCase()))
  const kept = Object.entries(defaultHeaders).filter(([name]) => !replaced.has(name.toLowerCase()))
  return { ...Object.fromEntries(kept), ...own }
}

/** The three limits of ADR-0011, with the named networks'. */
export function connectionLimits(configuration: Configuration): ArrivalLimits {
  const { global, per_ip: general } = configuration.security.rate_limiting
  const networkOf = namedNetwork(configuration)
  return { global, perIp: (address) => networkOf(address)?.per_ip ?? general, ipKey: addressKey }
}

interface HandshakeRate {
  readonly count: number
  readonly periodSeconds: number
  readonly burst: number
}

interface GateSettings {
  readonly handshakes: HandshakeRate
  readonly connectionsPerAddress: number
}

/** What one address may ask of a listener before any request, with the named networks' own limits. */
export function gateSettings(
  configuration: Configuration,
): GateSettings & { readonly ofAddress: (address: string) => Partial<GateSettings> } {
  const { handshakes_per_ip, connections_per_ip } = configuration.limits
  const networkOf = namedNetwork(configuration)
  return {
    handshakes: handshakeRate(handshakes_per_ip),
    connectionsPerAddress: connections_per_ip,
    ofAddress: (address) => {
      const own = networkOf(address)
      return {
        ...(own?.handshakes_per_ip === undefined ? {} : { handshakes: handshakeRate(own.handshakes_per_ip) }),
        ...(own?.connections_per_ip === undefined ? {} : { connectionsPerAddress: own.connections_per_ip }),
      }
    },
  }
}

const LEAST_BURST = 50

function handshakeRate({ count, periodSeconds }: Omit<HandshakeRate, 'burst'>): HandshakeRate {
  return { count, periodSeconds, burst: Math.max(LEAST_BURST, count / periodSeconds) }
}

/** The narrowest of the named networks that an address lies in. */
function namedNetwork({ limits }: Configuration) {
  const networks = limits.networks
    .flatMap((entry) => {
      const network = readNetwork(entry.cidr)
      return network === null ? [] : [{ network, entry }]
    })
    .toSorted((a, b) => b.network.prefix - a.network.prefix)
  return (address: string) => networks.find(({ network }) => network.contains(address))?.entry
}

/** Whether an address is a proxy that a listener of the gateway believes. */
export function namedProxies({ listeners: { proxies } }: Configuration) {
  const { main, admin, public: open, edge } = proxies
  return { main: among(main), admin: among(admin), public: among(open), edge: among(edge) }
}

/** As `namedProxies`, of the authority. */
export function authorityProxies({ authority: { listeners } }: Configuration) {
  const { main, admin, enrol, public: open, front } = listeners.proxies
  return { main: among(main), admin: among(admin), enrol: among(enrol), public: among(open), front: among(front) }
}

function among(cidrs: readonly string[]): (address: string) => boolean {
  const networks = cidrs.flatMap((text) => readNetwork(text) ?? [])
  return (address) => networks.some((network) => network.contains(address))
}

/** Who may vouch for workloads that join, with the files that say how they are known. */
export function voucherSettings({ configuration, folder }: Deployment) {
  const { oidc, x509 } = configuration.authority.attestors
  const file = (path: string) => fromFolder(folder, path)
  return {
    oidc: Object.fromEntries(Object.entries(oidc).map(([name, platform]) => [name, issuerOf(platform, file)])),
    x509: Object.fromEntries(Object.entries(x509).map(([name, { ca_file }]) => [name, { caFile: file(ca_file) }])),
  }
}

function issuerOf(platform: PlatformSection, file: (path: string) => string) {
  const { issuer, audience, algorithms, max_lifetime_seconds, jwks_file, jwks_url, ca_file } = platform
  const fetched = {
    kind: 'fetched',
    jwksUrl: jwks_url ?? null,
    caFile: ca_file === undefined ? null : file(ca_file),
    allowPrivateAddresses: platform.allow_private_addresses,
  } as const
  const keys = jwks_file === undefined ? fetched : ({ kind: 'file', path: file(jwks_file) } as const)
  return { issuer, audience, algorithms, maxLifetimeSeconds: max_lifetime_seconds, keys }
}

/** Whose tokens say who a person is, and who may sign in there. The configuration has been checked by `issuerProblems`. */
export function issuerSettings({ configuration, folder, trustDomain }: Deployment): readonly IssuerSettings[] {
  const places: IssuerPlaces = { file: (path) => fromFolder(folder, path), trustDomain }
  return Object.entries(configuration.issuers).map(([name, section]) => readIssuer(name, section, places))
}

/** Where the second copy of checkpoints and the logs' verifier keys lie. */
export function checkpointDir(deployment: Deployment, folder: { readonly keyDir: string }): string {
  const own = deployment.configuration.audit.checkpoint_dir
  return own === undefined ? folder.keyDir : fromFolder(deployment.folder, own)
}

/** `audit.retention`; null: nothing expires for that reason. */
export function retentionSettings({ audit: { retention } }: Configuration) {
  return { maxDays: retention.max_days ?? null, maxBytes: retention.max_bytes ?? null }
}

/** Folders of the parts within the state folder. */
export function stateFolders(stateDir: string) {
  return {
    authority: join(stateDir, 'authority'),
    gateway: join(stateDir, 'gateway'),
    identities: join(stateDir, 'identities'),
  }
}
