/** `doorward gateway run`: the gateway alone, under a supervisor or by hand. */

import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { DoorwardError } from '@doorward/core'
import { startGateway } from '../apps/gateway.ts'
import type { GatewayEvent } from '../apps/gateway.ts'
import type { BackendSettings, GatewaySettings, ServerSettings } from '../apps/gateway-settings.ts'
import { keepVerifierKey } from '../apps/log-places.ts'
import { supervisorLink } from '../apps/supervision.ts'
import type { SupervisorLink } from '../apps/supervision.ts'
import { approvalNotices, approvalSettings } from '../config/approvals.ts'
import { alertPlaces, exportPlaces } from '../config/audit-exports.ts'
import { keepRules } from '../config/audit-keep.ts'
import { agentSettings } from '../config/agent-settings.ts'
import type { BackendSection } from '../config/backend-schema.ts'
import type { CallBoundsSection } from '../config/limits-schema.ts'
import { definitionSettings } from '../config/definition-settings.ts'
import { detectionSettings } from '../config/detections.ts'
import type { DeploymentFolder } from '../config/deployment-folder.ts'
import { decisionsSettings } from '../config/decisions-settings.ts'
import { edgeSettings } from '../config/edge-settings.ts'
import type { Environment } from '../config/environment.ts'
import { credentialOf, heldSettings, variablesOf } from '../config/secret-settings.ts'
import { readPolicy } from '../config/policy-reading.ts'
import { callQuotas, quotaSettings } from '../config/quotas.ts'
import type { ServerSection } from '../config/schema.ts'
import { secondSink } from '../config/second-sink.ts'
import { tracingSettings } from '../config/tracing.ts'
import {
  checkpointDir,
  connectionLimits,
  gateSettings,
  namedProxies,
  gatewayNames,
  issuerSettings,
  retentionSettings,
  securityHeaders,
  stateFolders,
} from '../config/settings.ts'
import type { Deployment } from '../config/settings.ts'
import type { CliContext } from './context.ts'
import { registerGatewayAdd } from './gateway-add.ts'
import { GatewayFiles } from './gateway-files.ts'
import { registerGatewayReload } from './gateway-reload.ts'
import { runPart } from './part.ts'
import { reloadWishes, toldReload } from './policy/wishes.ts'

export function register(program: Command, context: CliContext): void {
  const gateway = program
    .command('gateway')
    .description('the enforcement point in front of the servers')
    .addHelpText('after', '\nExample:\n  doorward gateway run --join-file gateway.join')
  gateway
    .command('run')
    .description('run the gateway alone; SIGTERM ends it')
    .option('--join-file <path>', 'join string of the gateway, needed once, when it has no identity yet')
    .addHelpText(
      'after',
      '\nExample:\n  doorward gateway run --config /etc/doorward/doorward.yaml --join-file gateway.join',
    )
    .action((options: { readonly joinFile?: string }) => {
      const link = supervisorLink()
      return runPart(context, link, (stop) => runGateway({ context, link, stop, joinFile: options.joinFile }))
    })
  registerGatewayReload(gateway, context)
  registerGatewayAdd(gateway, context)
}

interface Run {
  readonly context: CliContext
  readonly link: SupervisorLink | null
  readonly stop: AbortSignal
  readonly joinFile: string | undefined
}

async function runGateway(run: Run): Promise<void> {
  const { context, link, stop } = run
  const deployment = await context.deployment()
  const folder = await context.deploymentFolder()
  // Under a supervisor the registration follows the same configuration.
  const names = link === null ? {} : { names: gatewayNames(deployment) }
  const settingsOf = async (read: Deployment) => gatewaySettings(read, folder, context.environment)
  const settings = { ...(await settingsOf(deployment)), ...names }
  const files = new GatewayFiles(deployment, settingsOf)
  const wishes = reloadWishes({ context, link, part: 'gateway' })
  const running = await startGateway(settings, {
    signal: stop,
    report: (event) => tell(event, context, link),
    joinString: () => joinString(run),
    rereadPolicy: files.rereadPolicy,
    reread: files.reread,
    digest: files.digest,
  })
  await keepVerifierKey(checkpointDir(deployment, folder), running.record)
  const { addresses, id, record } = running
  const details = { addresses, id, record }
  if (link === null) context.err(JSON.stringify({ event: 'ready', part: 'gateway', ...details }))
  link?.send({ type: 'ready', details })
  wishes.serve(async (by) => toldReload(await running.reload(by)))
  await running.stopped
}

