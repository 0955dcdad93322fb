/** Answers of agents are read whole, and therefore no longer than what can be read in one go. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { openAgentFilter } from '@doorward/enforcement'
import type { AgentAnswers } from '@doorward/enforcement'

const MEBIBYTE = 1024 * 1024

test('a message of an agent is at most 4 MiB, whatever its answers may be otherwise', () => {
  let read = 0
  const answers = { streams: false, told: (bytes: Uint8Array) => (read++, bytes) } as object as AgentAnswers
  const open = () => openAgentFilter('application/json', answers, 1024 * MEBIBYTE)
  const whole = open()
  for (let i = 0; i < 4; i++) equal(whole?.push(new Uint8Array(MEBIBYTE))?.length, 0)
  equal(whole?.end()?.length, 4 * MEBIBYTE)
  const longer = open()
  for (let i = 0; i < 4; i++) ok(longer?.push(new Uint8Array(MEBIBYTE)))
  deepEqual([longer?.push(new Uint8Array(1)), longer?.problem], [null, 'a message that is too large'])
  equal(read, 1)
})
