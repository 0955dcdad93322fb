/** `doorward gateway run`: the gateway alone, under a supervisor or by hand. */

import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { DoorwardError } from '@doorward/core'
import { startGateway } from '../apps/gateway.ts'
import type { GatewayEvent } from '../apps/gateway.ts'
import type { GatewaySettings, ServerSettings } from '../apps/gateway-settings.ts'
import { keepVerifierKey } from '../apps/log-places.ts'
import { supervisorLink } from '../apps/supervision.ts'
import type { SupervisorLink } from '../apps/supervision.ts'
import { alertPlaces, exportPlaces } from '../config/audit-exports.ts'
import { keepRules } from '../config/audit-keep.ts'
import { detectionSettings } from '../config/detections.ts'
import type { DeploymentFolder } from '../config/deployment-folder.ts'
import type { Environment } from '../config/environment.ts'
import { readPolicy, rereadPolicy } from '../config/policy-reading.ts'
import type { ServerSection } from '../config/schema.ts'
import { secondSink } from '../config/second-sink.ts'
import { tracingSettings } from '../config/tracing.ts'
import {
  checkpointDir,
  connectionLimits,
  gateSettings,
  gatewayNames,
  retentionSettings,
  securityHeaders,
  stateFolders,
} from '../config/settings.ts'
import type { Deployment } from '../config/settings.ts'
import type { CliContext } from './context.ts'
import { registerGatewayAdd } from './gateway-add.ts'
import { runPart } from './part.ts'
import { reloadWishes } from './policy/wishes.ts'

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
  const settings = { ...(await gatewaySettings(deployment, folder, context.environment)), ...names }
  const wishes = reloadWishes({ context, link, part: 'gateway' })
  const running = await startGateway(settings, {
    signal: stop,
    report: (event) => tell(event, context, link),
    joinString: () => joinString(run),
    rereadPolicy: () => rereadPolicy(deployment),
  })
  await keepVerifierKey(checkpointDir(deployment, folder), running.record)
  const { addresses, id, record } = running
  const details = { addresses, id, record }
  if (link === null) context.err(JSON.stringify({ event: 'ready', part: 'gateway', ...details }))
  link?.send({ type: 'ready', details })
  wishes.serve(running)
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
  const { policy, candidate } = await readPolicy(deployment)
  const sink = await secondSink(deployment)
  return {
    name: gateway.name,
    trustDomain,
    stateDir: stateFolders(deployment.stateDir).gateway,
    keyDir: folder.keyDir,
    checkpointDir: checkpointDir(deployment, folder),
    ...(sink === null ? {} : { secondSink: sink }),
    keyOutsideOf: [deployment.stateDir],
    publicUrl: gateway.publicUrl,
    issuer: deployment.authority.publicUrl,
    listeners: gateway.listeners,
    servers: Object.fromEntries(
      Object.entries(configuration.servers).map(([name, server]) => [
        name,
        serverSettings(server, deployment, environment),
      ]),
    ),
    path: environment.path,
    policy,
    candidate,
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
      quotas: limits.quotas.map(({ action, per_user }) => ({ action, rate: per_user })),
      listenerLimits: gateSettings(configuration),
    },
    limits: { bodyBytes: limits.body_bytes, sessions: { perOwner: limits.sessions_per_user } },
  }
}

function serverSettings(server: ServerSection, deployment: Deployment, environment: Environment): ServerSettings {
  if ('url' in server) {
    return { kind: 'http', url: server.url, insecureUpstream: server.insecure_upstream, effects: server.effects }
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
  return {
    kind: 'stdio',
    command: server.command,
    cwd: resolve(deployment.folder, server.cwd ?? '.'),
    env: { ...server.env, ...Object.fromEntries(passed.map(([name, value]) => [name, value ?? ''])) },
    effects: server.effects,
  }
}
