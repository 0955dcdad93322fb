import assert from 'node:assert/strict'
import { test } from 'node:test'
import { batchesOf } from './batches.ts'

const files = (folder: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, at) => `test/${folder}/${String(at).padStart(2, '0')}.test.ts`)

test('every file is in one batch, neighbours in different ones', () => {
  const paths = [...files('unit', 40), ...files('refusals', 9), ...files('scenarios', 3)]
  const batches = batchesOf(paths, () => '')
  assert.deepEqual(batches.flat().toSorted(), paths.toSorted())
  assert.deepEqual(
    batches.map((batch) => batch.length),
    [4, 4, 4, 14, 13, 13],
  )
  for (const batch of batches)
    assert.ok(!(batch.includes('test/unit/04.test.ts') && batch.includes('test/unit/05.test.ts')))
})

test('a file that changes or measures its process, or starts deployments, runs alone', () => {
  const alone = [
    `process.env['A'] = 'b'`,
    `process.env.A = 'b'`,
    'process.chdir(folder)',
    'process.umask(0o77)',
    `process.once('warning', () => undefined)`,
    'process.memoryUsage().heapUsed',
    'process.cpuUsage()',
    't.mock.timers.enable()',
    'globalThis.fetch = fetch',
    `import { TestDeployment } from '../fixtures/deployment.ts'`,
  ]
  const paths = files('unit', 2)
  for (const text of alone) assert.equal(batchesOf(paths, (path) => (path === paths[0] ? text : '')).length, 2, text)
  for (const text of [`PATH: process.env['PATH'] ?? ''`, 'process.pid', 'child.exitCode']) {
    assert.equal(batchesOf(paths, () => text).length, 1, text)
  }
})
