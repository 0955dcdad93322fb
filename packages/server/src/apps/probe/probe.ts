/** The whole probe: registers who takes part, tries everything in turn, and leaves nothing but entries of the record. */

import { DoorwardError, isDoorwardError, isJsonObject } from '@doorward/core'
import type { AdminClient } from '@doorward/sdk'
import { headerAttempts, limitAttempt } from './answers.ts'
import type { Attempt, Judged } from './attempt.ts'
import { authorizationAttempts, baselineAttempt } from './authorization.ts'
import { handshakeAttempts } from './handshakes.ts'
import { messageAttempts } from './messages.ts'
import { recordJudged } from './record.ts'
import { counted } from './report.ts'
import type { ProbeReport, Tried } from './report.ts'
import { withScene } from './scene.ts'
import type { Scene, SceneOptions } from './scene.ts'
import { tokenAttempts } from './tokens.ts'
import { transportAttempts } from './transport.ts'

export interface ProbeOptions extends SceneOptions {
  /** Of the gateway: for its record. */
  readonly gatewayAdmin: AdminClient
  readonly onTried: (tried: Tried, done: number, all: number) => void
}

/** Throws what registering and joining throw, and `probe_baseline` when nothing is let in: then no refusal proves anything. */
export async function probe(options: ProbeOptions): Promise<ProbeReport> {
  const startedAt = new Date().toISOString()
  await reached(options)
  const from = await recordSize(options.gatewayAdmin)
  const attempts = await withScene(options, (scene) => everything(scene, options, from))
  const { url, server, operator } = options
  return {
    url,
    server,
    by: operator.id.uri,
    startedAt,
    endedAt: new Date().toISOString(),
    ...counted(attempts),
    attempts,
  }
}

/** Whoever answers at the URL has to be the gateway, before anything is tried on it. Throws as `Identity.call`. */
async function reached({ operator, url, gatewayId }: ProbeOptions): Promise<void> {
  const response = await operator.call(new URL(`${url}/none`), { method: 'GET', audience: url, expectedId: gatewayId })
  response.body.resume()
}

async function everything(scene: Scene, options: ProbeOptions, from: number): Promise<readonly Tried[]> {
  const attempts = [
    ...(await handshakeAttempts(scene)),
    ...(await tokenAttempts(scene)),
    ...authorizationAttempts(scene),
    ...(await transportAttempts(scene)),
    ...(await messageAttempts(scene)),
    ...(await headerAttempts(scene)),
  ]
  // A call that is let in before and after: what lies between was not refused because everything was.
  const all = [baselineAttempt(scene, 'before'), ...attempts, baselineAttempt(scene, 'after'), limitAttempt(scene)]
  const tried: Tried[] = []
  const told: Judged['decisions'][number][] = []
  const add = (attempt: Omit<Attempt, 'run'>, { decisions, ...judged }: Judged, milliseconds: number) => {
    const { id, kind, title, requirement } = attempt
    tried.push({ id, kind, title, requirement, ...judged, milliseconds })
    told.push(...decisions)
    options.onTried(tried.at(-1)!, tried.length, all.length + 2)
  }
  for (const attempt of all) {
    const started = performance.now()
    add(attempt, await attempt.run(), Math.round(performance.now() - started))
    if (tried.length === 1 && tried[0]?.verdict !== 'passed') throw notLetIn(tried[0]!, options)
  }
  const members = [scene.caller, scene.other, scene.stranger, scene.removed].map(({ identity }) => identity.id.uri)
  const asked = { admin: options.gatewayAdmin, from, told, members, allowed: 2 }
  const record = await whenLimitsAllow(() => recordJudged(asked), options.signal)
  const kind = { kind: 'record', requirement: 'ADR11-REQ-5' } as const
  add(
    { ...kind, id: 'record-entries', title: 'every answer that names an entry stands on the record' },
    record.entries,
    0,
  )
  add({ ...kind, id: 'record-let-in', title: 'nothing was let in but what had to be' }, record.letIn, 0)
  return tried
}

function notLetIn({ got }: Tried, { role, server }: ProbeOptions): DoorwardError {
  return new DoorwardError(
    'probe_baseline',
    'a workload with the role is not let in: no refusal would prove anything',
    {
      where: `server ${server}, role ${role}`,
      expected: 'allowed',
      got,
      next: 'name a role that may use that server with --role, and see that the server runs',
    },
  )
}

/** Entries that the gateway's log has now. */
async function recordSize(admin: AdminClient): Promise<number> {
  const record = (await admin.status())['record']
  const size = isJsonObject(record) ? record['size'] : undefined
  if (typeof size === 'number') return size
  throw new DoorwardError('response_invalid', 'the gateway does not say how long its record is', {
    next: 'use the version of the gateway',
  })
}

const limitWaits = 24

/** This address has just used up its limit, and reading the record is a call like others. */
async function whenLimitsAllow<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let waits = 0; ; waits++) {
    try {
      return await ask()
    } catch (error) {
      if (!isDoorwardError(error) || !error.code.startsWith('limit_') || waits === limitWaits) throw error
      signal.throwIfAborted()
      await new Promise((resolve) => setTimeout(resolve, 5000))
    }
  }
}
