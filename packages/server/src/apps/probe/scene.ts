/** Who takes part: workloads that are registered for this alone, and removed at the end. */

import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DoorwardError, Secret, workloadId } from '@doorward/core'
import type { TrustState, WorkloadDocument } from '@doorward/core'
import { aesGcmSealer, join as joinDomain, openIdentity } from '@doorward/sdk'
import type { AdminClient, Identity, RevocationSubject, Svid } from '@doorward/sdk'
import type { ProbeLimits } from './configured-limits.ts'
import { HandshakePace } from './handshake-pace.ts'
import type { WireBytes, WireMaterial, WireOptions, WireOutcome, WirePlace } from './wire.ts'
import { say } from './wire.ts'

export interface SceneOptions {
  /** Public URL of the gateway. */
  readonly url: string
  /** Audience of tokens for the authority. */
  readonly authorityUrl: string
  /** A server behind it. */
  readonly server: string
  /** That lets its holder open a session there. */
  readonly role: string
  readonly admin: ProbeAdmin
  readonly operator: Pick<Identity, 'id' | 'trustDomain'>
  /** Lets one that is registered join; what it keeps lies in the folder. */
  readonly joined: (id: string, folder: string) => Promise<Member>
  /** The operators' own paths, and for whom tokens are that open them. */
  readonly administration: readonly Administration[]
  /** As the configuration has them. */
  readonly limits: ProbeLimits
  readonly signal: AbortSignal
}

/** Of the authority, as `AdminClient`. */
export interface ProbeAdmin {
  readonly addWorkload: (
    id: string,
    roles: readonly string[],
    more: AdmittedMore & { readonly again?: true },
  ) => Promise<unknown>
  readonly removeWorkload: (id: string) => Promise<unknown>
  readonly revoke: (subject: RevocationSubject, reason: string) => Promise<unknown>
}

export interface Administration {
  readonly part: 'gateway' | 'authority'
  readonly url: string
  readonly audience: string
}

/** What attempts know of one of them. */
interface MemberIdentity extends Pick<Identity, 'id' | 'trustDomain' | 'close'> {
  readonly credentials: { readonly current: () => Pick<Svid, 'chain' | 'privateKey' | 'certificate'> }
  readonly trustStore: { readonly view: () => { readonly state: Pick<TrustState, 'tokenKeys'> } | null }
}

export interface Member {
  readonly identity: MemberIdentity
  readonly material: () => WireMaterial
  /** For the server; a fresh one, so that its life is what is configured. */
  readonly token: (audience?: string) => Promise<string>
}

/** What is said of one beside its id. */
type AdmittedMore = Partial<Omit<WorkloadDocument, 'id'>>

export interface Scene {
  readonly options: SceneOptions
  readonly place: WirePlace
  readonly host: string
  readonly path: string
  readonly audience: string
  /** Has the role. */
  readonly caller: Member
  /** Has the role as well. */
  readonly other: Member
  /** Is registered, and has none. */
  readonly stranger: Member
  /** Had the role, and was removed before anything is tried. */
  readonly removed: Member & { readonly tokenOfBefore: string }
  /** Registers one more and lets it join. */
  readonly admit: (name: string, more?: AdmittedMore) => Promise<Member>
  /** SPIFFE IDs of all who take part. */
  readonly members: () => readonly string[]
  /** Waits where a limit asks for it, so that what is seen is the refusal that is tried. */
  readonly send: (material: WireMaterial | null, bytes: WireBytes, options?: WireOptions) => Promise<WireOutcome>
  /** The same, without waiting. */
  readonly sendAtOnce: (material: WireMaterial | null, bytes: WireBytes) => Promise<WireOutcome>
}

export function placeOf(url: string): WirePlace {
  const { hostname, port } = new URL(url)
  return { host: hostname.replaceAll(/^\[|\]$/g, ''), port: port === '' ? 443 : Number(port) }
}

const random = (length: number) => new Uint8Array(randomBytes(length))
const busy = new Set(['limit_global', 'limit_ip', 'limit_user', 'overloaded'])
const maxWaits = 8

