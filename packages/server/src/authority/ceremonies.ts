/** Ceremonies as operators reach them: start, watch, give up, show that it has worked. */

import type { NoteSigner, P256Jwk } from '@doorward/core'
import type { CeremonyDriver, CeremonyProgress } from './ceremony-driver.ts'
import { signReport } from './ceremony-report.ts'
import type { ProbeResult, RecoveryReport } from './ceremony-report.ts'
import { abandonCeremony, startCeremony } from './ceremony-start.ts'
import type { NewCeremony } from './ceremony-start.ts'
import type { Ceremony, CeremonySight } from './ceremony.ts'
import { nothingSeen } from './ceremony.ts'
import type { AuthorityContext } from './context.ts'
import { refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'

export interface CeremoniesParts {
  readonly context: AuthorityContext
  readonly driver: CeremonyDriver
  readonly allowedAudience: (audience: string) => boolean
  /** The key of the authority's log. */
  readonly signer: NoteSigner
}

/** One prover at a time: who has asked is given so long before somebody else may. */
const provingMilliseconds = 15_000

/** Who asks for canaries, and for what. */
export interface CanaryAsker {
  readonly publicKey: P256Jwk
  /** SPIFFE ID and certificate of the asker: tokens are bound to it. */
  readonly subject: string
  readonly fingerprint: string
  readonly audiences: readonly string[]
}

export class Ceremonies {
  readonly #parts: CeremoniesParts

  constructor(parts: CeremoniesParts) {
    this.#parts = parts
  }

  start(wanted: NewCeremony, by: string): Promise<Ceremony | AuthorityRefusal> {
    return startCeremony(this.#parts.context, wanted, by)
  }

  abandon(by: string): Promise<Ceremony | AuthorityRefusal> {
    return abandonCeremony(this.#parts.context, by)
  }

  /** The newest one, open or ended. Refusals: `resource_unknown` before the first. */
  async newest(): Promise<CeremonyProgress | AuthorityRefusal> {
    return (await this.#parts.driver.progress()) ?? refuse('resource_unknown', 'there was no ceremony yet')
  }

  /** The old keys of everyone sign once more; they do so by themselves. Refusals: `conflict`, also while somebody else has asked; `audience_unknown`. */
  async askCanary(asker: CanaryAsker, by: string): Promise<Ceremony | AuthorityRefusal> {
    const { context, allowedAudience } = this.#parts
    const open = await this.#settling()
    if ('refused' in open) return open
    if (!asker.audiences.every(allowedAudience)) return refuse('audience_unknown', 'no such audience')
    const askedAt = context.clock()
    const { canary } = open
    if (canary !== null && Math.abs(askedAt - canary.askedAt) < provingMilliseconds)
      return refuse('conflict', 'somebody else is about to try the old keys')
    const body = { change: 'canary.ask', ceremony: open.id, by }
    await context.log.append({ kind: 'admin', body })
    return this.#keep(open, { ...open, canary: { ...asker, askedAt, signed: [] } })
  }

  /** Signs the report of a recovery, which ends it. Refusals: `conflict` before its old keys have signed, or when it has ended. */
  async prove(probes: readonly ProbeResult[], by: string): Promise<RecoveryReport | AuthorityRefusal> {
    const { context, signer } = this.#parts
    const open = await this.#settling()
    if ('refused' in open) return open
    if (open.canary === null) return refuse('conflict', 'the old keys have signed nothing to be tried')
    const at = context.clock()
    const seen = seenAtEnd(open, await this.#parts.driver.progress())
    const report = await signReport(seen, probes, { trustDomain: context.trustDomain, signer, madeAt: at, by })
    const { verdict } = report
    const body = { change: 'ceremony.report', ceremony: open.id, verdict, probes: probes.length, by }
    await context.log.append({ kind: 'admin', body })
    const stages = [...seen.stages, { ...nothingSeen, stage: 'done', at } as const]
    const kept = await this.#keep(open, { ...seen, stage: 'done', stages, report: report.note })
    return 'refused' in kept ? kept : report
  }

  async #settling(): Promise<Ceremony | AuthorityRefusal> {
    const open = await this.#parts.context.store.ceremonies.newest()
    if (open?.kind === 'recover' && open.stage === 'settle') return open
    return refuse(
      'conflict',
      `expected a recovery at settle, got ${open === null ? 'none' : `${open.kind} at ${open.stage}`}`,
    )
  }

  async #keep(before: Ceremony, after: Ceremony): Promise<Ceremony | AuthorityRefusal> {
    const kept = await this.#parts.context.store.ceremonies.advance(before.id, before.stage, after)
    return kept ? after : refuse('conflict', 'the ceremony has gone on meanwhile')
  }
}

function seenAtEnd(open: Ceremony, progress: CeremonyProgress | null): Ceremony {
  const sight: CeremonySight = progress?.ceremony.id === open.id ? progress.sight : nothingSeen
  const { stages } = open
  return { ...open, stages: stages.map((step, index) => (index === stages.length - 1 ? { ...step, ...sight } : step)) }
}
