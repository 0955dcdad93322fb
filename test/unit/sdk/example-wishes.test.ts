/** What programs of the example take from whoever may call them, and what they say when somebody whom they have asked says no. */

import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { failureOf, orderIn, wishIn } from '../../../examples/agents/programs/wishes.ts'

test('a wish has a name, and an order a whole number above 0 beside it', () => {
  deepEqual(wishIn('{"item":"brass lamps/?#%"}'), { item: 'brass lamps/?#%' })
  deepEqual(orderIn('{"item":"lamps","count":3,"more":1}'), { item: 'lamps', count: 3 })
  const items = ['', '"lamps"', 'null', '[]', '{}', '{"item":1}', '{"item":""}', '{"item":["lamps"]}']
  for (const body of [...items, '{"item":".."}', '{"item":"\\ud800"}', JSON.stringify({ item: 'x'.repeat(101) })])
    equal(wishIn(body), null, body)
  for (const count of ['"3"', '0', '-1', '1.5', '1e300', '9007199254740992', 'null', '[1]'])
    equal(orderIn(`{"item":"lamps","count":${count}}`), null, count)
  equal(orderIn('{"item":"lamps"}'), null)
})

test('a failure names what was asked, its status and its code, and none of its words', () => {
  const headers = new Headers({ 'doorward-code': 'policy_denied' })
  deepEqual(failureOf('the purchase', { status: 403, headers }), {
    error: 'the purchase failed',
    status: 403,
    code: 'policy_denied',
  })
  deepEqual(failureOf('the letter', { status: 500, headers: new Headers() }), {
    error: 'the letter failed',
    status: 500,
  })
})
