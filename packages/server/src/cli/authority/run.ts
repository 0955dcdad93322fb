/** `doorward authority run`: the authority alone, under a supervisor or by hand. */

import { DoorwardError, gatewayRole, isDoorwardError } from '@doorward/core'
import { startAuthority } from '../../apps/authority.ts'
import type { AuthorityEvent, AuthoritySettings, RunningAuthority } from '../../apps/authority.ts'
import { keepVerifierKey } from '../../apps/log-places.ts'
import { supervisorLink } from '../../apps/supervision.ts'
import type { SupervisorLink } from '../../apps/supervision.ts'
import { alertPlaces, exportPlaces } from '../../config/audit-exports.ts'
import { detectionSettings } from '../../config/detections.ts'
import { databasePlace } from '../../config/database.ts'
import type { DeploymentFolder } from '../../config/deployment-folder.ts'
import { frontSettings } from '../../config/front-settings.ts'
import { readPolicy, rereadPolicy } from '../../config/policy-reading.ts'
import { quotaSettings } from '../../config/quotas.ts'
import { isAuthorityKey } from '../../config/reloading.ts'
import { secondSink } from '../../config/second-sink.ts'
import {
  allowedAudiences,
  authorityProxies,
  checkpointDir,
  connectionLimits,
  gateSettings,
  gatewayNames,
  issuerSettings,
  retentionSettings,
  securityHeaders,
  stateFolders,
  voucherSettings,
} from '../../config/settings.ts'
import type { Deployment } from '../../config/settings.ts'
import type { CliContext } from '../context.ts'
import { runPart } from '../part.ts'
import { reloadWishes, toldPolicy } from '../policy/wishes.ts'
import { hintAtFirst, invitingHere } from './inviting.ts'

export interface RunOptions {
  /** The store is a copy that was put back, and the operator knows. */
  readonly afterRestore?: boolean
}

export function runHere(context: CliContext, { afterRestore = false }: RunOptions = {}): Promise<void> {
  return runPart(context, supervisorLink(), (stop) => runAuthority(context, stop, afterRestore))
}

async function runAuthority(context: CliContext, stop: AbortSignal, afterRestore: boolean): Promise<void> {
  const link = supervisorLink()
  const deployment = await context.deployment()
  const folder = await context.deploymentFolder()
  const wishes = reloadWishes({ context, link, part: 'authority' })
  const running = await startAuthority(await authoritySettings(deployment, folder), {
    signal: stop,
    afterRestore,
    report: (event) => tell(event, context, link),
    rereadPolicy: () => rereadPolicy(deployment, isAuthorityKey),
  })
  const { addresses, recoveryRoot, rootFingerprint, record } = running
  await keepVerifierKey(checkpointDir(deployment, folder), record)
  const details = { addresses, recoveryRoot, rootFingerprint, record }
  const report = (event: AuthorityEvent) => tell(event, context, link)
  const invitations = await invitingHere(running, deployment, report)
  stop.addEventListener('abort', () => void invitations?.close(), { once: true })
  try {
    if (link === null) {
      context.err(JSON.stringify({ event: 'ready', part: 'authority', ...details }))
      if (recoveryRoot.present) report(rootWarning(recoveryRoot.path))
      await hintAtFirst(running, deployment, report)
    } else {
      await alignGateway(running, deployment, report)
      answerJoinRequests(running, link, deployment)
    }
    link?.send({ type: 'ready', details })
    wishes.serve(async (by) => toldPolicy(await running.reloadPolicy(by)))
    await running.stopped
  } finally {
    await invitations?.close()
  }
}

/** A supervisor tells this by itself, from the details. */
function rootWarning(path: string): AuthorityEvent {
  const text = `the recovery root is still on this machine, at ${path}: whoever has it can replace every key; move it to a safe place`
  return { type: 'warning', code: 'root_present', text }
}

