/** Who takes part: workloads that are registered for this alone, and removed at the end. */

import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DoorwardError, Secret, workloadId } from '@doorward/core'
import type { SpiffeId } from '@doorward/core'
import { aesGcmSealer, join as joinDomain, openIdentity } from '@doorward/sdk'
import type { AdminClient, Identity } from '@doorward/sdk'
import type { WireMaterial, WireOptions, WireOutcome, WirePlace } from './wire.ts'
import { say } from './wire.ts'

export interface SceneOptions {
  /** Public URL of the gateway. */
  readonly url: string
  readonly authorityUrl: string
  /** A server behind it. */
  readonly server: string
  /** That lets its holder open a session there. */
  readonly role: string
  readonly gatewayId: SpiffeId
  readonly admin: AdminClient
  readonly operator: Identity
  readonly signal: AbortSignal
}

export interface Member {
  readonly identity: Identity
  readonly material: () => WireMaterial
  /** For the server; a fresh one, so that its life is what is configured. */
  readonly token: (audience?: string) => Promise<string>
}

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
  /** Waits where a limit asks for it, so that what is seen is the refusal that is tried. */
  readonly send: (
    material: WireMaterial | null,
    bytes: string | Uint8Array | null,
    options?: WireOptions,
  ) => Promise<WireOutcome>
  /** The same, without waiting. */
  readonly sendAtOnce: (material: WireMaterial | null, bytes: string | Uint8Array | null) => Promise<WireOutcome>
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
  const add = async (name: string, roles: readonly string[]): Promise<Member> => {
    const id = workloadId(options.operator.trustDomain, 'probe', run, name).uri
    await options.admin.addWorkload(id, roles)
    made.push(id)
    const member = await joined(options, id, join(folder, name))
    members.push(member)
    return member
  }
  try {
    const { role } = options
    const [caller, other, stranger] = [
      await add('caller', [role]),
      await add('other', [role]),
      await add('stranger', []),
    ]
    const gone = await add('removed', [role])
    const removed = { ...gone, tokenOfBefore: await gone.token(audienceOf(options)) }
    await options.admin.removeWorkload(gone.identity.id.uri)
    made.splice(made.indexOf(gone.identity.id.uri), 1)
    return await work(sceneOf(options, { caller, other, stranger, removed }))
  } finally {
    for (const { identity } of members) identity.close()
    await rm(folder, { recursive: true, force: true })
    await removeAll(options.admin, made)
  }
}

async function joined({ admin, authorityUrl }: SceneOptions, id: string, folder: string): Promise<Member> {
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

/** One that cannot be removed keeps none of the others. */
async function removeAll(admin: AdminClient, ids: readonly string[]): Promise<void> {
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

function sceneOf(options: SceneOptions, cast: Pick<Scene, 'caller' | 'other' | 'stranger' | 'removed'>): Scene {
  const url = new URL(options.url)
  const place = { host: url.hostname.replaceAll(/^\[|\]$/g, ''), port: url.port === '' ? 443 : Number(url.port) }
  const path = `${url.pathname.replace(/\/$/, '')}/mcp/${options.server}`
  const audience = audienceOf(options)
  const forServer = (member: Member): Member => ({ ...member, token: (other) => member.token(other ?? audience) })
  return {
    options,
    place,
    host: url.host,
    path,
    audience,
    caller: forServer(cast.caller),
    other: forServer(cast.other),
    stranger: forServer(cast.stranger),
    removed: cast.removed,
    sendAtOnce: (material, bytes) => say(place, material, bytes),
    send: (material, bytes, wire) => patient(() => say(place, material, bytes, wire), options.signal),
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
