/** What a gateway needs to know: plain values, to which the configuration maps. */

import type { CompiledPolicy, Definition, KeepRules, StalenessLimits, TrustDomain } from '@doorward/core'
import type {
  ApprovalSettings,
  ConnectionLimits,
  ListenerOptions,
  Quota,
  Rate,
  OutputObligations,
  SessionLimits,
} from '@doorward/enforcement'
import type { CallBounds } from '../transports/bounded-calls.ts'
import type { DeclaredEffects } from '@doorward/enforcement'
import type { UpstreamLimits } from '../transports/upstream.ts'
import type { AlertPlace, ExportPlace } from '../config/audit-exports.ts'
import type { CredentialSettings, SecretSettings, VaultSettings } from '../config/secret-settings.ts'
import type { TracingSettings } from '../config/tracing.ts'
import type { ApprovalNotices } from './approval-webhooks.ts'
import type { RetentionSettings } from './log-retention.ts'
import type { DetectionSettings } from '../config/detections.ts'
import type { DecisionsSettings } from '../config/decisions-settings.ts'
import type { EdgeSettings } from '../config/edge-settings.ts'
import type { IssuerSettings } from '../config/issuer-settings.ts'
import type { PolicyReading } from '../config/policy-reading.ts'

export type GatewayListenerName = 'main' | 'admin' | 'public'

export interface GatewayAddress {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
}

/** How a server is shown to callers, however it is reached. */
export interface ServedSettings {
  /** `on-first-use` by default. */
  readonly approval?: 'required' | 'on-first-use' | 'off'
  /** Taken as approved where approval is required and nothing was approved before; nothing by default. */
  readonly listed?: readonly Definition[]
  /** What is demanded of its answers; nothing by default. */
  readonly output?: OutputObligations
  /** Over HTTP+SSE of 2024-11-05 as well; not by default. */
  readonly legacySse?: boolean
  /** Of its calls; none of its own by default. */
  readonly limits?: CallBounds
}

export interface StdioServerSettings extends ServedSettings {
  readonly kind: 'stdio'
  /** Program and arguments; never a shell line. */
  readonly command: readonly string[]
  /** Absolute. */
  readonly cwd: string
  /** Configured variables, beside PATH, HOME, TMPDIR and LANG. */
  readonly env: Readonly<Record<string, string>>
  /** Variable → name of the secret that it is given; none by default. */
  readonly secretEnv?: Readonly<Record<string, string>>
  /** Processes at once; 64 by default. */
  readonly processes?: number
  /** A session of which nothing is under way for so long ends with its process; 30 minutes by default. */
  readonly idleMilliseconds?: number
  /** Whom its processes belong to; the user that owns nothing where that is possible. */
  readonly user?: { readonly uid: number; readonly gid: number }
  readonly effects: DeclaredEffects
}

export interface HttpServerSettings extends ServedSettings {
  readonly kind: 'http'
  readonly url: string
  /** Streamable HTTP by default; `sse` is the HTTP+SSE of 2024-11-05. */
  readonly transport?: 'http' | 'sse'
  /** Plain HTTP to a loopback address, as the operator insisted. */
  readonly insecureUpstream: boolean
  /** SPIFFE ID of a server in our own domain: mutual TLS with the gateway's identity. The system's roots otherwise. */
  readonly identity?: string
  /** What the gateway proves itself with there; nothing by default. */
  readonly credential?: CredentialSettings | null
  readonly effects: DeclaredEffects
}

/** A plain HTTP service, or an agent. */
export interface BackendSettings {
  /** Of its root. */
  readonly url: string
  readonly insecureUpstream: boolean
  /** SPIFFE ID of a service in our own domain: mutual TLS with the gateway's identity. The system's roots otherwise. */
  readonly identity?: string
  readonly methods: readonly string[]
  /** Names of headers that pass beside the usual ones. */
  readonly requestHeaders: readonly string[]
  readonly answerHeaders: readonly string[]
  readonly answerBytes: number
  /** Known secrets are taken out of its answers; not by default. */
  readonly redact?: boolean
  /** Of its calls; none of its own by default. */
  readonly limits?: CallBounds
  /** What the gateway proves itself with there; nothing by default. */
  readonly credential?: CredentialSettings | null
  /** What is spoken there; methods and paths by default. */
  readonly speaks?: RpcSettings | AgentSettings
}

/** Plain JSON-RPC: what each method counts as. */
export interface RpcSettings {
  readonly kind: 'json-rpc'
  readonly methods: Readonly<Record<string, 'read' | 'write' | 'admin'>>
}

/** An agent, over A2A. */
export interface AgentSettings {
  readonly kind: 'a2a'
  /** Absolute path of its card. */
  readonly card: string
  readonly approval: 'required' | 'on-first-use' | 'off'
  /** A JWK Set, as text: one of the keys has to have signed the card. None has to by default. */
  readonly cardKeys?: string
}

export type ServerSettings = StdioServerSettings | HttpServerSettings

