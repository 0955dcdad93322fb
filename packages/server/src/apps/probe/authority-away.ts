/** What is let in while the authority is out of reach: less and less, and then nobody. Needs commands that stop and start it. */

import { spawn } from 'node:child_process'
import { DoorwardError } from '@doorward/core'
import type { StalenessLimits } from '@doorward/core'
import { decisionsIn, judged, notRun, toldBy } from './attempt.ts'
import type { Attempt, Judged } from './attempt.ts'
import { endSession } from './authorization.ts'
import { requestOf } from './request.ts'
import type { Member, Scene } from './scene.ts'
import type { WireMaterial } from './wire.ts'

export interface AuthorityAway {
  /** For /bin/sh: stops the authority. */
  readonly down: string
  /** Starts it again; whatever happens, it is run. */
  readonly up: string
  readonly staleness: StalenessLimits
}

const commandMilliseconds = 60_000
/** Until a gateway that was cut off has a trust state again. */
const backMilliseconds = 90_000
const againMilliseconds = 1000

type Told = Readonly<Record<'served' | 'known' | 'unknown' | 'nobody' | 'back', Judged>>

const titles: Readonly<Record<keyof Told, readonly [title: string, expected: string]>> = {
  served: ['just after the authority went away: served in full', 'allowed'],
  known: ['a while after: whoever was known before is served', 'allowed'],
  unknown: ['a while after: whoever was not known is refused', 'trust_stale'],
  nobody: ['when the trust state is too old: nobody is served', 'trust_stale'],
  back: ['when the authority is back: served again', 'allowed'],
}

export function authorityAttempts(scene: Scene, away: AuthorityAway | null): readonly Attempt[] {
  let told: Promise<Told> | null = null
  return Object.entries(titles).map(([name, [title, expected]]) => ({
    id: `authority-${name}`,
    kind: 'authority',
    title,
    requirement: 'ADR11-REQ-4',
    run: async () => {
      if (away === null)
        return notRun(expected, 'name the commands that stop and start it: --authority-down, --authority-up')
      told ??= withoutAuthority(scene, away)
      return (await told)[name as keyof Told]
    },
  }))
}

interface Shown {
  readonly material: WireMaterial
  readonly token: string
}

async function withoutAuthority(scene: Scene, { down, up, staleness }: AuthorityAway): Promise<Told> {
  const { signal } = scene.options
  const unseen = await shownBy(await scene.admit('unseen'))
  const known = await shownBy(scene.caller)
  try {
    await run(down, '--authority-down')
    const at = performance.now()
    const served = await asked(scene, known, 'allowed')
    const middle = (staleness.fullSeconds + staleness.reducedSeconds) / 2
    await until(at + middle * 1000, signal)
    const reduced = await asked(scene, known, 'allowed')
    const unknown = await asked(scene, unseen, 'trust_stale')
    await until(at + (staleness.reducedSeconds + 2) * 1000, signal)
    const nobody = await asked(scene, known, 'trust_stale')
    await run(up, '--authority-up')
    return { served, known: reduced, unknown, nobody, back: await back(scene) }
  } catch (error) {
    await run(up, '--authority-up')
    throw error
  }
}

async function shownBy(member: Member): Promise<Shown> {
  return { material: member.material(), token: await member.token() }
}

async function asked(scene: Scene, shown: Shown, expected: string): Promise<Judged> {
  const outcome = await scene.send(shown.material, requestOf(scene, shown.token))
  await endSession(scene, outcome, shown)
  return judged(toldBy(outcome) === expected, expected, toldBy(outcome), outcome)
}

async function back(scene: Scene): Promise<Judged> {
  const deadline = performance.now() + backMilliseconds
  const decisions: Judged['decisions'][number][] = []
  for (;;) {
    scene.options.signal.throwIfAborted()
    const shown = await shownBy(scene.caller).catch(() => null)
    const outcome = shown === null ? null : await scene.send(shown.material, requestOf(scene, shown.token))
    if (outcome !== null && shown !== null) await endSession(scene, outcome, shown)
    if (outcome !== null) decisions.push(...decisionsIn(outcome))
    const got = outcome === null ? 'no token' : toldBy(outcome)
    if (got === 'allowed') return { verdict: 'passed', expected: 'allowed', got, decisions }
    if (performance.now() > deadline) return { verdict: 'failed', expected: 'allowed', got, decisions }
    await new Promise((resolve) => setTimeout(resolve, againMilliseconds))
  }
}

async function until(at: number, signal: AbortSignal): Promise<void> {
  while (performance.now() < at) {
    signal.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, Math.min(1000, at - performance.now())))
  }
}

/** Its output is for whoever runs the probe, on standard error. */
async function run(command: string, where: string): Promise<void> {
  const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 2, 2], timeout: commandMilliseconds })
  const ended = await new Promise<number | string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) => resolve(code ?? String(signal)))
  })
  if (ended === 0) return
  throw new DoorwardError('authority_command', 'the command did not end well', {
    where,
    expected: 'exit code 0 within a minute',
    got: String(ended),
    next: 'run it by hand; see that the authority runs again',
  })
}
