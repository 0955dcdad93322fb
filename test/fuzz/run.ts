/**
 * `npm run security -- fuzz [--target NAME] [--seconds N] [--seed N] [--json]`: bent inputs for each reader of hostile bytes, for 60 s
 * each. What is found is kept in test/fuzz/kept/NAME, where every later run begins with it, and so does `npm test`. Exit 0 when nothing
 * was found, 1 on any finding, 2 for unknown arguments.
 */

import { hash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { fuzzTargets, keptFolder } from './targets/index.ts'
import type { FuzzFinding } from './targets/index.ts'
import { runWatched } from './watched.ts'

const INPUT_SECONDS = 10
const MEGABYTES = 512
const usualSeed = 20_261_124

process.exitCode = await main(process.argv.slice(2))

interface Asked {
  readonly names: readonly string[]
  readonly seconds: number
  readonly seed: number
  readonly json: boolean
}

async function main(args: readonly string[]): Promise<number> {
  const asked = readArguments(args)
  if (typeof asked === 'string') {
    console.error(`${asked}\nusage: npm run security -- fuzz [--target NAME] [--seconds N] [--seed N] [--json]`)
    return 2
  }
  const module = new URL('./targets/index.ts', import.meta.url).href
  const { names, seconds, seed, json } = asked
  const findings: string[] = []
  const lines: string[] = []
  for (const target of names) {
    const result = await runWatched({
      module,
      target,
      seed,
      seconds,
      inputSeconds: INPUT_SECONDS,
      megabytes: MEGABYTES,
    })
    const { done, verdicts, found } = result
    const line = `${target}: ${done.toLocaleString('en')} inputs, ${verdicts.length} answers, ${found === null ? 'nothing found' : 'FOUND'}`
    lines.push(line)
    if (!json) console.log(line)
    if (done === 0) findings.push(`${target}: no input was judged${found === null ? '' : `: ${found.what}`}`)
    else if (found !== null) findings.push(`${target}: ${found.what}; kept as ${keep(target, found)}`)
  }
  if (json) console.log(JSON.stringify({ findings, summary: lines.join('; ') }))
  else for (const finding of findings) console.log(`  ${finding}`)
  return findings.length === 0 ? 0 : 1
}

function keep(target: string, { input }: FuzzFinding): string {
  const folder = join(keptFolder, target)
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${hash('sha256', input).slice(0, 16)}.bin`)
  writeFileSync(file, input)
  return file
}

function readArguments(args: readonly string[]): Asked | string {
  try {
    const text = { type: 'string' } as const
    const options = { target: text, seconds: text, seed: text, json: { type: 'boolean' } } as const
    const { values } = parseArgs({ args: [...args], options })
    const all = fuzzTargets.map(({ name }) => name)
    const names = values.target === undefined ? all : values.target.split(',')
    const unknown = names.find((name) => !all.includes(name))
    if (unknown !== undefined) return `no target is called ${unknown}; there are ${all.join(', ')}`
    const [seconds, seed] = [Number(values.seconds ?? 60), Number(values.seed ?? usualSeed)]
    if (!(seconds > 0) || !Number.isSafeInteger(seed)) return '--seconds and --seed: expected numbers'
    return { names, seconds, seed, json: values.json === true }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