/** From the supervisor, or from the file; never from argument or environment. */
async function joinString({ link, joinFile, stop }: Run): Promise<string> {
  if (joinFile !== undefined) return (await readFile(joinFile, 'utf8')).trim()
  if (link === null) {
    throw new DoorwardError('join_string_missing', 'the gateway has no identity yet and no join string', {
      next: 'where the operator is: doorward gateway add main --out gateway.join; then --join-file gateway.join',
    })
  }
  return new Promise((done, failed) => {
    stop.addEventListener('abort', () => failed(new DoorwardError('stopping', 'stopped while joining')), { once: true })
    link.onMessage((message) => {
      if (message.type === 'join-string') done(message.text)
    })
    link.send({ type: 'join-wanted' })
  })
}

function tell(event: GatewayEvent, context: CliContext, link: SupervisorLink | null): void {
  // Problems are on the log already.
  if (event.type !== 'warning') return
  context.err(JSON.stringify({ event: 'warning', part: 'gateway', code: event.code, text: event.text }))
  link?.send({ type: 'notice', text: event.text })
}

export async function gatewaySettings(
  deployment: Deployment,
  folder: DeploymentFolder,
  environment: Environment,
): Promise<GatewaySettings> {
  const { configuration, trustDomain, gateway } = deployment
  const { security, limits, trust } = configuration
  const sink = await secondSink(deployment)
  return {
    name: gateway.name,
    needsServer: configuration.gateway.needs_server,
    trustDomain,
    stateDir: stateFolders(deployment.stateDir).gateway,
    keyDir: folder.keyDir,
    checkpointDir: checkpointDir(deployment, folder),
    ...(sink === null ? {} : { secondSink: sink }),
    keyOutsideOf: [deployment.stateDir],
    publicUrl: gateway.publicUrl,
    issuer: deployment.authority.publicUrl,
    listeners: gateway.listeners,
    ...edgeOf(deployment),
    ...decisionsOf(deployment),
    ...(await waySettings(deployment, environment)),
    ...(await heldSettings(deployment, environment)),
    path: environment.path,
    ...(await decidedBy(deployment)),
    exports: exportPlaces(deployment),
    tracing: tracingSettings(deployment),
    alerts: alertPlaces(deployment),
    keep: keepRules(configuration.audit.keep, Object.keys(configuration.servers)),
    retention: retentionSettings(configuration),
    detections: detectionSettings(configuration),
    staleness: { fullSeconds: trust.full_seconds, reducedSeconds: trust.reduced_seconds },
    security: {
      cipherSuites: security.tls.cipher_suites,
      headers: securityHeaders(configuration),
      connectionLimits: connectionLimits(configuration),
      perUser: security.rate_limiting.per_user,
      quotas: [...quotaSettings(configuration), ...callQuotas(configuration)],
      listenerLimits: gateSettings(configuration),
      proxies: namedProxies(configuration),
    },
    limits: {
      bodyBytes: limits.body_bytes,
      sessions: { perOwner: limits.sessions_per_user },
      upstream: { streamMilliseconds: limits.stream_seconds * 1000 },
    },
  }
}

async function decidedBy(
  deployment: Deployment,
): Promise<Pick<GatewaySettings, 'policy' | 'candidate' | 'approvals' | 'approvalNotices'>> {
  const { policy, candidate } = await readPolicy(deployment)
  const approvals = approvalSettings(deployment.configuration)
  return { policy, candidate, approvals, approvalNotices: approvalNotices(deployment) }
}

