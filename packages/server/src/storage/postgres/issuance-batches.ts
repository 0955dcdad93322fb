/**
 * The verbs of issuing that come in numbers, each as a few statements for all that ask at once: what many workloads wait
 * for at the same time costs hardly more journeys than what one waits for.
 */

import { backdatingSeconds } from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import type { IssuanceIntent, IssuanceLimits, Intended, NextState, ShownState } from '../../authority/ports.ts'
import type { LiveCount } from '../live-count.ts'
import { text, whole } from '../row.ts'
import type { Row } from '../row.ts'
import { lockInstances, offerAll, presentAll } from './instance-batches.ts'
import type { Batch, Transaction } from './transaction.ts'

export interface Intending {
  readonly intent: IssuanceIntent
  readonly limits: IssuanceLimits
  readonly shown: ShownState | undefined
}

/** Neither the serial nor its anchor is denied, and the identity not from a later moment on. */
const undenied = `NOT EXISTS (SELECT 1 FROM denials WHERE kind = 'serial' AND value = issuance.serial)
  AND NOT EXISTS (SELECT 1 FROM denials WHERE kind = 'authority' AND value = issuance.anchor_key_id)
  AND NOT EXISTS (
    SELECT 1 FROM denials WHERE kind = 'identity' AND value = issuance.id AND issued_before > issuance.not_before + ${backdatingSeconds}
  )`
const stands = `EXISTS (SELECT 1 FROM registrations WHERE registrations.id = issuance.id) AND ${undenied}`

/** What came between the decision to issue and the intent, at one look: a renewal is as good as what it renews. */
const standing = `SELECT
  EXISTS (SELECT 1 FROM registrations WHERE id = w.id)::int AS registered,
  (EXISTS (SELECT 1 FROM denials WHERE kind = 'authority' AND value = w.anchor)
    OR EXISTS (SELECT 1 FROM denials WHERE kind = 'serial' AND value = w.predecessor)
    OR EXISTS (
      SELECT 1 FROM denials WHERE kind = 'identity' AND value = w.id
        AND issued_before > ${backdatingSeconds} + least(w.not_before, (SELECT not_before FROM issuance WHERE serial = w.predecessor)))
    OR (w.instance IS NOT NULL AND NOT EXISTS (
      SELECT 1 FROM instances WHERE instances.instance = w.instance AND id = w.id AND locked_at IS NULL)))::int AS denied,
  (SELECT count(*) FROM issuance WHERE id = w.id AND not_after > w.now AND state <> 'void') AS own
FROM json_to_recordset($1) AS w
  (n int, id text, anchor text, instance text, predecessor text, not_before bigint, now bigint)
ORDER BY n`

const countLive = "SELECT count(*) AS n FROM issuance WHERE not_after > $1 AND state = 'released'"

const insert = `INSERT INTO issuance
    (serial, id, anchor_key_id, authority, instance, predecessor, public_key_hash, not_before, not_after, intended_at, state)
  SELECT serial, id, anchor, authority, instance, predecessor, public_key_hash, not_before, not_after, now, 'intended'
  FROM json_to_recordset($1) AS w
    (serial text, id text, anchor text, authority text, instance text, predecessor text, public_key_hash text,
     not_before bigint, not_after bigint, now bigint)
  ON CONFLICT DO NOTHING RETURNING serial`

/** Authorities that issue at the same moment may together go beyond a limit by as many. */
export function intending(live: LiveCount): Batch<Intending, Intended> {
  return {
    run: async (tx, asked) => {
      const outcomes = await judgeShown(tx, asked)
      const admitted = [...asked.keys()].filter((index) => outcomes[index] === undefined)
      const intents = admitted.map((index) => asked[index]!)
      for (const [place, outcome] of (await judgeStanding(tx, intents, live)).entries())
        outcomes[admitted[place]!] = outcome
      await insertAll(tx, asked, outcomes)
      for (const outcome of outcomes) if (outcome === 'intended') live.add()
      return outcomes.map((outcome) => outcome ?? 'denied')
    },
  }
}

/** An outcome for each that may not go on. */
async function judgeShown(tx: Transaction, asked: readonly Intending[]): Promise<(Intended | undefined)[]> {
  const outcomes: (Intended | undefined)[] = asked.map(() => undefined)
  const showing = [...asked.entries()].filter(([, { shown }]) => shown !== undefined)
  const presented = await presentAll(
    tx,
    showing.map(([, { intent, shown }]) => ({
      instance: intent.instance ?? '',
      hash: shown?.hash ?? null,
      now: intent.intendedAt,
    })),
  )
  for (const [place, [index]] of showing.entries()) {
    const one = presented[place]
    if (one !== 'current' && one !== 'confirmed') outcomes[index] = one ?? 'unknown'
  }
  return outcomes
}

