/** Starting a ceremony, and giving one up that has changed nothing yet. What follows, every authority does by itself. */

import { epochMillis, hex } from '@doorward/core'
import type { AuthorityContext } from './context.ts'
import { isOpen, nothingSeen } from './ceremony.ts'
import type { Ceremony, CeremonyAuthority, CeremonyKind } from './ceremony.ts'
import { refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'

export interface NewCeremony {
  readonly kind: CeremonyKind
  /** 1 to 500 characters, for the record and the report. */
  readonly reason: string
  /** Recovery alone: the old keys are refused before everyone has new certificates. */
  readonly emergency: boolean
  /** Rotation alone: everyone gets a new certificate now. */
  readonly reissue: boolean
  /** Rotation alone: the old anchors leave the bundle when nothing needs them; implies `reissue`. */
  readonly retire: boolean
  /** Rotation alone: the name of the one authority whose keys are replaced. */
  readonly only: string | null
  /** Recovery alone: names of authorities that get no new keys and are not trusted any more. */
  readonly excluded: readonly string[]
}

const MAX_REASON = 500

/** Opens a ceremony. Refusals: `request_invalid`, `resource_unknown` for a name that no authority has, `conflict` while one is open. */
export async function startCeremony(
  context: AuthorityContext,
  wanted: NewCeremony,
  by: string,
): Promise<Ceremony | AuthorityRefusal> {
  const problem = problemOf(wanted)
  if (problem !== null) return refuse('request_invalid', problem)
  const { store, clock, random, log } = context
  const known = await store.leases.list(clock())
  const unknown = [...wanted.excluded, ...(wanted.only === null ? [] : [wanted.only])].filter(
    (name) => !known.some((entry) => entry.name === name),
  )
  if (unknown.length > 0) return refuse('resource_unknown', `no authority is named ${unknown.join(', ')}`)
  const open = await store.ceremonies.newest()
  if (isOpen(open)) return busy(open)
  // Who was shut out stays so: it comes back with a new state folder, or not at all.
  const shutOut = (open?.excluded ?? []).map(({ instance }) => instance)
  const excluded = known.filter(({ name, instance }) => wanted.excluded.includes(name) || shutOut.includes(instance))
  const domain = await store.domain.read()
  const ceremony = ceremonyOf(wanted, {
    id: hex(random(8)),
    by,
    excluded: excluded.map(({ instance, name }) => ({ instance, name })),
    epoch: (domain?.epoch ?? 1) + (wanted.kind === 'recover' ? 1 : 0),
    // The newest is known by its time, whatever became of the clock.
    now: epochMillis(Math.max(clock(), (open?.startedAt ?? 0) + 1)),
  })
  await log.append({ kind: 'admin', body: { change: 'ceremony.start', ceremony: ceremony.id, ...wanted, by } })
  return (await store.ceremonies.open(ceremony)) ? ceremony : busy(await store.ceremonies.newest())
}

function problemOf({ kind, reason, emergency, reissue, retire, only, excluded }: NewCeremony): string | null {
  if (reason.trim() === '' || reason.length > MAX_REASON) return `expected a reason of 1 to ${MAX_REASON} characters`
  if (kind === 'rotate') return emergency || excluded.length > 0 ? 'only a recovery is an emergency or excludes' : null
  return reissue || retire || only !== null ? 'a recovery replaces and re-issues everything' : null
}

function busy(open: Ceremony | null): AuthorityRefusal {
  return refuse('conflict', `a ceremony is open: ${open?.kind} ${open?.id}, at ${open?.stage}`)
}

interface Opening extends Pick<Ceremony, 'id' | 'by' | 'epoch'> {
  readonly excluded: readonly CeremonyAuthority[]
  readonly now: Ceremony['startedAt']
}

function ceremonyOf(wanted: NewCeremony, { now, ...opening }: Opening): Ceremony {
  const { kind, reason, emergency, retire, only } = wanted
  return {
    ...opening,
    kind,
    stage: 'prepare',
    emergency,
    reissue: kind === 'recover' ? !emergency : wanted.reissue || retire,
    retire,
    reason,
    only,
    authorities: [],
    replaces: [],
    startedAt: now,
    stages: [{ ...nothingSeen, stage: 'prepare', at: now }],
    canary: null,
    report: null,
  }
}

/**
 * Ends a ceremony that has not published anything, or that nobody who takes part is left to go on with. Refusals:
 * `resource_unknown` without an open one, `conflict` past that point.
 */
export async function abandonCeremony(context: AuthorityContext, by: string): Promise<Ceremony | AuthorityRefusal> {
  const { store, log, clock } = context
  const open = await store.ceremonies.newest()
  if (open === null || !isOpen(open)) return refuse('resource_unknown', 'no ceremony is open')
  const { id, stage, authorities } = open
  const late = `the ceremony is at ${stage}: its new keys are out, and it goes on by itself`
  const parts = new Set(authorities.map(({ instance }) => instance))
  const goesOn = (await store.leases.list(clock())).some(({ instance, live }) => live && parts.has(instance))
  if (stage !== 'prepare' && stage !== 'delegate' && goesOn) return refuse('conflict', late)
  await log.append({ kind: 'admin', body: { change: 'ceremony.abandon', ceremony: id, by } })
  const failed = failedCeremony(open, `given up by ${by}`, clock())
  return (await store.ceremonies.advance(id, stage, failed)) ? failed : refuse('conflict', late)
}

export function failedCeremony(ceremony: Ceremony, note: string, at: Ceremony['startedAt']): Ceremony {
  const stages = [...ceremony.stages, { ...nothingSeen, stage: 'failed', at, note } as const]
  return { ...ceremony, stage: 'failed', stages }
}