export interface GatewaySettings {
  /** Last segment of the gateway's SPIFFE ID. */
  readonly name: string
  readonly trustDomain: TrustDomain
  /** The gateway's own state folder. */
  readonly stateDir: string
  /** Folder of the key file and the second copy of checkpoints; outside every state folder. */
  readonly keyDir: string
  /** The key-encryption key; `gateway-<name>.key` in `keyDir` by default. */
  readonly keyFile?: string
  /** Folder of the second copy of checkpoints; `keyDir` by default. */
  readonly checkpointDir?: string
  /** Folder of a second sink that is demanded; none by default. */
  readonly secondSink?: string
  /** Kept free for a full disk; 64 MiB by default. */
  readonly reserveBytes?: number
  /** Further folders in which no key may lie, and which no server process may see. */
  readonly keyOutsideOf?: readonly string[]
  /** https URL without trailing slash: `<publicUrl>/mcp/<server>`, `<publicUrl>/admin` and itself are the audiences. */
  readonly publicUrl: string
  /** What its certificate has to say beside the SPIFFE ID, where its registration says so; whatever it says by default. */
  readonly names?: GatewayNames
  /** Issuer of tokens: the authority's public URL. */
  readonly issuer: string
  readonly listeners: Readonly<Record<GatewayListenerName, GatewayAddress>>
  /** What hosts reach that hold no certificate; nothing by default. */
  readonly edge?: EdgeSettings
  /** Where proxies of others ask about their requests; nowhere by default. */
  readonly decisions?: DecisionsSettings
  /** Whose tokens say who somebody is, where no certificate does; nobody's by default. */
  readonly issuers?: readonly IssuerSettings[]
  readonly servers: Readonly<Record<string, ServerSettings>>
  /** Plain HTTP services; none by default. No name is that of a server. */
  readonly backends?: Readonly<Record<string, BackendSettings>>
  /** By name; none by default. */
  readonly secrets?: Readonly<Record<string, SecretSettings>>
  /** Where some of them are; null for none, the default. */
  readonly vault?: VaultSettings | null
  /** PATH of server processes. */
  readonly path: string
  readonly policy: CompiledPolicy
  /** Who approves calls that need it; nobody by default, so that those are refused. */
  readonly approvals?: ApprovalSettings
  /** How approvers hear of requests; by nothing by default. */
  readonly approvalNotices?: ApprovalNotices
  /** To compare with, as `PolicyReading` has it; none by default. */
  readonly candidate?: PolicyReading['candidate']
  readonly staleness: StalenessLimits
  /** Not ready while no server is asked, because all have failed too often; false by default. */
  readonly needsServer?: boolean
  /** Where the spans of its calls go; nowhere by default. */
  readonly tracing?: TracingSettings | null
  /** Where its log is exported to; nowhere by default. */
  readonly exports?: readonly ExportPlace[]
  /** What of arguments and results goes into its log; nothing by default. */
  readonly keep?: KeepRules | null
  /** What of its log may expire; nothing by default. */
  readonly retention?: RetentionSettings
  /** Who hears of findings; nobody by default. */
  readonly alerts?: readonly AlertPlace[]
  /** From when on what is counted is a finding; as the configuration has it by default. */
  readonly detections?: DetectionSettings
  readonly security: {
    readonly cipherSuites: readonly string[]
    readonly headers: Readonly<Record<string, string>>
    /** Accepted `Origin` values; none by default. */
    readonly origins?: readonly string[]
    readonly connectionLimits: ConnectionLimits
    readonly perUser: Rate
    readonly quotas: readonly Quota[]
    readonly listenerLimits?: Partial<ListenerOptions['limits']>
    /** Addresses that say whom their connections are from, by listener; none by default. */
    readonly proxies?: Readonly<Record<GatewayListenerName | 'edge', (address: string) => boolean>>
  }
  readonly limits?: {
    /** Of a request; 1 MiB by default. */
    readonly bodyBytes?: number
    readonly sessions?: Partial<SessionLimits>
    readonly upstream?: Partial<UpstreamLimits>
  }
}

/** For clients that dial by name. */
export interface GatewayNames {
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
}

/** Resource identifier of a server's path, hence the audience of tokens for it. */
export function audienceOfServer(settings: Pick<GatewaySettings, 'publicUrl'>, server: string): string {
  return `${settings.publicUrl}/mcp/${server}`
}

/** Resource identifier of a plain HTTP service's or an agent's paths, hence the audience of tokens for it. */
export function audienceOfBackend(
  settings: Pick<GatewaySettings, 'publicUrl'>,
  backend: string,
  speaks?: BackendSettings['speaks'],
): string {
  return `${settings.publicUrl}/${speaks?.kind === 'a2a' ? 'a2a' : 'http'}/${backend}`
}

/** Resource identifier of what every caller may ask the gateway itself. */
export function audienceOfGateway(settings: Pick<GatewaySettings, 'publicUrl'>): string {
  return settings.publicUrl
}

/** Resource identifier of the gateway's admin API. */
export function audienceOfAdmin(settings: Pick<GatewaySettings, 'publicUrl'>): string {
  return `${settings.publicUrl}/admin`
}

/** Listeners for callers beside main. */
export function doorsOf({ edge, decisions }: Pick<GatewaySettings, 'edge' | 'decisions'>): number {
  return [edge, decisions].filter((one) => one !== undefined).length
}
