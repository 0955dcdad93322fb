/**
 * `npm run vectors -- <suite> [--path FILE_OR_DIR] [--json]`: runs one suite of published vectors and lists what it
 * found. Exit 0 when all is as it must be, 1 on a wrong accept, an unexplained reject or too few right accepts, 2 for
 * an unknown suite or a path with nothing there. Without the usual folder of vectors it says so and counts nothing.
 */

import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { VectorOptions, VectorReport } from './report.ts'

type RunSuite = (options: VectorOptions) => Promise<VectorReport> | VectorReport

const suites: Readonly<Record<string, () => Promise<{ readonly run: RunSuite }>>> = {
  cedar: () => import('./cedar.ts'),
  ecdsa: () => import('./ecdsa.ts'),
  heads: () => import('./heads.ts'),
  json: () => import('./json.ts'),
  jws: () => import('./jws.ts'),
  limbo: () => import('./limbo.ts'),
  te: () => import('./te.ts'),
}

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const parsed = readArguments(args)
  if (typeof parsed === 'string') {
    console.error(
      `${parsed}\nusage: npm run vectors -- <${Object.keys(suites).join('|')}> [--path FILE_OR_DIR] [--json]`,
    )
    return 2
  }
  const { run } = await parsed.load()
  const report = await run(parsed.options)
  if (parsed.options.json) console.log(JSON.stringify(report, null, 2))
  else print(report)
  return report.failed === 0 && report.wrongAccepts.length === 0 ? 0 : 1
}

interface Arguments {
  readonly load: () => Promise<{ readonly run: RunSuite }>
  readonly options: VectorOptions
}

function readArguments(args: readonly string[]): Arguments | string {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { path: { type: 'string' }, json: { type: 'boolean', default: false } },
    })
    const [suite = '', ...others] = positionals
    const load = Object.hasOwn(suites, suite) ? suites[suite] : undefined
    if (load === undefined || others.length > 0) return `expected one suite, got "${positionals.join(' ')}"`
    if (values.path !== undefined && !existsSync(values.path)) return `nothing at ${values.path}`
    return { load, options: { json: values.json, ...(values.path === undefined ? {} : { path: values.path }) } }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function print(report: VectorReport): void {
  if (report.notice !== undefined) console.log(`${report.suite}: ${report.notice}`)
  for (const id of report.wrongAccepts) console.log(`wrong accept: ${id}`)
  for (const { id, reason } of report.wrongRejects) console.log(`wrong reject: ${id}: ${reason}`)
  console.log(
    `${report.suite}: ${report.wrongAccepts.length} wrong accepts, ${report.wrongRejects.length} wrong rejects, ` +
      `minimum of right accepts ${report.minimum}`,
  )
  console.log(`\n${report.passed} passed, ${report.failed} failed`)
}
