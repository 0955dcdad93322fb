/** Who may tell the authority of forged credentials, and what it makes of it (reference id DT-1). */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { recordOf, removeFolders, startTestAuthority, trustDomain } from '../fixtures/authority/running.ts'
import type { TestAuthority } from '../fixtures/authority/running.ts'
import { call, joined, ownToken } from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'

const id = (path: string) => `spiffe://${trustDomain}/${path}`
let authority: TestAuthority
let gateway: Workload
let agent: Workload

before(async () => {
  authority = await startTestAuthority()
  gateway = await joined(authority, id('doorward/gateway/main'), ['gateway'])
  agent = await joined(authority, id('agent/one'), ['admin'])
})
after(async () => {
  await authority.stop()
  await removeFolders(authority.folders)
})

const sighting = {
  kind: 'certificate',
  key_id: 'a'.repeat(40),
  credential: 'F'.repeat(43),
  claimed: id('agent/victim'),
  reason: 'not_issued',
  unissued: 'F'.repeat(43),
  remote_address: '192.0.2.9',
  listener: 'main',
}

async function tell(workload: Workload, body: object): Promise<readonly [number, string | undefined]> {
  const token = await ownToken(authority, workload)
  const client = await RawClient.open(authority.running.addresses.main, workload)
  const answer = await call(client, token, 'POST /v1/detections', body)
  client.close()
  return [answer.status, answer.headers['doorward-code']]
}

const raised = () =>
  authority.events.flatMap((event) =>
    event.type === 'detection' && event.detection.detector === 'DT-1' ? [event.detection] : [],
  )

test('nobody but a gateway may tell: not even an operator', async () => {
  assert.deepEqual(await tell(agent, { detections: [sighting] }), [403, 'policy_denied'])
  assert.deepEqual(raised(), [])
})

test('what is malformed is refused whole', async () => {
  for (const detections of [
    'all',
    [{ ...sighting, reason: 'because' }],
    [{ ...sighting, kind: 'passport' }],
    [{ ...sighting, more: 1 }],
    [{ ...sighting, key_id: '' }],
    [{ ...sighting, unissued: 7 }],
    [{ ...sighting, claimed: 'x'.repeat(3000) }],
    [sighting, { ...sighting, listener: '' }],
    Array.from({ length: 17 }, () => sighting),
  ])
    assert.deepEqual(
      await tell(gateway, { detections }),
      [400, 'request_invalid'],
      JSON.stringify(detections).slice(0, 80),
    )
  assert.deepEqual(raised(), [])
})

test('a certificate that was released after all, where the mirror was behind, is no alarm', async () => {
  const { fingerprint } = agent.read
  const lagging = { ...sighting, credential: fingerprint, unissued: fingerprint, key_id: 'b'.repeat(40) }
  assert.deepEqual(await tell(gateway, { detections: [lagging] }), [204, 'allowed'])
  assert.deepEqual(raised(), [])
})

test('DT-1: what a gateway tells is an alarm that names it, on record', async () => {
  assert.deepEqual(await tell(gateway, { detections: [sighting] }), [204, 'allowed'])
  const [detection] = raised()
  assert.equal(detection?.subject, sighting.key_id)
  assert.equal(detection?.source, gateway.id)
  for (let turn = 0; ; turn++) {
    const entries = await recordOf(authority.folders)
    const entry = entries.find(({ kind, body }) => kind === 'detection' && body['subject'] === sighting.key_id)
    if (entry?.body['source'] === gateway.id) break
    assert.ok(turn < 200, 'not on record')
    await sleep(25)
  }
})

const finding = {
  detector: 'denied_rate',
  subject: id('agent/victim'),
  severity: 'medium',
  detail: '80 refusals within 60 s',
  since: 1_700_000_000_000,
  ended: false,
}

const found = async () =>
  (await recordOf(authority.folders)).filter(
    ({ kind, body }) => kind === 'detection' && body['detector'] === 'denied_rate',
  )

test('findings about identities: nobody but a gateway may tell, and what is malformed is refused whole', async () => {
  assert.deepEqual(await tell(agent, { v: 2, findings: [finding] }), [403, 'policy_denied'])
  const wrong: readonly object[] = [
    { v: 1, findings: [finding] },
    { v: 3, findings: [finding] },
    { v: 2, findings: 'all' },
    { v: 2, findings: [finding], more: 1 },
    { v: 2, findings: Array.from({ length: 17 }, () => finding) },
    ...[
      { detector: 'DT-1' },
      { detector: 'trust_state_stale' },
      { subject: '192.0.2.1' },
      { subject: 'spiffe://other.example/agent/victim' },
      { severity: 'huge' },
      { detail: '' },
      { detail: 'x'.repeat(401) },
      { since: -1 },
      { since: 1.5 },
      { ended: 'no' },
      { more: 1 },
    ].map((change) => ({ v: 2, findings: [finding, { ...finding, ...change }] })),
  ]
  for (const body of wrong)
    assert.deepEqual(await tell(gateway, body), [400, 'request_invalid'], JSON.stringify(body).slice(0, 120))
  assert.deepEqual(await found(), [])
})

test('a finding is on record as told by that gateway, an alarm, and over once, however often that is told', async () => {
  const told = { v: 2, findings: [finding] }
  const over = { v: 2, findings: [{ ...finding, ended: true }] }
  for (const body of [told, told, over, over]) assert.deepEqual(await tell(gateway, body), [204, 'allowed'])
  const expected = {
    detector: 'denied_rate',
    subject: finding.subject,
    source: gateway.id,
    severity: 'medium',
    since: finding.since,
  }
  for (let looks = 0; (await found()).length < 2 && looks < 100; looks++) await sleep(20)
  assert.deepEqual(
    (await found()).map(({ body }) => body),
    [
      { ...expected, detail: `seen by ${gateway.id}: 80 refusals within 60 s` },
      { ...expected, ended: true },
    ],
  )
})
