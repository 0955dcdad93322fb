/**
 * `npm run security -- coverage [--raise] [--json]`: how much of the deciding sources the unit tests run. Exit 0 when every area has at
 * least what `floors.json` asks for, 1 when one has less or a source is run by no test, 3 when the tests do not pass, 2 for unknown
 * arguments. `--raise` writes what there is now as the new floors, where it is more.
 */

import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { coverageAreas, coverageTests, leftOut } from './areas.ts'
import type { CoverageArea } from './areas.ts'
import { belowFloor, coverageIn, kinds, percentOf, raised, sumOf } from './lcov.ts'
import type { Coverage, Floor } from './lcov.ts'

const root = join(import.meta.dirname, '../..')
const floorsFile = join(import.meta.dirname, 'floors.json')
/** A source without any of these has types alone, and is never loaded. */
const CODE = /^export (?:async )?(?:const|function|class)/m

process.exitCode = main(process.argv.slice(2))

function main(args: readonly string[]): number {
  const asked = readArguments(args)
  if (typeof asked === 'string') {
    console.error(`${asked}\nusage: npm run security -- coverage [--raise] [--json]`)
    return 2
  }
  const measured = measure()
  const floors = JSON.parse(readFileSync(floorsFile, 'utf8')) as Readonly<Record<string, Floor>>
  const tell = (findings: readonly string[], summary: string) => {
    if (asked.json) console.log(JSON.stringify({ findings, summary }))
    else for (const line of [...findings, summary]) console.log(line)
  }
  if (measured === null) {
    tell(['the unit tests do not pass: run npm test -- unit/core unit/enforcement'], 'the tests do not pass')
    return 3
  }
  const areas = coverageAreas.map((area) => judge(area, measured))
  if (asked.raise)
    writeFileSync(
      floorsFile,
      `${JSON.stringify(Object.fromEntries(areas.map(({ name, sum }) => [name, raised(sum, floors[name])])), null, 2)}\n`,
    )
  const now = asked.raise ? (JSON.parse(readFileSync(floorsFile, 'utf8')) as typeof floors) : floors
  const findings = areas.flatMap(({ name, sum, unloaded }) => [
    ...belowFloor(name, sum, now[name]),
    ...unloaded.map((path) => `${name}: no test runs ${path}`),
  ])
  if (!asked.json) for (const { name, sum } of areas) console.log(`${name}: ${lineOf(sum)}`)
  tell(findings, `${areas.length} areas, ${lineOf(sumOf(areas.map(({ sum }) => sum)))}`)
  return findings.length === 0 ? 0 : 1
}

function lineOf(coverage: Coverage): string {
  return kinds.map((kind) => `${percentOf(coverage[kind]).toFixed(1)} % of ${kind}`).join(', ')
}

function judge({ name, folder }: CoverageArea, measured: ReadonlyMap<string, Coverage>) {
  const paths = globSync(`${folder}/*.ts`, { cwd: root })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => !path.endsWith('/index.ts') && CODE.test(readFileSync(join(root, path), 'utf8')))
  const sum = sumOf(paths.map((path) => measured.get(path)).filter((one) => one !== undefined))
  return { name, sum, unloaded: paths.filter((path) => !measured.has(path)) }
}

/** Null when a test fails. */
function measure(): ReadonlyMap<string, Coverage> | null {
  const folder = mkdtempSync(join(tmpdir(), 'doorward-coverage-'))
  const file = join(folder, 'lcov.info')
  try {
    const tests = globSync([...coverageTests], { cwd: root }).filter((path) => !leftOut.test(path))
    const words = ['--conditions=source', '--test', '--experimental-test-coverage', '--test-concurrency=1']
    const reporter = ['--test-reporter=lcov', `--test-reporter-destination=${file}`]
    const included = coverageAreas.map(({ folder: of }) => `--test-coverage-include=${of}/*.ts`)
    const { status } = spawnSync(process.execPath, [...words, ...reporter, ...included, ...tests], {
      cwd: root,
      stdio: 'ignore',
    })
    return status === 0 ? coverageIn(readFileSync(file, 'utf8')) : null
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

interface Asked {
  readonly raise: boolean
  readonly json: boolean
}

function readArguments(args: readonly string[]): Asked | string {
  try {
    const flag = { type: 'boolean', default: false } as const
    return parseArgs({ args: [...args], options: { raise: flag, json: flag } }).values
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
