/** The whole probe: registers who takes part, tries everything in turn, and leaves nothing but entries of the record. */

import { DoorwardError, isDoorwardError, isJsonObject } from '@doorward/core'
import type { AdminClient } from '@doorward/sdk'
import { headerAttempts } from './answers.ts'
import { kinds } from './attempt.ts'
import type { Attempt, Judged } from './attempt.ts'
import { authorityAttempts } from './authority-away.ts'
import type { AuthorityAway } from './authority-away.ts'
import { authorizationAttempts, baselineAttempt } from './authorization.ts'
import { expiryAttempts } from './expiry.ts'
import { handshakeAttempts } from './handshakes.ts'
import { limitAttempts } from './limits.ts'
import { messageAttempts } from './messages.ts'
import { recordJudged } from './record.ts'
import { counted } from './report.ts'
import type { ProbeReport, Tried } from './report.ts'
import { withScene } from './scene.ts'
import type { Scene, SceneOptions } from './scene.ts'
import { standingAttempts } from './standing.ts'
import { Stateless } from './stateless.ts'
import { tokenAttempts } from './tokens.ts'
import { transportAttempts } from './transport.ts'

export interface ProbeOptions extends SceneOptions {
  /** Whoever answers at the URL has to be the gateway, before anything is tried on it. Throws as `Identity.call`. */
  readonly reached: (url: string) => Promise<void>
  /** Of the gateway: for its record. */
  readonly gatewayAdmin: Pick<AdminClient, 'record' | 'status'>
  /** Attempts or kinds; all of them by default. Baseline and record are always tried. */
  readonly only?: readonly string[]
  /** Waits for the end of what is held; not by default. */
  readonly patient?: boolean
  /** How the authority is stopped and started; without it what happens then is not tried. */
  readonly authorityAway?: AuthorityAway | null
  readonly onTried: (tried: Tried, done: number, all: number) => void
}

/** Throws what registering and joining throw, and `probe_baseline` when nothing is let in: then no refusal proves anything. */
export async function probe(options: ProbeOptions): Promise<ProbeReport> {
  const startedAt = new Date().toISOString()
  await options.reached(options.url)
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

async function everything(scene: Scene, options: ProbeOptions, from: number): Promise<readonly Tried[]> {
  const expiry = expiryAttempts(scene, options.patient === true)
  const stateless = new Stateless(scene)
  const found = [
    ...(await handshakeAttempts(scene)),
    ...(await tokenAttempts(scene)),
    ...standingAttempts(scene),
    ...authorizationAttempts(scene, stateless),
    ...(await transportAttempts(scene)),
    ...(await messageAttempts(scene, stateless)),
    ...(await headerAttempts(scene)),
    ...expiry.attempts,
  ]
  const last = [...authorityAttempts(scene, options.authorityAway ?? null), ...limitAttempts(scene)]
  const isChosen = chooser([...found, ...last], options.only ?? [])
  const expires = expiry.attempts.some(isChosen)
  // A call that is let in before and after: what lies between was not refused because everything was.
  const [before, after] = [baselineAttempt(scene, 'before'), baselineAttempt(scene, 'after')]
  const all = [before, stateless.attempt, ...found.filter(isChosen), after, ...last.filter(isChosen)]
  const trial = new Trial(options, all.length + 2)
  for (const attempt of all) {
    await trial.run(attempt)
    if (attempt !== before) continue
    if (trial.tried[0]?.verdict !== 'passed') throw notLetIn(trial.tried[0]!, options)
    if (expires) trial.tell(await expiry.begin())
  }
  await trial.record(scene, from)
  return trial.tried
}

/** Without these the others prove nothing. */
const always = ['baseline-before', 'baseline-stateless', 'baseline-after', 'record-entries', 'record-let-in']

/** Throws `attempt_unknown` for a name of nothing. */
function chooser(attempts: readonly Attempt[], only: readonly string[]): (attempt: Attempt) => boolean {
  const ids = new Set([...attempts.map(({ id }) => id), ...always])
  const unknown = only.find((name) => !ids.has(name) && !(kinds as readonly string[]).includes(name))
  if (unknown !== undefined)
    throw new DoorwardError('attempt_unknown', 'no attempt or kind of attempts has this name', {
      where: '--only',
      expected: kinds.join(', '),
      got: unknown,
      next: 'doorward probe --json lists all attempts',
    })
  // One after the other while the authority is away: none of them can be left out.
  const away = only.some((name) => name.startsWith('authority-'))
  return ({ id, kind }) =>
    only.length === 0 || only.includes(id) || only.includes(kind) || (away && kind === 'authority')
}

/** What has become of each attempt so far. */
class Trial {
  readonly tried: Tried[] = []
  readonly #told: Judged['decisions'][number][] = []
  readonly #options: ProbeOptions
  readonly #all: number
  /** Calls that had to be let in. */
  #allowed = 0

  constructor(options: ProbeOptions, all: number) {
    this.#options = options
    this.#all = all
  }

  async run(attempt: Attempt): Promise<void> {
    const started = performance.now()
    const judged = await attempt.run()
    this.#add(attempt, judged, Math.round(performance.now() - started))
  }

  async record(scene: Scene, from: number): Promise<void> {
    const { gatewayAdmin: admin, signal } = this.#options
    const asked = { admin, from, told: [...this.#told], members: scene.members(), allowed: this.#allowed }
    const { entries, letIn } = await whenLimitsAllow(() => recordJudged(asked), signal)
    const kind = { kind: 'record', requirement: 'ADR11-REQ-5' } as const
    const title = 'every answer that names an entry stands on the record'
    this.#add({ ...kind, id: 'record-entries', title }, entries, 0)
    this.#add({ ...kind, id: 'record-let-in', title: 'nothing was let in but what had to be' }, letIn, 0)
  }

  /** `due`: those of them that were let in had to be. */
  tell(decisions: Judged['decisions'], due = true): void {
    this.#told.push(...decisions)
    if (due) this.#allowed += decisions.filter(({ code }) => code === 'allowed').length
  }

  #add(attempt: Omit<Attempt, 'run'>, { decisions, ...judged }: Judged, milliseconds: number): void {
    const { id, kind, title, requirement } = attempt
    const tried = { id, kind, title, requirement, ...judged, milliseconds }
    this.tried.push(tried)
    this.tell(decisions, judged.verdict !== 'failed')
    this.#options.onTried(tried, this.tried.length, this.#all)
  }
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
async function recordSize(admin: ProbeOptions['gatewayAdmin']): Promise<number> {
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
