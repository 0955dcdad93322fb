/** The coverage gate: what is below its floor is found, and a floor never sinks. */

import { deepEqual, equal, match } from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { coverageAreas, coverageTests } from './areas.ts'
import { belowFloor, coverageIn, kinds, percentOf, raised, sumOf } from './lcov.ts'
import type { Floor } from './lcov.ts'

const root = join(import.meta.dirname, '../..')
const of = (path: string, ...lines: readonly string[]) => `TN:\nSF:${path}\n${lines.join('\n')}\nend_of_record\n`
const report = [
  of('packages/core/src/a.ts', 'FN:1,f', 'FNDA:3,f', 'FNF:4', 'FNH:3', 'BRF:10', 'BRH:9', 'DA:1,3', 'LH:95', 'LF:100'),
  of('packages\\core\\src\\b.ts', 'FNF:0', 'FNH:0', 'BRF:0', 'BRH:0', 'LH:5', 'LF:100'),
].join('')

test('lines, branches and functions are read by source and added up', () => {
  const files = coverageIn(report)
  deepEqual([...files.keys()], ['packages/core/src/a.ts', 'packages/core/src/b.ts'])
  const sum = sumOf([...files.values()])
  deepEqual(sum, {
    lines: { covered: 100, of: 200 },
    branches: { covered: 9, of: 10 },
    functions: { covered: 3, of: 4 },
  })
  // An area that has moved meets no floor.
  equal(percentOf({ covered: 0, of: 0 }), 0)
})

test('a tenth below a floor is found, for each kind alone, and so is an area without one', () => {
  const sum = sumOf([...coverageIn(report).values()])
  const floor = { lines: 50, branches: 90, functions: 75 }
  deepEqual(belowFloor('x', sum, floor), [])
  for (const kind of kinds) {
    const found = belowFloor('x', sum, { ...floor, [kind]: floor[kind] + 0.1 })
    equal(found.length, 1)
    match(found[0] ?? '', new RegExp(`of ${kind}, expected at least`))
  }
  match(belowFloor('x', sum, undefined).join(), /no floor/)
})

test('floors rise with what there is, and never sink', () => {
  const sum = sumOf([...coverageIn(report).values()])
  deepEqual(raised(sum, undefined), { lines: 50, branches: 90, functions: 75 })
  deepEqual(raised(sum, { lines: 40, branches: 99, functions: 75 }), { lines: 50, branches: 99, functions: 75 })
})

test('every area has its floor, and sources; none is below 60 %', () => {
  const floors = JSON.parse(readFileSync(join(import.meta.dirname, 'floors.json'), 'utf8')) as Record<string, Floor>
  deepEqual(
    Object.keys(floors),
    coverageAreas.map(({ name }) => name),
  )
  for (const [name, floor] of Object.entries(floors))
    for (const kind of kinds) equal(floor[kind] > 60, true, `${name} ${kind}`)
  for (const { folder } of coverageAreas) equal(globSync(`${folder}/*.ts`, { cwd: root }).length > 3, true, folder)
  equal(globSync([...coverageTests], { cwd: root }).length > 50, true)
})
