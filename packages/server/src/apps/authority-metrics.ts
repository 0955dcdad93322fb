/** What an authority counts beside its requests, and reads off itself and its store for each scrape. */

import { freshness, toSeconds } from '@doorward/core'
import type { Clock, EpochMillis, StalenessLimits } from '@doorward/core'
import type { TrustHolder } from '@doorward/enforcement'
import { timerSleep } from '@doorward/sdk'
import type { Authority } from '../authority/authority.ts'
import type { AuthorityStatus } from '../authority/status.ts'
import { authorityRows } from '../observability/metric-rows.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { AuthorityState } from './authority-state.ts'
import type { OwnIdentity } from './authority-identity.ts'
import type { OwnFacts } from './own-gauges.ts'
import type { IssuedKind } from './own-metrics.ts'

/** Counts what was issued. */
export function issuedCounter(metrics: Metrics): (kind: IssuedKind) => void {
  const issued = metrics.numbers(authorityRows.issued)
  const kinds = ['certificate', 'token', 'jwt-svid'] as const
  const cells = new Map(kinds.map((kind) => [kind, issued.cell(kind)]))
  return (kind) => cells.get(kind)?.add()
}

export interface AuthorityFacts {
  readonly state: Pick<AuthorityState, 'record'>
  readonly holder: TrustHolder
  readonly own: Pick<OwnIdentity, 'notAfter'>
  readonly clock: Clock
  readonly staleness: StalenessLimits
}

/** As the metrics read them. */
export function authorityFacts({ state, holder, own, clock, staleness }: AuthorityFacts) {
  return {
    record: state.record,
    trust: holder,
    trustState: () => (holder.current() === null ? 'none' : freshness(holder.ageSeconds(), staleness)),
    certificateSeconds: () => own.notAfter() - toSeconds(clock()),
  } satisfies Partial<OwnFacts>
}

/** A scrape waits no longer for the store: Prometheus gives up after ten seconds by itself, and would then learn nothing. */
const PATIENCE_MILLISECONDS = 3000

/**
 * Asks the store once for each scrape, and never twice at a time. One that does not answer within `patience` milliseconds, 3000 by
 * default, leaves nothing but that.
 */
export function collectAuthority(
  metrics: Metrics,
  authority: Pick<Authority, 'status' | 'unfit'>,
  { clock, patience = PATIENCE_MILLISECONDS }: { readonly clock: Clock; readonly patience?: number },
): void {
  let asking: Promise<AuthorityStatus | null> | null = null
  metrics.onScrape(async () => {
    metrics.set(authorityRows.serving, authority.unfit() === null ? 1 : 0)
    const began = performance.now()
    asking ??= authority
      .status()
      .catch(() => null)
      .finally(() => (asking = null))
    const status = await within(asking, patience)
    metrics.set(authorityRows.storeUp, status === null ? 0 : 1)
    metrics.set(authorityRows.storeSeconds, (performance.now() - began) / 1000)
    if (status !== null) collectStatus(metrics, status, toSeconds(clock()))
  })
}

export function collectFront(metrics: Metrics, ends: () => EpochMillis | null, now: Clock): void {
  metrics.onScrape(() => {
    const end = ends()
    const left = end === null ? 0 : Math.max(0, Math.floor((end - now()) / 1000))
    metrics.numbers(authorityRows.frontCertificateSeconds).cell('front').value = left
  })
}

async function within<T>(asked: Promise<T>, milliseconds: number): Promise<T | null> {
  const answered = new AbortController()
  const late = timerSleep(milliseconds, answered.signal).then(() => null)
  try {
    return await Promise.race([asked, late])
  } finally {
    answered.abort()
  }
}

function collectStatus(metrics: Metrics, status: AuthorityStatus, now: number): void {
  metrics.set(authorityRows.delegationSeconds, status.delegation.expiresAt - now)
  metrics.set(authorityRows.followers, status.followers)
  metrics.set(authorityRows.behind, status.straggling)
  metrics.set(authorityRows.workloads, status.workloads)
  metrics.set(authorityRows.certificates, status.certificates)
  metrics.set(authorityRows.alarms, status.alarms.length)
  const authorities = metrics.numbers(authorityRows.authorities)
  for (const live of [true, false])
    authorities.cell(String(live)).value = status.authorities.filter((one) => one.live === live).length
  const slots = metrics.numbers(authorityRows.slots)
  slots.clear()
  for (const { purpose, state, dead } of status.slots) slots.cell(purpose, dead ? 'dead' : state).add()
}
