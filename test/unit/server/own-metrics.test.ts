/** What both parts count while things happen, and what an authority asks its store. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { epochMillis } from '@doorward/core'
import { denialTable, deny } from '@doorward/enforcement'
import type { DenialCode, Inbound, RecordEntry } from '@doorward/enforcement'
import { collectAuthority, issuedCounter } from '../../../packages/server/src/apps/authority-metrics.ts'
import { OwnMetrics } from '../../../packages/server/src/apps/own-metrics.ts'
import type { AuthorityStatus } from '../../../packages/server/src/authority/status.ts'
import { authorityRows, ownRows } from '../../../packages/server/src/observability/metric-rows.ts'
import type { MetricRow } from '../../../packages/server/src/observability/metrics.ts'

const inbound = { connection: { listener: 'main' } } as Inbound

/** Values above 0 by their labels. */
function counted({ metrics }: OwnMetrics, row: MetricRow): Readonly<Record<string, number>> {
  const cells = [...metrics.numbers(row)].filter(({ cell }) => cell.value > 0)
  return Object.fromEntries(cells.map(({ values, cell }) => [values.join(' '), cell.value]))
}

test('refusals count by listener and code, and whoever watched before still hears of them', () => {
  const own = new OwnMetrics('gateway')
  const heard: string[] = []
  const watch = own.watching({
    refused: (_inbound, { code }) => void heard.push(code),
    identified: () => void heard.push('identified'),
    handshakeRefused: (address, reason) => void heard.push(`${address} ${reason}`),
  })
  for (const code of ['limit_ip', 'limit_ip', 'token_expired'] as const) watch.refused(inbound, deny(code, ''))
  watch.identified({} as Parameters<typeof watch.identified>[0])
  watch.handshakeRefused?.('127.0.0.1', 'tls_version')
  deepEqual(counted(own, ownRows.refusals), { 'main limit_ip': 2, 'main token_expired': 1 })
  deepEqual(counted(own, ownRows.limitHits), { ip: 2 })
  deepEqual(heard, ['limit_ip', 'limit_ip', 'token_expired', 'identified', '127.0.0.1 tls_version'])
})

test('every refusal that asks to come again later counts as a limit', () => {
  const codes = Object.keys(denialTable) as DenialCode[]
  for (const code of codes.filter((one) => denialTable[one].http === 429)) {
    const own = new OwnMetrics('gateway')
    own.watching({ refused: () => undefined, identified: () => undefined }).refused(inbound, deny(code, ''))
    equal(Object.keys(counted(own, ownRows.limitHits)).length, 1, code)
  }
})

test('entries count when they are durable: detections that begin, and what was issued', () => {
  const own = new OwnMetrics('authority')
  let tell: (entry: RecordEntry) => void = () => undefined
  own.countEntries({ onDurable: (listener) => void (tell = listener) }, issuedCounter(own.metrics))
  const entries: readonly RecordEntry[] = [
    { kind: 'detection', body: { detector: 'DT-1', subject: 'a' } },
    { kind: 'detection', body: { detector: 'DT-1', subject: 'a', ended: true } },
    { kind: 'detection', body: { detector: 'denied_rate', subject: 'a', severity: 'high' } },
    { kind: 'detection', body: { detector: 'of nobody', severity: 'of nobody' } },
    { kind: 'issuance', body: { phase: 'intent', serial: '1' } },
    { kind: 'issuance', body: { phase: 'outcome', serial: '1', outcome: 'issued' } },
    { kind: 'issuance', body: { phase: 'outcome', serial: '2', outcome: 'void' } },
    { kind: 'issuance', body: { phase: 'token', token: 'b' } },
    { kind: 'decision', body: {} },
  ]
  for (const entry of entries) tell(entry)
  deepEqual(counted(own, ownRows.detections), { 'DT-1 critical': 1, 'denied_rate high': 1, 'other high': 1 })
  deepEqual(counted(own, authorityRows.issued), { certificate: 1, token: 1 })
  deepEqual(counted(own, ownRows.recordAppends), { decision: 1, issuance: 4, detection: 4 })
})

test('requests to routes count by result; what is no route is other', () => {
  const own = new OwnMetrics('authority')
  const route = { method: 'POST', path: '/v1/token' } as Parameters<typeof own.apiAnswered>[0]['route']
  own.apiAnswered({ route, code: 'allowed', milliseconds: 250 })
  own.apiAnswered({ route, code: 'token_missing', milliseconds: null })
  own.apiAnswered({ route: null, code: 'path_unknown', milliseconds: null })
  own.enrolled('join_refused')
  deepEqual(counted(own, ownRows.apiRequests), {
    'POST /v1/token allowed': 1,
    'POST /v1/token token_missing': 1,
    'other path_unknown': 1,
    'POST /v1/enrol join_refused': 1,
  })
  equal(own.metrics.histogram(ownRows.apiSeconds).cell('POST /v1/token').sum, 0.25)
})

test('a store that does not answer delays no scrape for long, is asked once, and is told', async () => {
  const own = new OwnMetrics('authority')
  let asked = 0
  let answer: (status: AuthorityStatus) => void = () => undefined
  const status = () => {
    asked++
    return new Promise<AuthorityStatus>((resolve) => (answer = resolve))
  }
  const unfit = () => 'no lease'
  collectAuthority(own.metrics, { status, unfit }, { clock: () => epochMillis(1_000_000), patience: 30 })
  const texts = [(await own.port(undefined)).text, (await own.port(undefined)).text]
  for (const text of texts) match(text, /^doorward_store_up 0\ndoorward_store|^doorward_store_up 0$/m)
  match(texts[0] ?? '', /^doorward_authority_serving 0$/m)
  equal(asked, 1)
  const whole = {
    delegation: { expiresAt: 1500 },
    followers: 3,
    straggling: 1,
    workloads: 7,
    certificates: 8,
    alarms: [],
    authorities: [{ live: true }, { live: false }, { live: true }],
    slots: [
      { purpose: 'anchor', state: 'active', dead: false },
      { purpose: 'anchor', state: 'retired', dead: true },
    ],
  }
  const later = own.port(undefined)
  answer(whole as object as AuthorityStatus)
  const { text } = await later
  for (const line of [
    'doorward_store_up 1',
    'doorward_delegation_remaining_seconds 500',
    'doorward_followers_behind 1',
    'doorward_authorities{live="true"} 2',
    'doorward_key_slots{purpose="anchor",state="dead"} 1',
  ])
    ok(text.includes(`\n${line}\n`), line)
})
