/** How many processes of a server may run, and whose. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ProcessStarts } from '../../../packages/server/src/transports/process-starts.ts'
import type { Start } from '../../../packages/server/src/transports/process-starts.ts'

type Running = Exclude<Start, { refused: string }>

function startsOf(processes: number): ProcessStarts {
  return new ProcessStarts({ processes, monotonic: () => 0, chance: () => 0.5 })
}

function running(start: Start): Running {
  if ('refused' in start) assert.fail(start.refused)
  return start
}

test('one caller takes three of four places, and the fourth is for somebody who has none', () => {
  const starts = startsOf(4)
  const mine = [0, 1, 2].map(() => running(starts.start('mine')))
  assert.deepEqual(starts.start('mine'), { refused: 'upstream_busy', retryAfterSeconds: 5 })
  const other = running(starts.start('other'))
  assert.equal(starts.running, 4)
  assert('refused' in starts.start('third'))
  other.ended('asked')
  assert('refused' in starts.start('mine'))
  for (const one of mine) one.ended('asked')
  assert.equal(starts.running, 0)
  running(starts.start('mine'))
})

test('the only place there is is anybody’s', () => {
  const starts = startsOf(1)
  running(starts.start('mine'))
  assert('refused' in starts.start('other'))
})
