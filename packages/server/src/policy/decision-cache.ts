/** Verdicts by everything they depend on, for one policy version. Bounded: two generations, the older is dropped. */

import type { DecisionRequest, Verdict } from '@doorward/core'

const MAX_KEY = 2048

function part(text: string): string {
  return `${text.length}:${text}`
}

/**
 * Principal with roles, chain and strength, action and resource; null when too long to be kept. Parts carry their
 * length, so no two requests share a key. Arguments, time and address are left out because no policy reads them.
 */
export function decisionKey({ principal, action, resource }: DecisionRequest): string | null {
  const { subject } = principal
  const who =
    subject.kind === 'workload' ? `w${part(subject.id.uri)}` : `u${part(subject.issuer)}${part(subject.subject)}`
  const roles = principal.roles.length === 0 ? '' : principal.roles.map(part).join('')
  const act = principal.act.length === 0 ? '' : principal.act.map((id) => part(id.uri)).join('')
  const chain = `${part(principal.presenter.uri)}${principal.roles.length},${roles}${principal.act.length},${act}${principal.strength}`
  const key = `${who}${chain} ${part(action.name)}${action.group} ${part(resource.server)}${resource.kind} ${resource.name}`
  return key.length > MAX_KEY ? null : key
}

export class DecisionCache {
  readonly #half: number
  #young = new Map<string, Verdict>()
  #old: ReadonlyMap<string, Verdict> = new Map()

  /** Holds at most `entries` verdicts; 0 keeps none. */
  constructor(entries: number) {
    this.#half = Math.floor(entries / 2)
  }

  get(key: string): Verdict | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old !== undefined) this.set(key, old)
    return old
  }

  set(key: string, verdict: Verdict): void {
    if (this.#half === 0) return
    if (this.#young.size >= this.#half) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, verdict)
  }
}
