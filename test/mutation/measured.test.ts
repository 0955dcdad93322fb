/** The report of mutants is what the next run begins with. */

import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { digestOf, measureOf, measuresIn, scoreOf } from './measured.ts'
import type { Judged } from './measured.ts'
import { reportText } from './report.ts'

const path = 'packages/core/src/rate.ts'
const judged = (status: Judged['status'], original: string): Judged => ({
  mutant: { id: '1', path, line: 7, mutator: 'x', original, replacement: 'a — b\n|| c' },
  status,
})
const measure = measureOf(path, [
  judged('killed', 'a'),
  judged('stopped', 'b'),
  judged('survived', '`c` → d'),
  judged('uncovered', 'e'),
])

test('what a report says of a source is read back as it was', () => {
  const area = { name: 'x', paths: [path, 'packages/core/src/time.ts'], unmeasured: ['packages/core/src/time.ts'] }
  const measures = new Map([[path, measure]])
  const text = reportText([area], measures)
  deepEqual(measuresIn(text), measures)
  equal(reportText([area], measuresIn(text)), text)
  deepEqual(measuresIn('# nothing'), new Map())
})

test('a mutant that ended its process counts as noticed, and one that no test reaches does not', () => {
  deepEqual([measure.mutants, measure.survived, measure.uncovered, scoreOf([measure])], [4, 1, 1, 0.5])
  equal(scoreOf([]), 0)
  equal(measure.digest, digestOf(path))
})
