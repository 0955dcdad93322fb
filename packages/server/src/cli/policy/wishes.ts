/** A part that runs reads its policy anew when SIGHUP or its supervisor asks for it, and says what became of that. */

import type { RunningGateway } from '../../apps/gateway.ts'
import type { PolicyOutcome } from '../../apps/policy-reload-entries.ts'
import { shownOutcome } from '../../apps/policy-reload-entries.ts'
import type { SupervisorLink } from '../../apps/supervision.ts'
import type { CliContext } from '../context.ts'

type Reloading = Pick<RunningGateway, 'reloadPolicy'>

interface Place {
  readonly context: Pick<CliContext, 'onHangup' | 'err'>
  readonly link: SupervisorLink | null
  readonly part: 'authority' | 'gateway'
}

export interface ReloadWishes {
  /** From now on wishes are fulfilled; one that came before is first. */
  serve(running: Reloading): void
}

/** Listens from the start, because a wish before the part serves must neither end it nor be lost. */
export function reloadWishes(place: Place): ReloadWishes {
  let wished: string | null = null
  let running: Reloading | null = null
  const wish = (by: string) => {
    if (running === null) wished = by
    else void fulfil(place, running, by)
  }
  place.context.onHangup(() => wish('SIGHUP'))
  place.link?.onMessage(({ type }) => type === 'reload-policy' && wish('supervisor'))
  return {
    serve(part) {
      running = part
      if (wished !== null) wish(wished)
    },
  }
}

async function fulfil({ context, link, part }: Place, running: Reloading, by: string): Promise<void> {
  const told = await running.reloadPolicy(by)
  // Another reading waits already, and will see what this one would.
  if (told === null) return
  context.err(JSON.stringify({ event: 'policy', part, by, ...shownOutcome(told) }))
  link?.send({ type: 'notice', text: inWords(told) })
}

/** One line. */
export function inWords(told: PolicyOutcome): string {
  switch (told.outcome) {
    case 'changed': {
      const { added, removed, changed } = told.change.policies
      const counts = `${added.length} policies added, ${removed.length} removed, ${changed.length} changed`
      return `the policy has changed: ${counts}${restartOf(told.restart)}`
    }
    case 'unchanged':
      return `the policy is what it was${restartOf(told.restart)}`
    case 'refused': {
      const { code, problems } = told
      const more = problems.length > 1 ? `, and ${problems.length - 1} more` : ''
      return `the new policy is refused and the one before stays: ${code}: ${problems[0] ?? ''}${more}`
    }
  }
}

function restartOf(keys: readonly string[]): string {
  return keys.length === 0 ? '' : `; for a change of ${keys.slice(0, 5).join(', ')} start again`
}
