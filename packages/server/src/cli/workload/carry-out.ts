/** Carries out a plan through the API, step by step; says of every step what became of it. */

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { DoorwardError } from '@doorward/core'
import type { TrustDomain, WorkloadDocument } from '@doorward/core'
import { ServerRefused } from '@doorward/sdk'
import type { AdminClient } from '@doorward/sdk'
import { invited } from './join-file.ts'
import { shortId } from './naming.ts'
import type { PlannedStep } from './plan.ts'
import { explained } from './refusal.ts'

export interface StepResult {
  readonly step: PlannedStep
  readonly outcome:
    | { readonly kind: 'done'; readonly joinFile: string | null }
    | { readonly kind: 'failed'; readonly error: DoorwardError }
    /** Something before it failed in a way that would repeat itself. */
    | { readonly kind: 'untried' }
}

/** The verbs that a plan needs. */
export type Registrar = Pick<AdminClient, 'addWorkload' | 'updateWorkload' | 'removeWorkload' | 'invite'>

export interface Carrying {
  readonly client: Registrar
  readonly trustDomain: TrustDomain
  /** Ids that were removed before return as the same workloads. */
  readonly again: boolean
  /** Folder for join strings of added workloads; none are made without one. */
  readonly outDir: string | null
  readonly signal: AbortSignal
  /** Told as each step ends. */
  readonly onResult: (result: StepResult) => void
}

/** Waits for a limit, never longer than this in one go. */
const MAX_WAIT_SECONDS = 60
const MAX_WAITS = 30

/**
 * A step whose DNS name somebody else still has waits for the others; names that are only handed round are let go first.
 * What the authority refuses fails alone; when it cannot be reached the rest stays untried.
 */
export async function carryOut(steps: readonly PlannedStep[], carrying: Carrying): Promise<readonly StepResult[]> {
  if (carrying.outDir !== null) await mkdir(carrying.outDir, { recursive: true, mode: 0o700 })
  // A workload has one step, which letting go of names may replace.
  const results = new Map<string, StepResult>()
  const end = (result: StepResult) => {
    results.set(result.step.document.id, result)
    carrying.onResult(result)
  }
  let waiting: readonly PlannedStep[] = steps
  let released = false
  while (waiting.length > 0) {
    const { blocked, lost } = await round(waiting, carrying, end)
    if (lost) break
    if (blocked.length === waiting.length) {
      if (released) {
        for (const { step, error } of blocked) end({ step, outcome: { kind: 'failed', error } })
        break
      }
      released = true
      waiting = await release(
        blocked.map(({ step }) => step),
        carrying,
      )
    } else waiting = blocked.map(({ step }) => step)
  }
  return steps.map((step) => {
    const { outcome = { kind: 'untried' } as const } = results.get(step.document.id) ?? {}
    return { step, outcome }
  })
}

interface Blocked {
  readonly step: PlannedStep
  readonly error: DoorwardError
}

async function round(
  steps: readonly PlannedStep[],
  carrying: Carrying,
  end: (result: StepResult) => void,
): Promise<{ readonly blocked: readonly Blocked[]; readonly lost: boolean }> {
  const blocked: Blocked[] = []
  for (const step of steps) {
    try {
      end({ step, outcome: { kind: 'done', joinFile: await patiently(() => take(step, carrying), carrying.signal) } })
    } catch (error) {
      if (carrying.signal.aborted) return { blocked, lost: true }
      if (!(error instanceof DoorwardError)) throw error
      const told = error instanceof ServerRefused ? explained(error) : error
      if (told.code === 'name_taken') blocked.push({ step, error: told })
      else end({ step, outcome: { kind: 'failed', error: told } })
      if (!(error instanceof ServerRefused) && told.code !== 'file_not_written') return { blocked, lost: true }
    }
  }
  return { blocked, lost: false }
}

/** The file of the join string, when one was made. */
async function take(step: PlannedStep, { client, trustDomain, again, outDir }: Carrying): Promise<string | null> {
  const { id, roles, ...rest } = step.document
  switch (step.action) {
    case 'remove':
      await client.removeWorkload(id, step.revision)
      return null
    case 'change':
      await client.updateWorkload(step.document, step.revision)
      return null
    case 'add': {
      const prepare = () => client.addWorkload(id, roles, { ...rest, ...(again ? { again } : {}) })
      if (outDir === null) {
        await prepare()
        return null
      }
      const out = join(outDir, `${shortId(id, trustDomain).replaceAll('/', '+')}.join`)
      await invited(client, id, { out, prepare })
      return out
    }
  }
}

/** Everybody lets go of the names that others wait for, and of nothing else. */
async function release(steps: readonly PlannedStep[], carrying: Carrying): Promise<readonly PlannedStep[]> {
  const out: PlannedStep[] = []
  for (const step of steps) out.push(await released(step, carrying))
  return out
}

async function released(step: PlannedStep, { client, signal }: Carrying): Promise<PlannedStep> {
  if (step.action !== 'change') return step
  const { before, document, revision } = step
  const kept = before.dns_names.filter((name) => document.dns_names.includes(name))
  if (kept.length === before.dns_names.length) return step
  const between: WorkloadDocument = { ...before, dns_names: kept }
  try {
    const { revision: next } = await patiently(() => client.updateWorkload(between, revision), signal)
    return { ...step, before: between, revision: next }
  } catch (error) {
    if (error instanceof ServerRefused) return step
    throw error
  }
}

/** A limit is waited for as long as the authority says; everything else passes. */
export async function patiently<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let waits = 0; ; waits++) {
    try {
      return await work()
    } catch (error) {
      const seconds = error instanceof ServerRefused ? error.retryAfterSeconds : null
      if (seconds === null || waits === MAX_WAITS) throw error
      await sleep(Math.min(seconds, MAX_WAIT_SECONDS) * 1000, undefined, { signal })
    }
  }
}