export async function authoritySettings(deployment: Deployment, folder: DeploymentFolder): Promise<AuthoritySettings> {
  const { configuration, trustDomain, authority } = deployment
  const { security, trust } = configuration
  const database = await databasePlace(deployment)
  const { policy, candidate, operatorRoles } = await readPolicy(deployment)
  const audiences = allowedAudiences(deployment)
  const sink = await secondSink(deployment)
  const { name, advertise } = configuration.authority
  const front = frontSettings(deployment)
  return {
    trustDomain,
    name,
    advertise,
    ...(database === null ? {} : { database: { ...database, applicationName: `doorward authority ${name}` } }),
    stateDir: stateFolders(deployment.stateDir).authority,
    keyDir: folder.keyDir,
    keyOutsideOf: [deployment.stateDir],
    checkpointDir: checkpointDir(deployment, folder),
    ...(sink === null ? {} : { secondSink: sink }),
    publicUrl: authority.publicUrl,
    listeners: authority.listeners,
    allowedAudience: (audience) => audiences.has(audience),
    jwtSvidAudiences: configuration.authority.jwt_svid_audiences,
    policy,
    candidate,
    operatorRoles,
    vouchers: voucherSettings(deployment),
    issuers: issuerSettings(deployment),
    ...(front === null ? {} : { front }),
    exports: exportPlaces(deployment),
    alerts: alertPlaces(deployment),
    detections: detectionSettings(configuration),
    retention: retentionSettings(configuration),
    staleness: { fullSeconds: trust.full_seconds, reducedSeconds: trust.reduced_seconds },
    crlSeconds: configuration.authority.crl_seconds,
    detect: {
      certificatesPerInstance: configuration.authority.detect.certificates_per_instance,
      newIdentitiesPerHour: configuration.authority.detect.new_identities_per_hour,
    },
    security: {
      cipherSuites: security.tls.cipher_suites,
      headers: securityHeaders(configuration),
      connectionLimits: connectionLimits(configuration),
      perUser: security.rate_limiting.per_user,
      quotas: quotaSettings(configuration),
      listenerLimits: gateSettings(configuration),
      proxies: authorityProxies(configuration),
    },
  }
}

function tell(event: AuthorityEvent, context: CliContext, link: SupervisorLink | null): void {
  if (event.type === 'warning') {
    context.err(JSON.stringify({ event: 'warning', part: 'authority', code: event.code, text: event.text }))
    link?.send({ type: 'notice', text: event.text })
  } else if (event.type === 'detection') {
    const { detector, subject, detail } = event.detection
    context.err(JSON.stringify({ event: 'detection', part: 'authority', detector, subject, detail }))
    link?.send({ type: 'notice', text: `${detector} ${subject}: ${detail}` })
  } else {
    const { error } = event
    const code = error instanceof DoorwardError ? error.code : 'internal'
    context.err(JSON.stringify({ event: 'problem', part: 'authority', code, text: String(error) }))
  }
}

/**
 * The gateway beside this authority gets the names that the configuration now gives it with its next certificate. One that
 * was removed stays so. What keeps that from happening is told, and the gateway goes on with the names that it has.
 */
async function alignGateway(
  running: RunningAuthority,
  deployment: Deployment,
  report: (event: AuthorityEvent) => void,
): Promise<void> {
  try {
    const roles = [gatewayRole]
    await running.registerWorkload({ ...gatewayRegistration(deployment), roles, mayAdd: false }, 'supervisor')
  } catch (error) {
    if (isDoorwardError(error, 'resource_unknown')) return
    const text = `the gateway keeps the names that its certificate has: ${error instanceof Error ? error.message : String(error)}`
    report({ type: 'warning', code: 'gateway_names', text })
  }
}

type Registered = Parameters<RunningAuthority['registerWorkload']>[0]

/** Where others may share the store, gateways of the same name may be reached by further names. */
function gatewayRegistration(deployment: Deployment): Omit<Registered, 'roles'> {
  const { gateway, configuration } = deployment
  const keepsNames = configuration.authority.database !== undefined
  return { id: gateway.id.uri, ...gatewayNames(deployment), sharedNames: true, keepsNames }
}

/** The supervisor of one machine asks in the operator's name, as whoever may start this process could. */
function answerJoinRequests(running: RunningAuthority, link: SupervisorLink, deployment: Deployment): void {
  link.onMessage((message) => {
    if (message.type !== 'join-request') return
    void answer(running, message, deployment).then(
      (text) => link.send({ type: 'join-string', request: message.request, text }),
      (error: unknown) => link.send({ type: 'join-failed', request: message.request, message: String(error) }),
    )
  })
}

async function answer(
  running: RunningAuthority,
  { id, roles }: { id: string; roles: readonly string[] },
  deployment: Deployment,
): Promise<string> {
  const by = 'supervisor'
  const registration = id === deployment.gateway.id.uri ? gatewayRegistration(deployment) : { id }
  await running.registerWorkload({ ...registration, roles }, by)
  return (await running.createJoinString(id, by)).joinString.reveal()
}