/** Of servers and services. */
async function waySettings(
  deployment: Deployment,
  environment: Environment,
): Promise<Pick<GatewaySettings, 'servers' | 'backends'>> {
  const { configuration, folder } = deployment
  const servers = Object.entries(configuration.servers).map(async ([name, server]) => {
    const definitions = await definitionSettings(server, { folder, name })
    return [name, { ...(await serverSettings(server, deployment, environment)), ...definitions }] as const
  })
  const backends = Object.entries(configuration.services).map(
    async ([name, service]) => [name, await backendSettings(service, folder)] as const,
  )
  const agents = Object.entries(configuration.agents).map(
    async ([name, agent]) =>
      [name, { ...(await agentSettings(agent, folder)), limits: boundsOf(agent.limits) }] as const,
  )
  return {
    servers: Object.fromEntries(await Promise.all(servers)),
    backends: Object.fromEntries(await Promise.all([...backends, ...agents])),
  }
}

function edgeOf(deployment: Deployment): Pick<GatewaySettings, 'edge' | 'issuers'> {
  const edge = edgeSettings(deployment)
  return edge === null ? {} : { edge, issuers: issuerSettings(deployment) }
}

function decisionsOf(deployment: Deployment): Pick<GatewaySettings, 'decisions'> {
  const decisions = decisionsSettings(deployment)
  return decisions === null ? {} : { decisions }
}

async function serverSettings(
  server: ServerSection,
  deployment: Deployment,
  environment: Environment,
): Promise<ServerSettings> {
  if ('url' in server) {
    const { url, transport, effects, insecure_upstream: insecureUpstream, legacy_sse: legacySse } = server
    const credential = await credentialOf(server, deployment.folder)
    const limits = boundsOf(server.limits)
    return { kind: 'http', url, transport, insecureUpstream, effects, legacySse, credential, limits }
  }
  const passed = server.env_from.map((name) => [name, environment.variable(name)] as const)
  const missing = passed.filter(([, value]) => value === undefined).map(([name]) => name)
  if (missing.length > 0) {
    throw new DoorwardError('environment_missing', 'a variable that a server needs is not set', {
      where: `env_from of ${server.command.join(' ')}`,
      expected: missing.join(', '),
      next: 'set it in the environment of the gateway',
    })
  }
  const variables = variablesOf(server.env)
  return {
    kind: 'stdio',
    command: server.command,
    cwd: resolve(deployment.folder, server.cwd ?? '.'),
    env: { ...variables.plain, ...Object.fromEntries(passed.map(([name, value]) => [name, value ?? ''])) },
    secretEnv: variables.secret,
    processes: server.processes,
    idleMilliseconds: server.idle_seconds * 1000,
    ...(server.user === undefined ? {} : { user: userOf(server.user) }),
    effects: server.effects,
    legacySse: server.legacy_sse,
    limits: boundsOf(server.limits),
  }
}

async function backendSettings(section: BackendSection, folder: string): Promise<BackendSettings> {
  const { url, methods } = section
  return {
    url,
    insecureUpstream: section.insecure_upstream,
    methods,
    requestHeaders: section.request_headers,
    answerHeaders: section.answer_headers,
    answerBytes: section.answer_bytes,
    redact: section.output.redact,
    limits: boundsOf(section.limits),
    credential: await credentialOf(section, folder),
    ...(section.json_rpc === undefined ? {} : { speaks: { kind: 'json-rpc', methods: section.json_rpc.methods } }),
  }
}

function boundsOf({ concurrent, deadline_seconds: deadline }: CallBoundsSection) {
  return { concurrent: concurrent ?? null, deadlineMilliseconds: deadline === undefined ? null : deadline * 1000 }
}

function userOf(text: string): { readonly uid: number; readonly gid: number } {
  const [uid, gid] = text.split(':')
  return { uid: Number(uid), gid: Number(gid) }
}
