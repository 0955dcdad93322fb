/** Becoming a workload: by a join string the first time, by the machine key after every certificate has lapsed. */

import { compareStates, DoorwardError, isDoorwardError, parseJoinString, parseSpiffeId } from '@doorward/core'
import type {
  Clock,
  JoinString,
  JsonObject,
  OpenedTrustState,
  SpiffeId,
  TrustAnchors,
  TrustDomain,
  TrustScope,
} from '@doorward/core'
import { trustViewOf } from '@doorward/enforcement'
import { openEnrolment, openProvenTrust } from './enrolment.ts'
import type { Enrolment, EnrolmentPin, ProvenTrust } from './enrolment.ts'
import { IdentityFolder } from './identity-folder.ts'
import type { IdentityDescription } from './identity-folder.ts'
import { acceptIssued } from './issued-certificate.ts'
import { systemClock } from './platform/clock.ts'
import { sha256 } from './platform/hash.ts'
import { generateP256, importP256, p256KeyPairOf } from './platform/p256.ts'
import type { P256KeyPair } from './platform/p256.ts'
import type { Sealer } from './sealer.ts'
import type { Svid } from './svid.ts'

export interface JoinOptions {
  /** The text that the operator handed over. */
  readonly joinString: string
  readonly folder: string
  readonly sealer: Sealer
  /** What of the trust state it will follow: `full` for those who decide about callers. `callers` by default. */
  readonly scope?: TrustScope
  /** https URL of the authority's main listener, for authorities whose answer does not name it. */
  readonly authorityUrl?: string
  readonly clock?: Clock
}

export interface Joined {
  readonly id: SpiffeId
  readonly trustDomain: TrustDomain
  readonly folder: string
  readonly notAfter: number
}

/** A certificate and the trust under which it was accepted. */
export interface Admission {
  readonly svid: Svid
  readonly trust: ProvenTrust
  readonly authorityUrl: string | null
}

/**
 * Joins and writes the identity folder. Nothing but a greeting is sent before the server is proven; the machine key is
 * durable before the token is spent, so that a crash in between leaves a key with which the workload can return.
 * Throws `join_string_invalid`, `identity_exists`, `join_refused`, `authority_not_pinned`, `svid_invalid`,
 * `authority_url_missing`, `folder_not_private`, and the codes of `openEnrolment`.
 */
export async function join(options: JoinOptions): Promise<Joined> {
  const clock = options.clock ?? systemClock
  const invitation = parseJoinString(options.joinString)
  const folder = new IdentityFolder(options.folder, options.sealer)
  await folder.prepare()
  await refuseOther(folder, invitation)
  const { key: machine, held } = await machineKey(folder)
  const scope = options.scope ?? 'callers'
  const admission = await enrolOrReturn(invitation, { machine, clock, scope }, held)
  const authority = admission.authorityUrl ?? options.authorityUrl
  if (authority === undefined) {
    throw new DoorwardError('authority_url_missing', 'the authority did not name its address', {
      next: 'give it beside the join string',
    })
  }
  await store(folder, admission)
  const { id } = admission.svid
  const addresses = { authority, enrol: invitation.address }
  // Last, because a folder with this file counts as joined.
  await folder.writeDescription({
    trustDomain: invitation.trustDomain,
    id,
    rootFingerprint: invitation.rootFingerprint,
    scope,
    addresses,
  })
  return {
    id,
    trustDomain: invitation.trustDomain,
    folder: options.folder,
    notAfter: admission.svid.certificate.notAfter,
  }
}

/**
 * Spends the token. Where an earlier attempt spent it and broke before the answer was stored, the machine key, which was durable
 * before, is bound already: the workload returns by it.
 */
async function enrolOrReturn(
  invitation: JoinString,
  { machine, clock, scope }: Pick<EnrolWith, 'machine' | 'clock'> & { readonly scope: TrustScope },
  mayReturn: boolean,
): Promise<Admission> {
  const { token, spiffeId, address } = invitation
  const pin = { trustDomain: invitation.trustDomain, rootFingerprint: invitation.rootFingerprint, scope }
  const what = { machine, clock, address, pin, expectedId: spiffeId ?? null }
  const named = spiffeId === undefined ? {} : { id: spiffeId }
  if (token === undefined) return enrol(what, (proof) => ({ ...named, ...proof }))
  try {
    return await enrol(what, (proof) => ({ token: token.reveal(), ...proof }))
  } catch (error) {
    if (!mayReturn || spiffeId === undefined || !isDoorwardError(error, 'join_refused')) throw error
    return enrol(what, (proof) => ({ ...named, ...proof }))
  }
}

