/** The workloads of this machine whose identities lie in the deployment's state folder, named by their path: `operator/alice`. */

import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DoorwardError, parseJoinString, parseSpiffeId, toSeconds } from '@doorward/core'
import type { Secret, SpiffeId } from '@doorward/core'
import {
  aesGcmSealer,
  join as joinDomain,
  LoginStore,
  openIdentity,
  personSource,
  prepareMachineKey,
  systemClock,
} from '@doorward/sdk'
import type { Evidence, Identity, Joined, Sealer } from '@doorward/sdk'
import { openDeploymentFolder } from '../config/deployment-folder.ts'
import type { Environment } from '../config/environment.ts'
import { identitiesKeyring } from '../config/secret-settings.ts'
import { stateFolders } from '../config/settings.ts'
import type { Deployment } from '../config/settings.ts'
import { identitiesKey } from './identities-key.ts'

export interface IdentityHome {
  readonly folder: string
  readonly sealer: Sealer
}

export interface ClientPlace {
  readonly deployment: Deployment
  readonly environment: Environment
}

/** For whom an identity calls: for itself, for the person who is signed in, or for the person when there is one. */
export type OnBehalf = 'itself' | 'person' | 'whoever'

const MAX_DEPTH = 6
const random = (length: number) => new Uint8Array(randomBytes(length))

/** Folder and sealer of all identities here. Throws the codes of the state folder (`state_*`) and of `identitiesKey`. */
export async function identityHome({ deployment, environment }: ClientPlace): Promise<IdentityHome> {
  const state = await openDeploymentFolder({
    dir: deployment.stateDir,
    trustDomain: deployment.trustDomain,
    keyDir: deployment.keyDir,
    keyHome: environment.keyHome,
  })
  const file = { path: join(state.keyDir, 'identities.key'), outsideOf: [state.dir], stateId: state.stateId }
  const folder = stateFolders(deployment.stateDir).identities
  const keyring = identitiesKeyring(deployment, environment)
  // One that cannot be read may hold what a new key would not open.
  const used = async () => {
    const missing = (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    }
    return (await readdir(folder).catch(missing)).length > 0
  }
  return { folder, sealer: aesGcmSealer(await identitiesKey({ file, keyring, used, random }), random) }
}

/** Names of the identities here, sorted. */
export async function localIdentities(place: ClientPlace): Promise<readonly string[]> {
  return namesIn(stateFolders(place.deployment.stateDir).identities)
}

async function namesIn(folder: string, prefix = '', depth = 0): Promise<readonly string[]> {
  const entries = await readdir(join(folder, prefix), { withFileTypes: true }).catch(() => [])
  if (prefix !== '' && entries.some((entry) => entry.isFile() && entry.name === 'identity.json')) return [prefix]
  if (depth >= MAX_DEPTH) return []
  const inner = entries.filter((entry) => entry.isDirectory())
  const found = await Promise.all(
    inner.map(({ name }) => namesIn(folder, prefix === '' ? name : `${prefix}/${name}`, depth + 1)),
  )
  return found.flat().toSorted()
}

/** The path of a SPIFFE ID: its name here. */
export function identityName(id: SpiffeId): string {
  return id.segments.join('/')
}

/**
 * Opens the identity of this name; without one `operator/<user>`, or else the only one here. Sends nothing.
 * Throws `identity_missing`, `identity_ambiguous` and the codes of `openIdentity` and `identityHome`.
 */
export async function openLocalIdentity(
  place: ClientPlace,
  name?: string,
  onProblem?: (error: unknown) => void,
  onBehalf: OnBehalf = 'itself',
): Promise<Identity> {
  const { folder, sealer } = await homeOf(place, name)
  const store = new LoginStore(folder, sealer)
  const person = onBehalf === 'person' || (onBehalf === 'whoever' && (await store.version()) !== null)
  return openIdentity({
    folder,
    sealer,
    ...(person ? { person: personSource(store, () => toSeconds(systemClock())) } : {}),
    ...(onProblem === undefined ? {} : { onProblem }),
  })
}

/** Who is signed in at the identity of this name. Throws as `openLocalIdentity`. */
export async function openLoginStore(place: ClientPlace, name?: string): Promise<LoginStore> {
  const { folder, sealer } = await homeOf(place, name)
  return new LoginStore(folder, sealer)
}

async function homeOf(place: ClientPlace, name: string | undefined): Promise<IdentityHome> {
  // First, because it changes nothing: a state folder is made only for somebody who joins.
  const chosen = await chooseName(place, name)
  const { folder, sealer } = await identityHome(place)
  return { folder: join(folder, ...segmentsOf(place.deployment, chosen)), sealer }
}

/** Joins as the workload that the join string names, by its token or by other evidence. Throws as `join`, and `join_string_unnamed`. */
export async function joinLocally(
  place: ClientPlace,
  joinString: Secret,
  evidence: Evidence | null = null,
): Promise<Joined> {
  const { spiffeId, trustDomain } = parseJoinString(joinString.reveal())
  if (trustDomain !== place.deployment.trustDomain) {
    throw new DoorwardError('join_string_foreign', 'the join string is for another trust domain', {
      expected: place.deployment.trustDomain,
      got: trustDomain,
      next: 'use the configuration of that deployment, with --config',
    })
  }
  if (spiffeId === undefined)
    throw new DoorwardError('join_string_unnamed', 'the join string names no workload', {
      next: 'ask the operator for a new one',
    })
  const { folder, sealer } = await identityHome(place)
  const own = join(folder, ...parseSpiffeId(spiffeId).segments)
  return joinDomain({
    joinString: joinString.reveal(),
    folder: own,
    sealer,
    authorityUrl: place.deployment.authority.publicUrl,
    ...(evidence === null ? {} : { evidence }),
  })
}

/** The machine key of a workload that has not joined here yet, made when it is missing. Throws as `prepareMachineKey`. */
export async function prepareLocalKey(
  place: ClientPlace,
  id: SpiffeId,
): Promise<{ readonly thumbprint: string; readonly folder: string }> {
  const { folder, sealer } = await identityHome(place)
  const own = join(folder, ...id.segments)
  return { thumbprint: await prepareMachineKey({ folder: own, sealer }), folder: own }
}

async function chooseName(place: ClientPlace, name: string | undefined): Promise<string> {
  const names = await localIdentities(place)
  const own = `operator/${place.environment.user}`
  const wanted = name ?? (names.includes(own) ? own : names.length === 1 ? names[0] : undefined)
  if (wanted !== undefined && names.includes(wanted)) return wanted
  const detail = {
    where: stateFolders(place.deployment.stateDir).identities,
    got: names.length === 0 ? 'none' : names.join(', '),
  }
  if (name === undefined && names.length > 1) {
    throw new DoorwardError('identity_ambiguous', 'several identities are here', {
      ...detail,
      next: 'choose one with --as NAME',
    })
  }
  throw new DoorwardError('identity_missing', `no identity ${wanted ?? own} is here`, {
    ...detail,
    next: 'start the deployment with `doorward up`, which makes an operator, or join with `doorward join`',
  })
}

/** A name is the path of a SPIFFE ID, so that it cannot leave the folder. */
function segmentsOf({ trustDomain }: Deployment, name: string): readonly string[] {
  return parseSpiffeId(`spiffe://${trustDomain}/${name}`).segments
}
