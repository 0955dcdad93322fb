/** Planned rotations while calls go on: none may fail, and what was answered must have reached the server. */

import { DoorwardError } from '@doorward/core'
import { timerSleep } from '@doorward/sdk'
import type { AdminClient } from '@doorward/sdk'
import { hasEnded } from '../recovery.ts'
import type { Crowd } from './crowd.ts'
import type { Tally } from './crowd-messages.ts'
import type { DrillDomain } from './domain.ts'
import type { EchoServer } from './echo-server.ts'
import type { DrillStep } from './report.ts'

export interface RotationScene {
  readonly domain: DrillDomain
  readonly crowd: Crowd
  readonly echo: EchoServer
  readonly options: { readonly rotations: number; readonly calls: number; readonly signal: AbortSignal }
  readonly record: (step: DrillStep) => void
}

const chunk = 200
const concurrency = 16
const lookMilliseconds = 200
const rotationMilliseconds = 90_000

/** The last rotation gives everyone a new certificate as well. */
export async function rotateUnderCalls({ domain, crowd, echo, options, record }: RotationScene): Promise<void> {
  const { rotations, calls, signal } = options
  if (rotations === 0) return
  const started = performance.now()
  const seen = await echo.calls()
  const tally = { succeeded: 0, failed: 0, codes: new Map<string, number>() }
  for (let i = 1; i <= rotations; i++) {
    const rotating = rotate(domain.admin, i === rotations, signal)
    const over = new AbortController()
    rotating.finally(() => over.abort()).catch(() => undefined)
    while (!over.signal.aborted || tally.succeeded + tally.failed < (calls * i) / rotations)
      add(tally, await crowd.burst(chunk, concurrency))
    await rotating
  }
  const reached = (await echo.calls()) - seen
  const codes = [...tally.codes].map(([code, times]) => `${code} ${times}`).join(', ')
  record({
    step: `planned rotation, ${rotations} times under calls`,
    bar: `0 failed of ${calls}`,
    measured: `${tally.failed} failed of ${tally.succeeded + tally.failed}${codes === '' ? '' : ` (${codes})`}, ${reached} reached the server`,
    milliseconds: performance.now() - started,
    passed: tally.failed === 0 && tally.succeeded >= calls && reached === tally.succeeded,
  })
}

function add(
  sum: { succeeded: number; failed: number; codes: Map<string, number> },
  { succeeded, failed, codes }: Tally,
) {
  sum.succeeded += succeeded
  sum.failed += failed
  for (const [code, times] of Object.entries(codes)) sum.codes.set(code, (sum.codes.get(code) ?? 0) + times)
}

async function rotate(admin: AdminClient, reissue: boolean, signal: AbortSignal): Promise<void> {
  const { id } = await admin.startCeremony({ kind: 'rotate', reason: 'drill', reissue })
  for (const end = performance.now() + rotationMilliseconds; performance.now() < end && !signal.aborted;) {
    const now = await admin.newestCeremony()
    if (now.id === id && now.stage === 'done') return
    if (now.id !== id || hasEnded(now))
      throw new DoorwardError('drill_rotation', 'a planned rotation did not come to its end', { got: now.stage })
    await timerSleep(lookMilliseconds, signal)
  }
  throw new DoorwardError('drill_rotation', 'a planned rotation took too long', { where: id })
}
