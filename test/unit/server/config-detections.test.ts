/** Configuration of detectors and of those who hear of findings. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { detectors } from '@doorward/core'
import { detectorNames } from '@doorward/enforcement'
import { alertPlaces } from '../../../packages/server/src/config/audit-exports.ts'
import { defaultDetections, detectionSettings } from '../../../packages/server/src/config/detections.ts'
import { parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { ConfigurationError } from '../../../packages/server/src/config/problem.ts'

const read = (text: string) => parseConfiguration(`trust_domain: acme.example\n${text}`, 'doorward.yaml')

function problemsOf(text: string): readonly (readonly [string, string])[] {
  try {
    read(text)
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigurationError)
    return error.problems.map(({ path, message }) => [path, message])
  }
}

test('every detector is on by default, and one that is switched off is named', () => {
  assert.deepEqual(defaultDetections.off, [])
  assert.deepEqual(defaultDetections.refusals.authenticationFailures, { enabled: true, count: 20, seconds: 60 })
  const settings = detectionSettings(
    read(
      'detections: { clock_step: { enabled: false }, denied_rate: { enabled: false }, renewal_late: { percent: 60 } }',
    ),
  )
  assert.deepEqual([...settings.off].toSorted(), ['clock_step', 'denied_rate'])
  assert.deepEqual([settings.clockSeconds, settings.refusals.deniedRate, settings.renewalPercent], [null, null, 60])
  assert.ok(settings.refusals.deniedRateAll !== null)
})

test('every detector by rate and state is one that a webhook may ask for', () => {
  assert.deepEqual(
    detectorNames.filter((name) => !(name in detectors)),
    [],
  )
})

const webhook = 'name: ops, url: "https://x.example/", secret_file: s'
const wrong: readonly (readonly [string, string, string])[] = [
  ['detections: { denied: {} }', 'detections.denied', 'unknown key'],
  ['detections: { denied_rate: { count: 5 } }', 'detections.denied_rate.count', 'unknown key'],
  ['detections: { authentication_failures: { count: 0 } }', 'detections.authentication_failures.count', 'too small'],
  ['alerts: { webhooks: [{ name: ops, url: "https://x/" }] }', 'alerts.webhooks[0].secret_file', 'wrong type'],
  [`alerts: { webhooks: [{ ${webhook}, kinds: [DT-99] }] }`, 'alerts.webhooks[0].kinds[0]', 'no such detector'],
  [`alerts: { webhooks: [{ ${webhook}, kinds: [] }] }`, 'alerts.webhooks[0].kinds', 'too short'],
  [`alerts: { webhooks: [{ ${webhook}, minimum: some }] }`, 'alerts.webhooks[0].minimum', 'Invalid option'],
  [`alerts: { webhooks: [{ ${webhook}, secret: abc }] }`, 'alerts.webhooks[0].secret', 'unknown key'],
  [`alerts: { webhooks: [{ ${webhook} }, { ${webhook} }] }`, 'alerts.webhooks[1].name', 'another webhook'],
  [
    'alerts: { webhooks: [{ name: a, url: "http://x.example/", secret_file: s, insecure: true }] }',
    'alerts.webhooks[0].url',
    'without TLS',
  ],
  [
    'alerts: { webhooks: [{ name: a, url: "https://u:p@x.example/", secret_file: s }] }',
    'alerts.webhooks[0].url',
    'no credentials|has no',
  ],
]

for (const [text, path, message] of wrong) {
  test(`refused: ${text}`, () => {
    const found = problemsOf(text).find(([where]) => where === path)
    assert.match(found?.[1] ?? `nothing at ${path}: ${JSON.stringify(problemsOf(text))}`, new RegExp(message))
  })
}

test('a webhook is read with its defaults; http reaches this machine alone, as somebody insists', () => {
  const configuration = read(
    `alerts: { webhooks: [{ ${webhook} }, { name: b, url: "http://127.0.0.1:9/", secret_file: s, insecure: true, kinds: [DT-1] }] }`,
  )
  const [ops, local] = alertPlaces({ configuration, folder: '/etc/doorward' })
  assert.deepEqual(
    [ops?.minimum, ops?.kinds, ops?.timeoutMilliseconds, ops?.tls === null],
    ['medium', null, 10_000, false],
  )
  assert.deepEqual([local?.tls, local?.kinds], [null, new Set(['DT-1'])])
})
