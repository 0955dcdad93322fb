/** The whole examination: every look in turn, each bounded, none of which changes anything. */

import { join } from 'node:path'
import { DoorwardError, toSeconds } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { systemClock, timerSleep } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { edgeSettings } from '../../config/edge-settings.ts'
import { frontSettings } from '../../config/front-settings.ts'
import type { FrontSettings } from '../../config/front-settings.ts'
import { backendAudience, checkpointDir, serverAudience, stateFolders } from '../../config/settings.ts'
import type { Deployment } from '../../config/settings.ts'
import type { DeploymentFolder } from '../../config/deployment-folder.ts'
import { logPlaces, placesHere } from '../log-places.ts'
import { certificateFinding } from './certificates.ts'
import type { HeldIdentity } from './certificates.ts'
import { loudFindings, policyFindings } from './configuration.ts'
import { authorityFindings, gatewayFindings } from './deployment.ts'
import { fileFindings } from './files.ts'
import { findingOf } from './finding.ts'
import type { Finding } from './finding.ts'
import { keyAgreementFinding, roomFinding, runtimeFinding } from './host.ts'
import { listenerFindings } from './listeners.ts'
import type { ListenerPlace } from './listeners.ts'
import { publicCertificateFinding } from './public-certificates.ts'
import type { PublicPlace } from './public-certificates.ts'
import { recordFindings } from './record.ts'

/** What is to be looked at, as far as it could be had. */
export interface Patient {
  readonly deployment: Deployment
  /** Null where nothing has been started with this configuration. */
  readonly folder: DeploymentFolder | null
  /** Names of the identities in the state folder. */
  readonly identities: readonly string[]
  /** Null when nobody is asked. */
  readonly online: OnlinePatient | null
}

export interface OnlinePatient {
  /** Opens the operator's identity and brings it up to date. Survived problems go to the listener. */
  readonly open: (onProblem: (error: unknown) => void) => Promise<Identity>
  readonly authorityStatus: (identity: Identity) => Promise<JsonObject>
  readonly gatewayStatus: (identity: Identity) => Promise<JsonObject>
}

export interface Look {
  readonly title: string
  readonly run: () => Promise<readonly Finding[]>
}

const lookMilliseconds = 30_000

/** Looks as they are made, one after the other. What throws is a finding, and so is what takes too long. */
export async function* examine(
  looks: readonly Look[],
): AsyncGenerator<{ readonly title: string; readonly findings: readonly Finding[] }> {
  for (const { title, run } of looks) yield { title, findings: await bounded(title, run) }
}

async function bounded(title: string, run: Look['run']): Promise<readonly Finding[]> {
  const abort = new AbortController()
  const late = timerSleep(lookMilliseconds, abort.signal).then((): readonly Finding[] => [
    {
      check: title.replaceAll(' ', '_'),
      verdict: 'unknown',
      message: `no answer within ${lookMilliseconds / 1000} s`,
      next: 'run this again, and see what hangs',
    },
  ])
  try {
    return await Promise.race([run(), late])
  } catch (error) {
    return [findingOf(title.replaceAll(' ', '_'), 'unknown', error)]
  } finally {
    abort.abort()
  }
}

export function looksOf(patient: Patient): readonly Look[] {
  const { deployment, folder, online } = patient
  return [
    { title: 'runtime', run: async () => [runtimeFinding(process.version), keyAgreementFinding()] },
    { title: 'configuration', run: async () => [...loudFindings(deployment), ...(await policyFindings(deployment))] },
    ...(folder === null ? [] : localLooks(patient, folder)),
    ...(online === null ? [] : [listenersLook(deployment, online), deploymentLook(deployment, online)]),
  ]
}

function localLooks({ deployment, identities }: Patient, folder: DeploymentFolder): readonly Look[] {
  const folders = stateFolders(deployment.stateDir)
  const copyDir = checkpointDir(deployment, folder)
  const names = { authority: deployment.configuration.authority.name, gateway: deployment.gateway.name }
  const held: HeldIdentity[] = [
    { name: 'gateway', folder: join(folders.gateway, 'identity'), kept: true },
    ...identities.map((name) => ({ name, folder: join(folders.identities, name), kept: false })),
  ]
  return [
    { title: 'files', run: () => fileFindings({ stateDir: folder.dir, keyDir: folder.keyDir }) },
    { title: 'room', run: async () => [await roomFinding(deployment)] },
    {
      title: 'certificates',
      run: () => Promise.all(held.map((one) => certificateFinding(one, toSeconds(systemClock())))),
    },
    {
      title: 'record',
      run: async () => {
        const places = await placesHere(logPlaces(deployment.trustDomain, folders, names), copyDir)
        return (await Promise.all(places.map((place) => recordFindings(place, copyDir)))).flat()
      },
    },
  ]
}