/** Registers, joins, works and removes again, whatever happens. */
export async function withScene<T>(options: SceneOptions, work: (scene: Scene) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'doorward-probe-'))
  const run = randomBytes(6).toString('hex')
  const made: string[] = []
  const members: Member[] = []
  const add = async (name: string, more: AdmittedMore): Promise<Member> => {
    const id = workloadId(options.operator.trustDomain, 'probe', run, name).uri
    const { roles = [options.role], ...rest } = more
    await options.admin.addWorkload(id, roles, rest)
    made.push(id)
    const member = await options.joined(id, join(folder, name))
    members.push(member)
    return member
  }
  const audience = audienceOf(options)
  const admit: Scene['admit'] = async (name, more = {}) => forServer(await add(name, more), audience)
  try {
    const [caller, other, stranger] = [await admit('caller'), await admit('other'), await admit('stranger', noRoles)]
    const gone = await add('removed', {})
    const removed = { ...gone, tokenOfBefore: await gone.token(audience) }
    await options.admin.removeWorkload(gone.identity.id.uri)
    made.splice(made.indexOf(gone.identity.id.uri), 1)
    const ids = () => members.map(({ identity }) => identity.id.uri)
    return await work(sceneOf(options, { caller, other, stranger, removed, admit, members: ids }))
  } finally {
    for (const { identity } of members) identity.close()
    await rm(folder, { recursive: true, force: true })
    await removeAll(options.admin, made)
  }
}

const noRoles = { roles: [] }

function forServer(member: Member, audience: string): Member {
  return { ...member, token: (other) => member.token(other ?? audience) }
}

/** As every workload joins: by an invitation of the authority. */
export function joinedByInvitation(admin: Pick<AdminClient, 'invite'>, authorityUrl: string): SceneOptions['joined'] {
  return async (id, folder) => {
    const { joinString } = await admin.invite(id)
    const sealer = aesGcmSealer(new Secret(random(32)), random)
    await joinDomain({ joinString: joinString.reveal(), folder, sealer, authorityUrl })
    const identity = await openIdentity({ folder, sealer })
    await identity.prepare()
    return {
      identity,
      material: () => identity.credentials.current(),
      token: async (audience) => (await identity.token(audience ?? '')).reveal(),
    }
  }
}

/** One that cannot be removed keeps none of the others. */
async function removeAll(admin: ProbeAdmin, ids: readonly string[]): Promise<void> {
  const failed: string[] = []
  for (const id of ids) await admin.removeWorkload(id).catch(() => failed.push(id))
  if (failed.length > 0)
    throw new DoorwardError('probe_left', 'workloads of this probe could not be removed', {
      where: failed.join(', '),
      next: `doorward workload remove ${failed[0]}`,
    })
}

function audienceOf({ url, server }: SceneOptions): string {
  return `${url}/mcp/${server}`
}

type Cast = Pick<Scene, 'caller' | 'other' | 'stranger' | 'removed' | 'admit' | 'members'>

function sceneOf(options: SceneOptions, cast: Cast): Scene {
  const url = new URL(options.url)
  const place = placeOf(options.url)
  const pace = new HandshakePace(options.limits.leastHandshakes)
  const paced: Scene['send'] = async (material, bytes, wire) => {
    await pace.take()
    return say(place, material, bytes, wire)
  }
  return {
    options,
    place,
    host: url.host,
    path: `${url.pathname.replace(/\/$/, '')}/mcp/${options.server}`,
    audience: audienceOf(options),
    ...cast,
    sendAtOnce: (material, bytes) => paced(material, bytes),
    send: (material, bytes, wire) => patient(() => paced(material, bytes, wire), options.signal),
  }
}

/** A limit that is met on the way is told by its own attempts. */
async function patient(attempt: () => Promise<WireOutcome>, signal: AbortSignal): Promise<WireOutcome> {
  for (let waits = 0; ; waits++) {
    signal.throwIfAborted()
    const outcome = await attempt()
    const [first] = outcome.answers
    const code = first?.headers.get('doorward-code') ?? ''
    if (first === undefined || !busy.has(code) || waits === maxWaits) return outcome
    const seconds = Math.min(60, Math.max(1, Number(first.headers.get('retry-after') ?? '1')))
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  }
}
