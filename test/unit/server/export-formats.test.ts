import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { Secret } from '@doorward/core'
import { asciiJson } from '../../../packages/server/src/audit/export/ascii-json.ts'
import { pauseAfter } from '../../../packages/server/src/audit/export/backoff.ts'
import { otlpBody, rejectedOf } from '../../../packages/server/src/audit/export/otlp.ts'
import { framed, paramValue, syslogMessage } from '../../../packages/server/src/audit/export/rfc5424.ts'
import type { ExportEvent } from '../../../packages/server/src/audit/export/sink.ts'
import { signatureOf, webhookBody } from '../../../packages/server/src/audit/export/webhook-sink.ts'

const event: ExportEvent = {
  origin: 'acme.example/gateway/main',
  index: 7,
  kind: 'decision',
  time: 1_700_000_000_123,
  severity: 2,
  json: asciiJson({ message: 'a\n\u2028"]ü' }),
}

test('a syslog message has priority, time, names, structured data and the event', () => {
  assert.equal(
    syslogMessage(event, 'gate 1\n'),
    '<109>1 2023-11-14T22:13:20.123Z gate1 doorward - decision ' +
      '[doorward@32473 origin="acme.example/gateway/main" index="7" kind="decision"] {"message":"a\\n\\u2028\\"]\\u00fc"}',
  )
  const priorities = [1, 2, 3, 4, 5, 0].map((severity) => syslogMessage({ ...event, severity }, '').slice(0, 14))
  assert.deepEqual(
    priorities.map((text) => /^<(\d+)>1 /.exec(text)?.[1]),
    ['110', '109', '108', '107', '106', '110'],
  )
  assert.match(syslogMessage(event, 'ü'), /Z - doorward /)
  assert.match(syslogMessage(event, 'x'.repeat(300)), /Z x{255} doorward /)
})

test('values of structured data keep quotes, backslashes and brackets, and end no line', () => {
  assert.equal(paramValue('a"b\\c]d[e=|'), 'a\\"b\\\\c\\]d[e=|')
  assert.equal(paramValue('a\nb\u001b[31m\u009b\u0000'), 'a?b?[31m??')
  const readBack = (text: string) => text.replaceAll(/\\(["\\\]])/g, '$1')
  fc.assert(fc.property(fc.string({ unit: 'grapheme-ascii' }), (text) => readBack(paramValue(text)) === text))
  const value = /^(?:[^"\\\]\p{Cc}]|\\["\\\]])*$/u
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => value.test(paramValue(text))))
})

test('frames count octets, not characters', () => {
  assert.equal(framed('abc'), '3 abc')
  assert.equal(framed('ü€'), '5 ü€')
})

test('text of any kind is one line of ASCII and comes back', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const json = asciiJson({ text })
      assert.match(json, /^[\u0020-\u007e]*$/)
      assert.deepEqual(JSON.parse(json), { text })
    }),
  )
})

test('an OTLP request has the log as resource, and for each event time, severity, body and index', () => {
  const request = JSON.parse(otlpBody([event, { ...event, index: 8, severity: 4 }], '1.2.3')) as {
    resourceLogs: { resource: unknown; scopeLogs: { scope: unknown; logRecords: Record<string, unknown>[] }[] }[]
  }
  assert.equal(request.resourceLogs.length, 1)
  const [{ resource, scopeLogs } = { resource: null, scopeLogs: [] }] = request.resourceLogs
  assert.deepEqual(resource, {
    attributes: [
      { key: 'service.name', value: { stringValue: 'doorward' } },
      { key: 'service.instance.id', value: { stringValue: event.origin } },
    ],
  })
  assert.deepEqual(scopeLogs[0]?.scope, { name: 'doorward.audit', version: '1.2.3' })
  const [first, second] = scopeLogs[0]?.logRecords ?? []
  assert.equal(first?.['timeUnixNano'], '1700000000123000000')
  assert.deepEqual(first?.['body'], { stringValue: event.json })
  assert.equal(first?.['observedTimeUnixNano'], first?.['timeUnixNano'])
  assert.deepEqual(second?.['attributes'], [
    { key: 'event.name', value: { stringValue: 'doorward.decision' } },
    { key: 'doorward.origin', value: { stringValue: event.origin } },
    { key: 'doorward.index', value: { intValue: '8' } },
    { key: 'doorward.kind', value: { stringValue: 'decision' } },
  ])
})

test('severities of OCSF are those of OTLP, and others are not specified', () => {
  const all = [1, 2, 3, 4, 5, 0].map((severity) => ({ ...event, severity }))
  const { resourceLogs } = JSON.parse(otlpBody(all, '0')) as {
    resourceLogs: { scopeLogs: { logRecords: { severityNumber: number; severityText: string }[] }[] }[]
  }
  assert.deepEqual(
    resourceLogs[0]?.scopeLogs[0]?.logRecords.map((one) => [one.severityNumber, one.severityText]),
    [
      [9, 'INFO'],
      [10, 'INFO2'],
      [13, 'WARN'],
      [17, 'ERROR'],
      [21, 'FATAL'],
      [0, ''],
    ],
  )
})

test('an OTLP answer says how many records were rejected, or is none', () => {
  assert.deepEqual(
    ['', ' \n', '{}', '{"partialSuccess":{}}', '{"partialSuccess":null}'].map((answer) => rejectedOf(answer)),
    [0, 0, 0, 0, 0],
  )
  assert.equal(rejectedOf('{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"no"}}'), 3)
  for (const bad of [
    'null',
    '<html>',
    '[]',
    '1',
    '{"partialSuccess":{"rejectedLogRecords":"x"}}',
    '{"partialSuccess":{"rejectedLogRecords":-1}}',
  ])
    assert.equal(rejectedOf(bad), null, bad)
})

test('a webhook body names the log and its first and last index, and is signed with its time', () => {
  const body = webhookBody([event, { ...event, index: 8 }])
  const { events, ...head } = JSON.parse(body) as { events: unknown[] }
  assert.deepEqual(head, { v: 1, origin: event.origin, first: 7, last: 8 })
  assert.deepEqual(events[0], JSON.parse(event.json))
  const signature = signatureOf(body, new Secret('s3cret'), 1_700_000_000)
  const mac = createHmac('sha256', 's3cret').update(`1700000000.${body}`).digest('hex')
  assert.equal(signature, `t=1700000000,v1=${mac}`)
})

test('pauses double up to a minute, differ by chance, and keep to what the receiver asks', () => {
  assert.deepEqual(
    [1, 2, 3, 9, 50].map((failures) => pauseAfter(failures, 0, null)),
    [250, 500, 1000, 60_000, 60_000],
  )
  assert.equal(pauseAfter(3, 0.999, null), 500)
  assert.equal(pauseAfter(1, 0, 7000), 7000)
  assert.equal(pauseAfter(1, 0, 10_000_000), 300_000)
})
