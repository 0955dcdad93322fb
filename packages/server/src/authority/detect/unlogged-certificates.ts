/**
 * DT-6: certificates that the store calls released and that the log of their authority does not know, and live ones of
 * identities that are not registered. Each authority answers for its own: it is the only one that knows its log.
 */

import type { EpochSeconds, TrustState } from '@doorward/core'
import { nowSeconds } from '../context.ts'
import type { AuthorityContext } from '../context.ts'
import { raiseDetection } from '../detection.ts'
import type { Ledger } from '../ledger.ts'
import type { IssuedCertificateRow } from '../ports.ts'
import type { Finding } from './finding.ts'

/** Rows that are looked up in one look: the rest waits for the next. */
const MAX_ROWS = 512
const MAX_NAMED = 16
const denialMarginSeconds = 600

export class UnloggedCertificates {
  readonly #context: AuthorityContext
  readonly #ledger: Ledger
  /** Fingerprints of the mirror that are all right. */
  #checked: ReadonlySet<string> = new Set()
  /** The mirror of the newest trust state, by fingerprint. */
  #listed: { readonly issued: TrustState['issued']; readonly fingerprints: ReadonlySet<string> } | null = null

  constructor(context: AuthorityContext, ledger: Ledger) {
    this.#context = context
    this.#ledger = ledger
  }

  /** Denies what is not in our log; true when the trust state has to be published again. Throws as `raiseDetection` and the store. */
  async sweep({ issued }: Pick<TrustState, 'issued'>): Promise<boolean> {
    if (this.#listed?.issued !== issued)
      this.#listed = { issued, fingerprints: new Set(issued.map(({ fingerprint }) => fingerprint)) }
    // Before the log is read, what it does not know means nothing.
    if (!this.#ledger.complete) return false
    const checked = new Set<string>()
    const unknown: string[] = []
    for (const { fingerprint } of issued) {
      if (this.#checked.has(fingerprint) || this.#ledger.hasIssued(fingerprint)) checked.add(fingerprint)
      else unknown.push(fingerprint)
    }
    let denied = false
    for (const fingerprint of unknown.slice(0, MAX_ROWS)) {
      const row = await this.#context.store.issuance.findByFingerprint(fingerprint)
      if (row !== null && this.#isForged(fingerprint, row)) denied = (await this.#deny(row)) || denied
      checked.add(fingerprint)
    }
    this.#checked = checked
    return denied
  }

  /** The trust state that was looked at last speaks of it, be it over or not. */
  lists(fingerprint: string): boolean {
    return this.#listed?.fingerprints.has(fingerprint) === true
  }

  /** What was issued while the store was looked at is in the ledger by now. */
  #isForged(fingerprint: string, { authority }: IssuedCertificateRow): boolean {
    return authority === this.#context.instance && !this.#ledger.hasIssued(fingerprint)
  }

  async #deny({ serial, id, notAfter, fingerprint }: IssuedCertificateRow): Promise<boolean> {
    const now = nowSeconds(this.#context)
    await raiseDetection(this.#context, {
      detector: 'DT-6',
      subject: serial,
      detail: `the store calls certificate ${fingerprint} of ${id} released by this authority, whose log does not know it: somebody has written to the store; its serial is denied`,
    })
    const denial = {
      kind: 'serial',
      value: serial,
      issuedBefore: now,
      lapsesAt: (notAfter + denialMarginSeconds) as EpochSeconds,
      reason: 'not in the log of its authority',
    } as const
    await this.#context.store.revocations.revoke(denial, now)
    return true
  }
}

/** Identities that have live certificates, are not registered, and were not removed either. */
export function unregisteredHolders({ issued, workloads, denied }: TrustState): readonly Finding[] {
  const known = new Set([...workloads.map(({ id }) => id), ...denied.identities.map(({ id }) => id)])
  const strangers = [...new Set(issued.map(({ id }) => id).filter((id) => !known.has(id)))]
  return strangers.slice(0, MAX_NAMED).map((id) => ({
    detector: 'DT-6',
    subject: id,
    detail: `there are live certificates of ${id}, which is neither registered nor removed: somebody has written to the store; nobody accepts them`,
  }))
}
