/** Becoming a workload: by evidence the first time, and anew when this copy was locked. */

import { DoorwardError, isDoorwardError, jwkThumbprint, parseJoinString } from '@doorward/core'
import type { Clock, SpiffeId, TrustDomain, TrustScope } from '@doorward/core'
import { enrol } from './admission.ts'
import type { Admission, EnrolWith } from './admission.ts'
import { AuthorityRoute, isOfThePlace } from './authority-route.ts'
import type { RoutedPlace } from './authority-route.ts'
import type { Evidence } from './evidence.ts'
import { underLock } from './folder-lock.ts'
import { IdentityFolder } from './identity-folder.ts'
import { systemClock } from './platform/clock.ts'
import { sha256 } from './platform/hash.ts'
import { generateP256, p256KeyPairOf } from './platform/p256.ts'
import type { P256KeyPair } from './platform/p256.ts'
import { systemProcesses } from './process-identity.ts'
import { systemRuntime } from './runtime.ts'
import type { Sealer } from './sealer.ts'

/** Where the authority is, how it is known, and who wants to join: what a join string says, without a token. */
export interface JoinPlace {
  readonly trustDomain: TrustDomain
  /** host:port of the enrolment listener. */
  readonly address: string
  /** Those of other authorities of the trust domain: any of them admits. None by default. */
  readonly others?: readonly string[]
  /** RFC 7638 thumbprint of the recovery root, base64url. */
  readonly rootFingerprint: string
  /** SPIFFE ID. Null where the evidence alone says it: a join token. */
  readonly id: string | null
}

export interface JoinCommon {
  /** The token of the join string by default, or else the machine key, which must then be registered. */
  readonly evidence?: Evidence
  readonly folder: string
  readonly sealer: Sealer
  /** What of the trust state it will follow: `full` for those who decide about callers. `callers` by default. */
  readonly scope?: TrustScope
  /** https URL of the authority's main listener, for authorities whose answer does not name it. */
  readonly authorityUrl?: string
  readonly clock?: Clock
}

export type JoinOptions = JoinCommon &
  (
    | {
        /** The text that the operator handed over. */
        readonly joinString: string
      }
    | { readonly place: JoinPlace }
  )

export interface Joined {
  readonly id: SpiffeId
  readonly trustDomain: TrustDomain
  readonly folder: string
  readonly notAfter: number
}

/** For all authorities together. With another one at hand none is waited for longer than 5 s. */
const joinMilliseconds = 60_000

/**
 * Joins and writes the identity folder. Nothing but a greeting is sent before the server is proven; the machine key is
 * durable before the evidence is spent, so that a crash in between, or an answer that is lost, leaves a key with which the
 * workload can return. An authority that cannot be reached, or that cannot prove itself, is left for another one.
 * Throws `join_string_invalid`, `identity_exists`, `join_refused`, `instance_locked`, `authority_not_pinned`,
 * `svid_invalid`, `authority_url_missing`, `folder_not_private`, `lock_timeout`, and the codes of `openEnrolment`.
 */
export async function join(options: JoinOptions): Promise<Joined> {
  const { place, evidence } = invitationOf(options)
  const folder = new IdentityFolder(options.folder, options.sealer)
  await folder.prepare()
  await refuseOther(folder, place)
  const lock = { path: folder.lockPath, runtime: systemRuntime, processes: systemProcesses() }
  return underLock(lock, () => joinUnderLock(folder, { place, evidence, options }))
}

/** Makes the machine key of a folder before it joins, so that an operator can register it; tells its RFC 7638 thumbprint. Throws `folder_not_private` and `identity_key_unreadable`. */
export async function prepareMachineKey(options: Pick<JoinCommon, 'folder' | 'sealer'>): Promise<string> {
  const folder = new IdentityFolder(options.folder, options.sealer)
  await folder.prepare()
  return jwkThumbprint((await machineKey(folder)).key.jwk, sha256)
}

interface Joining {
  readonly place: JoinPlace
  readonly evidence: Evidence
  readonly options: JoinCommon
}

function invitationOf(options: JoinOptions): Pick<Joining, 'place' | 'evidence'> {
  if ('place' in options) return { place: options.place, evidence: options.evidence ?? { kind: 'bound_key' } }
  const { trustDomain, address, otherAddresses, rootFingerprint, spiffeId, token } = parseJoinString(options.joinString)
  const usual: Evidence = token === undefined ? { kind: 'bound_key' } : { kind: 'join_token', token }
  const others = otherAddresses === undefined ? {} : { others: otherAddresses }
  const place = { trustDomain, address, ...others, rootFingerprint, id: spiffeId ?? null }
  return { place, evidence: options.evidence ?? usual }
}

