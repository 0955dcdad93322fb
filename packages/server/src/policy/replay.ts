/** Recorded calls decided anew under a candidate: who gains, who loses, and of whom the record does not tell enough. */

import { approversIn, isApprovalDuty } from '@doorward/core'
import type { EntryEnvelope, PolicyJudge } from '@doorward/core'
import { recallCall } from './recalled-call.ts'
import type { RecalledCall } from './recalled-call.ts'

/** `depends`: on arguments, which are not in the record. `asks`: a human would have to approve it, who had not before. */
export type Change = 'gains' | 'loses' | 'asks' | 'depends'

export interface ReplayRow {
  readonly change: Change
  readonly caller: string
  readonly action: string
  /** `<server>/<name>`. */
  readonly resource: string
  readonly calls: number
  /** For the operator: what the candidate says. */
  readonly why: string
}

export interface ReplayReport {
  /** Decisions of policy that were decided anew. */
  readonly calls: number
  readonly same: number
  /** Entries that are no decisions of policy. */
  readonly skipped: number
  readonly rows: readonly ReplayRow[]
  /** Calls that differ beyond the rows that are kept. */
  readonly more: number
}

const MAX_ROWS = 10_000

export class Replay {
  readonly #judge: PolicyJudge
  readonly #rows = new Map<string, ReplayRow>()
  #calls = 0
  #same = 0
  #skipped = 0
  #more = 0

  constructor(judge: PolicyJudge) {
    this.#judge = judge
  }

  add(entry: EntryEnvelope): void {
    const call = recallCall(entry)
    if (call === null) {
      this.#skipped++
      return
    }
    this.#calls++
    const change = this.#changeOf(call)
    if (change === null) this.#same++
    else this.#note(change, call)
  }

  report(): ReplayReport {
    const order: Readonly<Record<Change, number>> = { gains: 0, loses: 1, asks: 2, depends: 3 }
    const rows = [...this.#rows.values()].toSorted((a, b) => order[a.change] - order[b.change] || b.calls - a.calls)
    return { calls: this.#calls, same: this.#same, skipped: this.#skipped, rows, more: this.#more }
  }

  #changeOf({ request, decided, approval }: RecalledCall): Change | null {
    const now = this.#judge.list(request)
    if (now === 'depends') return 'depends'
    if (now === decided) return now === 'allow' && !approval && this.#asks(request) ? 'asks' : null
    return now === 'allow' ? 'gains' : 'loses'
  }

  #asks(request: RecalledCall['request']): boolean {
    const verdict = this.#judge.decide(request)
    return verdict.effect === 'allow' && approversIn(verdict.obligations).length > 0
  }

  #note(change: Change, { request }: RecalledCall): void {
    const { principal, action, resource } = request
    const { subject, presenter } = principal
    const behalf = subject.kind === 'user' ? `${subject.issuer}#${subject.subject}` : subject.id.uri
    const caller = behalf === presenter.uri ? behalf : `${presenter.uri} for ${behalf}`
    const place = `${resource.server}/${resource.name}`
    const key = JSON.stringify([change, caller, action.name, place])
    const known = this.#rows.get(key)
    if (known !== undefined) this.#rows.set(key, { ...known, calls: known.calls + 1 })
    else if (this.#rows.size >= MAX_ROWS) this.#more++
    else {
      const why = this.#whyOf(change, request)
      this.#rows.set(key, { change, caller, action: action.name, resource: place, calls: 1, why })
    }
  }

  #whyOf(change: Change, request: RecalledCall['request']): string {
    if (change === 'depends') return 'a policy looks at arguments, which the record does not hold'
    const verdict = this.#judge.decide(request)
    if (verdict.effect === 'deny') return verdict.explanation
    if (change !== 'asks') return verdict.policies.join(', ')
    return verdict.obligations
      .filter(isApprovalDuty)
      .map(({ by, rules }) => `${by}: ${rules.join(', ')}`)
      .join('; ')
  }
}
