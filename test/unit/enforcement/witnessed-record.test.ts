/** What may be recorded before a witness has seen the log, and after one has seen another. */

import { deepEqual, equal, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { DoorwardError } from '@doorward/core'
import { WitnessedRecord } from '@doorward/enforcement'
import type { RecordEntry } from '@doorward/enforcement'
import { memoryRecord } from '../../../packages/enforcement/src/record/memory-record.ts'

const allow: RecordEntry = { kind: 'decision', body: { decision: 'allow' } }
const unclear: RecordEntry = { kind: 'decision', body: {} }
const others: readonly RecordEntry[] = [
  { kind: 'decision', body: { decision: 'deny' } },
  { kind: 'outcome', body: { of: 1 } },
  { kind: 'refusals', body: { count: 1 } },
  { kind: 'lifecycle', body: { event: 'start' } },
]

function opened() {
  const memory = memoryRecord()
  const written = () => memory.entries.map(({ kind, body }) => ({ kind, body }))
  return { written, record: new WitnessedRecord(memory) }
}

test('before a witness has seen the log, everything but permissions is recorded', async () => {
  const { written, record } = opened()
  equal(record.state, 'unseen')
  for (const entry of [allow, unclear]) await rejects(record.append(entry), { code: 'record_unavailable' })
  for (const entry of others) await record.append(entry)
  deepEqual(written(), others)
})

test('once it was seen, everything is', async () => {
  const { written, record } = opened()
  record.seen()
  for (const entry of [allow, ...others]) await record.append(entry)
  deepEqual([record.state, written()], ['seen', [allow, ...others]])
})

test('what a witness remembers otherwise stays refused, whoever sees it later', async () => {
  const { written, record } = opened()
  record.seen()
  record.refuse(new DoorwardError('record_rollback', 'another log'))
  record.seen()
  for (const entry of [allow, unclear]) await rejects(record.append(entry), { code: 'record_rollback' })
  for (const entry of others) await record.append(entry)
  deepEqual([record.state, written()], ['refused', others])
})