async function joinUnderLock(folder: IdentityFolder, joining: Joining): Promise<Joined> {
  const { place, options } = joining
  const { admission, address } = await admitted(folder, joining)
  const authority = admission.authorityUrl ?? options.authorityUrl
  if (authority === undefined) {
    throw new DoorwardError('authority_url_missing', 'the authority did not name its address', {
      next: 'give it beside the join string',
    })
  }
  await folder.writeTrust({ version: admission.trust.opened, message: admission.trust.message })
  await folder.writeSvid(admission.svid, admission.joinState)
  const { trustDomain, rootFingerprint } = place
  const { id, certificate } = admission.svid
  const scope = options.scope ?? 'callers'
  // Last, because a folder with this file counts as joined.
  await folder.writeDescription({ trustDomain, id, rootFingerprint, scope, addresses: { authority, enrol: address } })
  return { id, trustDomain, folder: folder.path, notAfter: certificate.notAfter }
}

/**
 * With a machine key that is here already, an earlier attempt may have spent the evidence and broken before the answer
 * was stored: then the key is bound, and returns. A copy that is locked begins anew, with a key that nobody has copied.
 */
async function admitted(folder: IdentityFolder, joining: Joining): Promise<Admitted> {
  const { key, held } = await machineKey(folder)
  const what = await enrolWith(folder, joining, key)
  const authorities = new JoinAuthorities(joining.place)
  try {
    return await authorities.enrol(what)
  } catch (error) {
    if (held && isDoorwardError(error, 'instance_locked') && joining.evidence.kind !== 'bound_key')
      return authorities.enrol({ ...what, machine: await newMachineKey(folder), joinState: null })
    const mayBeBound = held || authorities.attempts > 1
    if (mayBeBound && isDoorwardError(error, 'join_refused') && what.id !== null)
      return returned(authorities, what, error)
    throw error
  }
}

interface Admitted {
  readonly admission: Admission
  /** Of the authority that has admitted. */
  readonly address: string
}

type AskedOfAny = Omit<EnrolWith, 'address' | 'signal'>

/** Those that a join string names, asked as everybody asks them: each in an order of its own, and never twice in one enrolment. */
class JoinAuthorities {
  readonly #route: AuthorityRoute
  /** Enrolments that were begun, however they ended. */
  attempts = 0

  constructor({ address, others = [] }: JoinPlace) {
    const placeAt = (enrol: string): RoutedPlace => ({ main: enrol, enrol })
    const places = [address, ...others].map(placeAt)
    this.#route = new AuthorityRoute({
      home: placeAt(address),
      known: () => places,
      seed: String(systemRuntime.chance()),
      monotonic: systemRuntime.monotonic,
    })
  }

  /** Throws as `enrol`: when all fail, that a server is not the authority before that one is out of reach. */
  async enrol(what: AskedOfAny): Promise<Admitted> {
    let impostor: unknown = null
    const attempt = async ({ enrol: address }: RoutedPlace, signal: AbortSignal): Promise<Admitted> => {
      this.attempts++
      try {
        return { admission: await enrol({ ...what, address, signal }), address }
      } catch (error) {
        if (isDoorwardError(error, 'authority_not_pinned')) impostor ??= error
        throw error
      }
    }
    return this.#route.through(attempt, { milliseconds: joinMilliseconds }).catch((error: unknown) => {
      throw impostor !== null && isOfThePlace(error) ? impostor : error
    })
  }
}

async function returned(authorities: JoinAuthorities, what: AskedOfAny, refusal: unknown): Promise<Admitted> {
  try {
    return await authorities.enrol({ ...what, evidence: null })
  } catch (error) {
    // Then it was the evidence that mattered.
    throw isDoorwardError(error, 'join_refused') ? refusal : error
  }
}

async function enrolWith(
  folder: IdentityFolder,
  { place, evidence, options }: Joining,
  machine: P256KeyPair,
): Promise<AskedOfAny> {
  const { trustDomain, rootFingerprint, id } = place
  const { clock = systemClock, scope = 'callers' } = options
  const pin = { trustDomain, rootFingerprint, scope }
  return { pin, machine, clock, id, evidence, joinState: await folder.readJoinState() }
}

/** A folder is one identity: joining it again as the same one is a repair, as another one a mistake. */
async function refuseOther(folder: IdentityFolder, { trustDomain, id }: JoinPlace): Promise<void> {
  const held = await folder.readDescription()
  if (held === null || (held.trustDomain === trustDomain && held.id.uri === id)) return
  throw new DoorwardError('identity_exists', 'this folder already holds another identity', {
    where: folder.path,
    expected: id ?? 'an empty folder',
    got: held.id.uri,
    next: 'join in another folder',
  })
}

async function machineKey(folder: IdentityFolder): Promise<{ key: P256KeyPair; held: boolean }> {
  const held = await folder.readMachineKey()
  return held === null ? { key: await newMachineKey(folder), held: false } : { key: p256KeyPairOf(held), held: true }
}

async function newMachineKey(folder: IdentityFolder): Promise<P256KeyPair> {
  const key = await generateP256()
  await folder.writeMachineKey(key.privateKey)
  return key
}
