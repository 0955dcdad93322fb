/** What a caller is told when a handler fails: a code of the table where that helps, and nothing of ours beside. */

import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { DoorwardError } from '@doorward/core'
import { denialRow } from '@doorward/enforcement'
import { failureOf } from '../../../packages/server/src/transports/api-routes.ts'

const told = (code: string): readonly unknown[] => {
  const { code: denied } = failureOf(new DoorwardError(code, 'what happened'))
  const { http, retryable } = denialRow(denied)
  return [denied, http, retryable]
}

test('OP-6: an authority that cannot publish just now says so, and that another try may help', () => {
  for (const code of [
    'delegation_expired',
    'delegation_missing',
    'delegation_raced',
    'store_went_back',
    'trust_state_foreign',
    'trust_state_raced',
    'trust_state_unpublished',
    'authority_unready',
  ])
    deepEqual(told(code), ['authority_unready', 503, true], code)
})

test('a store or a record that fails is told as such', () => {
  deepEqual(told('store_unavailable'), ['store_unavailable', 503, true])
  for (const code of ['record_busy', 'record_forked', 'record_unavailable'])
    deepEqual(told(code), ['record_unavailable', 503, true], code)
})

test('everything else is an internal error', () => {
  for (const error of [new DoorwardError('key_schedule', 'x'), new TypeError('x'), 'x', null]) {
    equal(failureOf(error).code, 'internal')
    equal(denialRow('internal').http, 500)
  }
})
