/** Published request heads and Transfer-Encoding lines against a real listener, where the vectors are there. */

import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { run as runHeads } from './heads.ts'
import type { VectorReport } from './report.ts'
import { run as runTe } from './te.ts'

function nothingWrong(t: TestContext, { wrongAccepts, failed, notice }: VectorReport): void {
  if (notice !== undefined) t.diagnostic(notice)
  deepEqual(wrongAccepts, [])
  equal(failed, 0)
}

test('no header section that llhttp refuses is served', async (t) => nothingWrong(t, await runHeads({ json: false })))

test('no malformed Transfer-Encoding line is served', async (t) => nothingWrong(t, await runTe({ json: false })))
