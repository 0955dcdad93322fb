import assert from 'node:assert/strict'
import { test } from 'node:test'
import { run } from './cedar.ts'

test('the published Cedar corpus: decision, reasons and errors are equal in every case', async (t) => {
  const report = await run({ json: false })
  t.diagnostic(report.notice ?? '')
  assert.deepEqual([report.wrongAccepts, report.wrongRejects, report.failed], [[], [], 0])
})
