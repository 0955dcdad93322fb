import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { notJudged, refusalReasons, refusedSuccesses } from './limbo-exceptions.ts'
import { pathVerdict } from './limbo-verdict.ts'
import type { LimboCase } from './limbo-verdict.ts'
import { run } from './limbo.ts'

const file = join(import.meta.dirname, '../../../shared/vectors/limbo.json')
const cases = existsSync(file)
  ? (JSON.parse(readFileSync(file, 'utf8')) as { readonly testcases: readonly LimboCase[] }).testcases
  : null

test('X5-7: x509-limbo: no wrong accept, and every good path that needs nothing we leave out', async (t) => {
  const report = await run({ json: false })
  if (cases === null) return t.diagnostic(report.notice ?? '')
  assert.deepEqual(report.wrongAccepts, [])
  assert.equal(report.failed, 0)
  assert.equal(report.minimum, 13)
})

test('what is excepted is excepted for cause: the lists hold no case that needs no exception', (t) => {
  if (cases === null) return t.diagnostic('no vectors: not compared')
  const expected = Object.entries(refusedSuccesses).flatMap(([code, ids]) => ids.map((id) => [id, code] as const))
  const found = (id: string): string => {
    const limbo = cases.find((one) => one.id === id)
    return limbo === undefined ? 'no such case' : `${limbo.expected_result} ${pathVerdict(limbo) ?? 'accepted'}`
  }
  for (const [id, code] of expected) assert.equal(found(id), `SUCCESS ${code}`, id)
  for (const id of Object.keys(notJudged)) assert.equal(found(id), 'FAILURE accepted', id)
})

test('every code that refuses a good path has its reason', () => {
  assert.deepEqual(
    Object.keys(refusedSuccesses).filter((code) => refusalReasons[code] === undefined),
    [],
  )
})
