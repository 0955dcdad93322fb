/** What has to be right before an authority signs anything: its store is the one that it knows, and its clock is right. */

import { DoorwardError, epochMillis, epochSeconds, fromBase64url, fromUtf8, toMillis } from '@doorward/core'
import type { Clock, EpochMillis } from '@doorward/core'
import { timerSleep } from '@doorward/sdk'
import { ClockGuard } from '../authority/clock-guard.ts'
import { Fitness } from '../authority/fitness.ts'
import type { AuthorityStore } from '../authority/ports.ts'
import { olderStore, openMemory, storeRestored } from './authority-memory.ts'
import type { Memory, OlderStore } from './authority-memory.ts'
import type { AuthorityState } from './authority-state.ts'

export interface FitnessParts {
  readonly state: AuthorityState
  readonly clock: Clock
  /** Milliseconds that pass whatever is done to the clock, and while the machine sleeps. */
  readonly elapsed: () => number
  /** The store has a clock of its own. */
  readonly storeVouches: boolean
  /** The operator knows that an older copy of the store was put back. */
  readonly afterRestore: boolean
  readonly signal: AbortSignal
  /** The clock is not right; nothing happens before it is. */
  readonly onWaiting: (code: string, text: string) => void
}

export interface OpenedFitness {
  readonly fitness: Fitness
  readonly memory: Memory
  /** Set when the store has to be put right first. */
  readonly older: OlderStore | null
}

const waitMilliseconds = 1000

/** Waits until the clock is right. Throws `store_restored`, `store_not_restored`, `stopped`, and the codes of store and log. */
export async function openFitness(parts: FitnessParts): Promise<OpenedFitness> {
  const { state, clock, elapsed } = parts
  const memory = await openMemory(state.recordFolder, clock)
  const older = await olderStore(state.store, memory.ledger)
  if (older !== null && !parts.afterRestore) throw storeRestored(older)
  if (older === null && parts.afterRestore) throw notRestored()
  const guard = new ClockGuard({ clock, elapsed, storeVouches: parts.storeVouches })
  guard.hasReached(memory.newestTime ?? epochMillis(0))
  guard.hasReached(await newestStateTime(state.store))
  guard.heardStore(state.lease.storeAhead)
  await untilRight(parts, guard)
  return { fitness: new Fitness(state.lease, guard), memory, older }
}

function notRestored(): DoorwardError {
  return new DoorwardError('store_not_restored', 'the store is the one that this authority has recorded', {
    next: 'start without --after-restore; nothing has been changed',
  })
}

async function untilRight({ state, clock, signal, onWaiting }: FitnessParts, guard: ClockGuard): Promise<void> {
  let told = ''
  for (;;) {
    const [problem] = guard.problems()
    if (problem === undefined || !problem.stops) return
    if (told !== problem.code) onWaiting(problem.code, problem.text)
    told = problem.code
    await timerSleep(waitMilliseconds, signal)
    if (signal.aborted) throw new DoorwardError('stopped', 'stopped before the clock was right', { got: problem.text })
    await stayAsTold(state, clock)
    guard.heardStore(state.lease.storeAhead)
  }
}

/** What the others know of us stays: whoever has told no key of its own has its anchors taken out of the trust state. */
async function stayAsTold({ store, lease, folder }: FitnessParts['state'], clock: Clock): Promise<void> {
  const before = (await store.leases.list(clock())).find(({ instance }) => instance === folder.stateId)
  await lease.renew(before ?? { place: null, log: null, trustKey: null, trustKeys: [] })
}

/** When the newest trust state was signed, as it says; who may rely on it judges it elsewhere. */
async function newestStateTime(store: AuthorityStore): Promise<EpochMillis> {
  const stored = await store.trust.newest()
  if (stored === null) return epochMillis(0)
  try {
    const { payload } = JSON.parse(stored.message) as { readonly payload: string }
    const { issued_at } = JSON.parse(fromUtf8(fromBase64url(payload) ?? new Uint8Array())) as { issued_at: number }
    return toMillis(epochSeconds(issued_at))
  } catch {
    // What is no trust state is refused by whoever opens it.
    return epochMillis(0)
  }
}