type PublicSettings = Pick<FrontSettings, 'address' | 'publicUrl' | 'certificate'>

/** Where browsers come, as far as it is configured. */
function publicPlaces(deployment: Deployment): readonly PublicPlace[] {
  const [edge, front] = [edgeSettings(deployment), frontSettings(deployment)]
  const place = (name: PublicPlace['name'], { address, publicUrl, certificate }: PublicSettings): PublicPlace => ({
    name,
    address,
    publicUrl,
    acme: 'directory' in certificate,
  })
  return [...(edge === null ? [] : [place('edge', edge)]), ...(front === null ? [] : [place('front', front)])]
}

function listenersLook(deployment: Deployment, { open }: OnlinePatient): Look {
  const { authority, gateway } = deployment
  const places: readonly ListenerPlace[] = [
    ...Object.entries(authority.listeners).map(([name, address]) => ({
      name: `authority ${name}`,
      address,
      id: authority.id,
      mirror: 'skip' as const,
    })),
    ...Object.entries(gateway.listeners).map(([name, address]) => ({
      name: `gateway ${name}`,
      address,
      id: gateway.id,
      mirror: 'require' as const,
    })),
  ]
  return {
    title: 'listeners',
    run: async () => {
      const identity = await openedOrNull(open)
      try {
        const now = toSeconds(systemClock())
        const shown = publicPlaces(deployment).map((place) => publicCertificateFinding(place, now))
        const own = places.map((place) => listenerFindings(place, identity?.trust ?? null))
        return [...(await Promise.all(own)).flat(), ...(await Promise.all(shown))]
      } finally {
        identity?.close()
      }
    },
  }
}

/** Why it cannot be had is told by the look at the deployment, which opens it as well. */
async function openedOrNull(open: OnlinePatient['open']): Promise<Identity | null> {
  try {
    return await open(() => undefined)
  } catch {
    return null
  }
}

function deploymentLook(deployment: Deployment, { open, authorityStatus, gatewayStatus }: OnlinePatient): Look {
  return {
    title: 'deployment',
    run: async () => {
      const survived: Finding[] = []
      const identity = await open((error) => {
        if (survived.length < 10) survived.push(findingOf('operator', 'warning', error))
      })
      try {
        const now = toSeconds(identity.trust.now())
        const issuer = issuerFindings(identity, deployment)
        const [authority, gateway] = await Promise.all([
          told('authority', async () => authorityFindings(await authorityStatus(identity), now)),
          told('gateway', async () => gatewayFindings(await gatewayStatus(identity), expectation(deployment), now)),
        ])
        return [...survived, ...issuer, ...authority, ...gateway]
      } finally {
        identity.close()
      }
    },
  }
}

async function told(check: string, ask: () => Promise<readonly Finding[]>): Promise<readonly Finding[]> {
  try {
    return await ask()
  } catch (error) {
    return [findingOf(check, 'failure', error, `see that the ${check} runs: doorward up`)]
  }
}

/** Whom an identity joined at is whose tokens it gets. */
function issuerFindings({ authorityUrl }: Identity, { authority, file }: Deployment): readonly Finding[] {
  if (authorityUrl === authority.publicUrl) return [{ check: 'issuer', verdict: 'fine', message: authorityUrl }]
  const error = new DoorwardError(
    'issuer_differs',
    'the operator joined at another authority than this configuration names',
    {
      where: `${file} authority.public_url`,
      expected: authorityUrl,
      got: authority.publicUrl,
      next: 'put the old URL back: issuer and audiences are what everybody has pinned',
    },
  )
  return [findingOf('issuer', 'failure', error)]
}

function expectation(deployment: Deployment) {
  const { servers, services, trust } = deployment.configuration
  const audiences = new Map([
    ...Object.keys(servers).map((name) => [name, serverAudience(deployment, name)] as const),
    ...Object.keys(services).map((name) => [name, backendAudience(deployment, name)] as const),
  ])
  return { audiences, fullSeconds: trust.full_seconds }
}
