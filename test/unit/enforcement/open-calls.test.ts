/** Answers under way: which of them a change of trust ends. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deny } from '@doorward/enforcement'
import type { Denial } from '@doorward/enforcement'
import { denials, leaf, viewOf } from './call-fixture.ts'
import { newPipeline, permitOf } from './pipeline-fixture.ts'
import type { PipelineStage } from './pipeline-fixture.ts'

/** An answer under way to a call that was permitted, and what ended it. */
async function openCall(made: PipelineStage) {
  const { authorized } = (await permitOf(made)).use()
  const ended: Denial[] = []
  const end = (denial: Denial) => void ended.push(denial)
  return { authorized, ended, withdraw: end, forbid: end, codes: () => ended.map(({ code }) => code) }
}

test('RV-4: an answer under way ends when its caller is withdrawn, and only then', async () => {
  const made = newPipeline()
  const { open } = made.pipeline
  const [first, second] = [await openCall(made), await openCall(made)]
  for (const one of [first, second]) made.pipeline.track(one)
  assert.equal(open.size, 2)
  assert.equal(open.review(viewOf(denials({ tokens: ['other'] }), 2)), 0)
  assert.deepEqual([first.ended, second.ended], [[], []])
  open.remove(second)
  assert.equal(open.size, 1)
  assert.equal(open.review(viewOf(denials({ tokens: ['token-id'] }), 3)), 1)
  assert.deepEqual([first.codes(), second.codes()], [['token_denied'], []])
})

test('RV-4: an answer that is overtaken before it is under way ends at once', async () => {
  const made = newPipeline()
  const [first, second] = [await openCall(made), await openCall(made)]
  made.trust.view = viewOf(denials({ serials: [leaf.serial] }), 2)
  made.pipeline.track(first)
  assert.deepEqual(first.codes(), ['certificate_denied'])
  made.trust.view = viewOf({}, 3)
  made.pipeline.track(second)
  assert.deepEqual([second.codes(), made.pipeline.open.size], [[], 2])
})

test('all answers end together, with the reason that is given', async () => {
  const made = newPipeline()
  const calls = [await openCall(made), await openCall(made)]
  for (const one of calls) made.pipeline.track(one)
  const denial = deny('authority_unready', 'the gateway stops')
  assert.equal(made.pipeline.open.endAll(denial), 2)
  for (const { ended } of calls) assert.deepEqual(ended, [denial])
})
