/** One enrolment, up to a certificate that is accepted under a trust that is proven; and the return by machine key and join state. */

import { compareStates, DoorwardError, jwkThumbprint, parseSpiffeId, readJoinState, Secret } from '@doorward/core'
import type { Clock, JsonObject, JsonValue, OpenedTrustState, TrustAnchors } from '@doorward/core'
import { trustViewOf } from '@doorward/enforcement'
import type { AuthorityRoute } from './authority-route.ts'
import { openEnrolment, openProvenTrust } from './enrolment.ts'
import type { Enrolment, EnrolmentPin, ProvenTrust } from './enrolment.ts'
import { evidenceMessage } from './evidence.ts'
import type { Evidence } from './evidence.ts'
import type { IdentityDescription, IdentityFolder, JoinState } from './identity-folder.ts'
import { acceptIssued } from './issued-certificate.ts'
import { sha256 } from './platform/hash.ts'
import { generateP256, importP256, p256KeyPairOf } from './platform/p256.ts'
import type { P256KeyPair } from './platform/p256.ts'
import type { Svid } from './svid.ts'

/** A certificate, what has to be shown for the next one, and the trust under which it was accepted. */
export interface Admission {
  readonly svid: Svid
  readonly joinState: JoinState | null
  readonly trust: ProvenTrust
  readonly authorityUrl: string | null
}

export interface EnrolWith {
  /** host:port */
  readonly address: string
  readonly pin: EnrolmentPin
  readonly machine: P256KeyPair
  readonly clock: Clock
  /** SPIFFE ID; null where the evidence alone says it. */
  readonly id: string | null
  /** Null for a return. */
  readonly evidence: Evidence | null
  readonly joinState: JoinState | null
  /** Ends the exchange. */
  readonly signal?: AbortSignal
}

/**
 * Connects, proves the server, and only then sends the machine key's proof, the evidence and the join state. Stores
 * nothing. Throws `join_refused`, `instance_locked`, `svid_invalid`, `trust_state_rollback`, and the codes of
 * `openEnrolment`.
 */
export async function enrol(what: EnrolWith): Promise<Admission> {
  const { pin, machine, clock, address, signal } = what
  const key = await generateP256()
  const enrolment = await openEnrolment({ address, pin, key, clock, ...(signal === undefined ? {} : { signal }) })
  try {
    const answer = await enrolment.submit(machine, async (proof, exported) => ({
      ...proof,
      machine_key: { ...proof.machine_key },
      ...(what.id === null ? {} : { id: what.id }),
      ...(pin.scope === 'full' ? { scope: pin.scope } : {}),
      ...(what.evidence === null
        ? {}
        : { evidence: await evidenceMessage(what.evidence, { machineKey: machine.jwk, exported }) }),
      ...shownState(what),
    }))
    return admissionOf(answer, { enrolment, what, key })
  } finally {
    enrolment.close()
  }
}

/** A join state belongs to one machine key: with another one there is none yet. */
function shownState({ joinState, machine }: EnrolWith): JsonObject {
  return joinState?.machineKey === jwkThumbprint(machine.jwk, sha256) ? { join_state: joinState.value.reveal() } : {}
}

export interface Return {
  readonly folder: IdentityFolder
  readonly description: IdentityDescription
  readonly clock: Clock
  /** Which of the authorities is asked. */
  readonly route: Pick<AuthorityRoute, 'through'>
}

/** Returns by machine key and join state: no evidence, no certificate, no human. The caller holds the renewal lock, and stores. Throws as `enrol`, and `machine_key_missing`. */
export async function rejoin({ folder, description, clock, route }: Return): Promise<Admission> {
  const key = await folder.readMachineKey()
  if (key === null)
    throw new DoorwardError('machine_key_missing', 'this identity has no machine key to return with', {
      where: folder.path,
      next: 'join again',
    })
  const { trustDomain, rootFingerprint, scope, id } = description
  const current = (await folder.readTrust())?.version
  const what = {
    pin: { trustDomain, rootFingerprint, scope, ...(current === undefined ? {} : { current }) },
    machine: p256KeyPairOf(key),
    clock,
    id: id.uri,
    evidence: null,
    joinState: await folder.readJoinState(),
  }
  return route.through((place, signal) => enrol({ ...what, address: place.enrol, signal }))
}

interface Admitting {
  readonly enrolment: Enrolment
  readonly what: EnrolWith
  readonly key: P256KeyPair
}

function admissionOf(answer: JsonObject, { enrolment, what, key }: Admitting): Admission {
  const { id, certificate, trust_state, authority_url, join_state } = answer
  const { pin, clock } = what
  const trust = openProvenTrust(trust_state, pin, clock)
  refuseOlder(trust.opened, enrolment.anchors)
  const named = typeof id === 'string' ? parseSpiffeId(id).uri : null
  const expectedId = what.id ?? named
  if (named !== expectedId) {
    throw new DoorwardError('svid_invalid', 'the authority admits another workload than was asked for', {
      expected: expectedId ?? 'an id',
      got: String(named),
    })
  }
  const view = trustViewOf(trust.opened.state, 0, { sha256, importP256 })
  return {
    svid: acceptIssued(certificate, { key, trustDomain: pin.trustDomain, expectedId, view, clock }),
    joinState: joinStateOf(join_state, jwkThumbprint(what.machine.jwk, sha256)),
    trust,
    authorityUrl: typeof authority_url === 'string' && URL.canParse(authority_url) ? authority_url : null,
  }
}

/** What an authority has sent as join state; null when it sent none. */
export function joinStateOf(value: JsonValue | undefined, machineKey: string): JoinState | null {
  const parts = typeof value === 'string' ? readJoinState(value) : null
  if (typeof value !== 'string' || parts === null) return null
  return { value: new Secret(value), number: parts.number, machineKey }
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
