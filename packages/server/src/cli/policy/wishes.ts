/** A part that runs reads its files anew when SIGHUP or its supervisor asks for it, and says what became of that. */

import { shownReload } from '../../apps/gateway-reload-entries.ts'
import type { ReloadOutcome } from '../../apps/gateway-reload-entries.ts'
import type { PolicyOutcome } from '../../apps/policy-reload-entries.ts'
import { shownOutcome } from '../../apps/policy-reload-entries.ts'
import type { SupervisorLink } from '../../apps/supervision.ts'
import type { CliContext } from '../context.ts'

/** What became of a reading, for programs and in one line for people. */
export interface Told {
  readonly event: 'configuration' | 'policy'
  readonly shown: object
  readonly words: string
}

/** Null when another reading waits already, which will see what this one would. */
export type Reload = (by: string) => Promise<Told | null>

interface Place {
  readonly context: Pick<CliContext, 'onHangup' | 'err'>
  readonly link: SupervisorLink | null
  readonly part: 'authority' | 'gateway'
}

export interface ReloadWishes {
  /** From now on wishes are fulfilled; one that came before is first. */
  serve(reload: Reload): void
}

/** Listens from the start, because a wish before the part serves must neither end it nor be lost. */
export function reloadWishes(place: Place): ReloadWishes {
  let wished: string | null = null
  let serving: Reload | null = null
  const wish = (by: string) => {
    if (serving === null) wished = by
    else void fulfil(place, serving, by)
  }
  place.context.onHangup(() => wish('SIGHUP'))
  place.link?.onMessage(({ type }) => type === 'reload-policy' && wish('supervisor'))
  return {
    serve(reload) {
      serving = reload
      if (wished !== null) wish(wished)
    },
  }
}

async function fulfil({ context, link, part }: Place, reload: Reload, by: string): Promise<void> {
  const told = await reload(by)
  if (told === null) return
  context.err(JSON.stringify({ event: told.event, part, by, ...told.shown }))
  link?.send({ type: 'notice', text: told.words })
}

export function toldPolicy(outcome: PolicyOutcome | null): Told | null {
  return outcome === null ? null : { event: 'policy', shown: shownOutcome(outcome), words: inWords(outcome) }
}

export function toldReload(outcome: ReloadOutcome | null): Told | null {
  return outcome === null
    ? null
    : { event: 'configuration', shown: shownReload(outcome), words: reloadInWords(outcome) }
}

/** One line. */
function inWords(told: PolicyOutcome): string {
  switch (told.outcome) {
    case 'changed': {
      const { added, removed, changed } = told.change.policies
      const counts = `${added.length} policies added, ${removed.length} removed, ${changed.length} changed`
      return `the policy has changed: ${counts}${restartOf(told.restart)}`
    }
    case 'unchanged':
      return `the policy is what it was${restartOf(told.restart)}`
    case 'refused':
      return `the new policy is refused and the one before stays: ${firstOf(told)}`
  }
}

function reloadInWords(told: ReloadOutcome): string {
  switch (told.outcome) {
    case 'changed': {
      const { changed } = told.change
      const keys = changed.length === 0 ? '' : `the configuration has changed: ${changed.slice(0, 5).join(', ')}`
      const policy = told.policy.outcome === 'changed' ? inWords(told.policy) : ''
      return [keys, policy].filter((text) => text !== '').join('; ')
    }
    case 'unchanged':
      return 'the configuration is what it was'
    case 'refused':
      return `the new configuration is refused and the one before stays: ${firstOf(told)}`
  }
}

function firstOf({ code, problems }: { readonly code: string; readonly problems: readonly string[] }): string {
  const more = problems.length > 1 ? `, and ${problems.length - 1} more` : ''
  return `${code}: ${problems[0] ?? ''}${more}`
}

function restartOf(keys: readonly string[]): string {
  return keys.length === 0 ? '' : `; for a change of ${keys.slice(0, 5).join(', ')} start again`
}