async function judgeStanding(
  tx: Transaction,
  asked: readonly Intending[],
  live: LiveCount,
): Promise<readonly Intended[]> {
  if (asked.length === 0) return []
  const rows = await tx.all(standing, JSON.stringify(asked.map(({ intent }, n) => ({ n, ...fieldsOf(intent) }))))
  const outcomes: Intended[] = []
  const own = new Map<string, number>()
  for (const [index, { intent, limits }] of asked.entries()) {
    const { id, intendedAt } = intent
    if (live.isDue(intendedAt, limits.total))
      live.counted(whole((await tx.one(countLive, intendedAt)) ?? {}, 'n'), intendedAt)
    const earlier = own.get(id) ?? 0
    const outcome = outcomeOf(rows[index] ?? {}, earlier, { limits, total: live.most })
    if (outcome === 'intended') own.set(id, earlier + 1)
    outcomes.push(outcome)
  }
  return outcomes
}

function outcomeOf(
  row: Row,
  earlier: number,
  { limits, total }: { readonly limits: IssuanceLimits; readonly total: number },
): Intended {
  if (whole(row, 'registered') === 0) return 'unregistered'
  if (whole(row, 'denied') === 1) return 'denied'
  return whole(row, 'own') + earlier >= limits.perIdentity || total >= limits.total ? 'full' : 'intended'
}

function fieldsOf(intent: IssuanceIntent) {
  const { serial, id, anchorKeyId, authority, instance, predecessor, publicKeyHash, notBefore, notAfter } = intent
  return {
    serial,
    id,
    anchor: anchorKeyId,
    authority,
    instance,
    predecessor,
    public_key_hash: publicKeyHash,
    not_before: notBefore,
    not_after: notAfter,
    now: intent.intendedAt,
  }
}

/** A serial that is there already, or comes twice, is taken. */
async function insertAll(
  tx: Transaction,
  asked: readonly Intending[],
  outcomes: (Intended | undefined)[],
): Promise<void> {
  const intents = asked.flatMap(({ intent }, index) => (outcomes[index] === 'intended' ? [fieldsOf(intent)] : []))
  if (intents.length === 0) return
  const added = new Set((await tx.all(insert, JSON.stringify(intents))).map((row) => text(row, 'serial')))
  for (const [index, { intent }] of asked.entries())
    if (outcomes[index] === 'intended' && !added.delete(intent.serial)) outcomes[index] = 'serial_taken'
}

export interface Committing {
  readonly serial: string
  readonly fingerprint: string
}

const commit = `UPDATE issuance SET state = 'signed', fingerprint = w.fingerprint
  FROM json_to_recordset($1) AS w (serial text, fingerprint text)
  WHERE issuance.serial = w.serial AND state = 'intended' AND ${stands} RETURNING issuance.serial`

export const committing: Batch<Committing, boolean> = {
  run: async (tx, asked) => {
    const first = new Map(asked.toReversed().map((one) => [one.serial, one]))
    const signed = await serialsOf(tx, commit, [...first.values()])
    return asked.map((one) => first.get(one.serial) === one && signed.has(one.serial))
  },
}

const release = `UPDATE issuance SET state = 'released', release_mark = pg_current_xact_id()
  WHERE serial = ANY($1) AND state = 'signed' AND ${stands} RETURNING serial`

export const releasing: Batch<string, boolean> = {
  run: async (tx, serials) => {
    const released = await releaseAll(tx, serials)
    return serials.map((serial) => released.delete(serial))
  },
}

export interface HandingOut {
  readonly serial: string
  readonly next: NextState
  readonly now: EpochSeconds
}

/** `withdraws` where an offer that was not confirmed stands in the way: taking it back denies, which has to be alone. */
export const handingOut: Batch<HandingOut, number | 'locked' | 'void' | 'withdraws'> = {
  run: async (tx, asked) => {
    const held = await lockInstances(
      tx,
      asked.map(({ next }) => next.instance),
    )
    const taken = new Set<string>()
    const stateOf = ({ instance }: NextState) => {
      const one = held.get(instance)
      if (one === undefined || one.locked !== null) return 'locked'
      // Two for one instance at once: the second would withdraw the first.
      return one.offered !== null || taken.size === taken.add(instance).size ? 'withdraws' : 'free'
    }
    const states = asked.map(({ next }) => stateOf(next))
    const free = asked.filter((_, index) => states[index] === 'free')
    const released = await releaseAll(
      tx,
      free.map(({ serial }) => serial),
    )
    const given = free.filter(({ serial }) => released.has(serial))
    const numbers = await offerAll(
      tx,
      given.map(({ serial, next, now }) => ({ serial, ...next, now })),
    )
    return asked.map(({ next }, index) => {
      const state = states[index] ?? 'locked'
      return state === 'free' ? (numbers.get(next.instance) ?? 'void') : state
    })
  },
}

async function releaseAll(tx: Transaction, serials: readonly string[]): Promise<Set<string>> {
  if (serials.length === 0) return new Set()
  return new Set((await tx.all(release, serials)).map((row) => text(row, 'serial')))
}

async function serialsOf(
  tx: Transaction,
  sql: string,
  asked: readonly { readonly serial: string }[],
): Promise<Set<string>> {
  return new Set((await tx.all(sql, JSON.stringify(asked))).map((row) => text(row, 'serial')))
}