/** Returns by the machine key: no token, no certificate, no human. The caller holds the renewal lock. Throws as `join`. */
export async function rejoin(
  folder: IdentityFolder,
  description: IdentityDescription,
  clock: Clock,
): Promise<Admission> {
  const key = await folder.readMachineKey()
  if (key === null)
    throw new DoorwardError('machine_key_missing', 'this identity has no machine key to return with', {
      where: folder.path,
      next: 'join again',
    })
  const { trustDomain, rootFingerprint, scope, addresses, id } = description
  const current = (await folder.readTrust())?.version
  const pin = { trustDomain, rootFingerprint, scope, ...(current === undefined ? {} : { current }) }
  const admission = await enrol(
    { address: addresses.enrol, pin, machine: p256KeyPairOf(key), clock, expectedId: id.uri },
    (proof) => ({ id: id.uri, ...proof }),
  )
  await store(folder, admission)
  return admission
}

interface EnrolWith {
  readonly address: string
  readonly pin: EnrolmentPin
  readonly machine: P256KeyPair
  readonly clock: Clock
  readonly expectedId: string | null
}

async function enrol(what: EnrolWith, body: (proof: JsonObject) => JsonObject): Promise<Admission> {
  const { pin } = what
  const key = await generateP256()
  const enrolment = await openEnrolment({ address: what.address, pin, key, clock: what.clock })
  try {
    const answer = await enrolment.submit(what.machine, (proof) =>
      body({ ...proof, machine_key: { ...proof.machine_key } }),
    )
    return admissionOf(answer, { enrolment, what, pin, key })
  } finally {
    enrolment.close()
  }
}

interface Admitting {
  readonly enrolment: Enrolment
  readonly what: EnrolWith
  readonly pin: EnrolmentPin
  readonly key: P256KeyPair
}

function admissionOf(answer: JsonObject, { enrolment, what, pin, key }: Admitting): Admission {
  const { id, certificate, trust_state, authority_url } = answer
  const trust = openProvenTrust(trust_state, pin, what.clock)
  refuseOlder(trust.opened, enrolment.anchors)
  const named = typeof id === 'string' ? parseSpiffeId(id).uri : null
  const expectedId = what.expectedId ?? named
  if (named !== expectedId) {
    throw new DoorwardError('svid_invalid', 'the authority admits another workload than was asked for', {
      expected: expectedId ?? 'an id',
      got: String(named),
    })
  }
  const svid = acceptIssued(certificate, {
    key,
    trustDomain: pin.trustDomain,
    expectedId,
    view: viewOf(trust.opened),
    clock: what.clock,
  })
  return {
    svid,
    trust,
    authorityUrl: typeof authority_url === 'string' && URL.canParse(authority_url) ? authority_url : null,
  }
}

function refuseOlder(opened: OpenedTrustState, anchors: TrustAnchors): void {
  const { delegation, sequence } = opened
  // What callers follow keeps its sequence while only others change.
  const comparable = opened.scope === 'full' ? sequence : anchors.sequence
  if (compareStates({ delegation, sequence: comparable }, anchors) !== 'older' && opened.epoch >= anchors.epoch) return
  throw new DoorwardError('trust_state_rollback', 'the trust state is older than the anchors that came before it', {
    expected: `at least (${anchors.delegation}, ${anchors.sequence}) of epoch ${anchors.epoch}`,
    got: `(${opened.delegation}, ${opened.sequence}) of epoch ${opened.epoch}`,
  })
}

function viewOf(opened: OpenedTrustState): ReturnType<typeof trustViewOf> {
  return trustViewOf(opened.state, 0, { sha256, importP256 })
}

async function store(folder: IdentityFolder, { svid, trust }: Admission): Promise<void> {
  await folder.writeTrust({ version: trust.opened, message: trust.message })
  await folder.writeSvid(svid)
}

/** A folder is one identity: joining it again as the same one is a repair, as another one a mistake. */
async function refuseOther(folder: IdentityFolder, invitation: JoinString): Promise<void> {
  const held = await folder.readDescription()
  if (held === null || (held.trustDomain === invitation.trustDomain && held.id.uri === invitation.spiffeId)) return
  throw new DoorwardError('identity_exists', 'this folder already holds another identity', {
    where: folder.path,
    expected: invitation.spiffeId ?? 'an empty folder',
    got: held.id.uri,
    next: 'join in another folder',
  })
}

async function machineKey(folder: IdentityFolder): Promise<{ key: P256KeyPair; held: boolean }> {
  const held = await folder.readMachineKey()
  if (held !== null) return { key: p256KeyPairOf(held), held: true }
  const key = await generateP256()
  await folder.writeMachineKey(key.privateKey)
  return { key, held: false }
}
