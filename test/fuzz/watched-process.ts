/** Runs one target for as long as it is told, in a process that is watched. */

import { openSync, writeSync } from 'node:fs'
import { keptInputs, runTarget } from './targets/index.ts'
import type { FuzzTarget } from './targets/target.ts'
import type { WatchedAnswer, WatchedOrder } from './watched.ts'

const { module, target: name, seed, seconds, current } = JSON.parse(process.argv[2] ?? '') as WatchedOrder
const { fuzzTargets } = (await import(module)) as { readonly fuzzTargets: readonly FuzzTarget[] }
const target = fuzzTargets.find((one) => one.name === name)
if (target === undefined) throw new Error(`no target is called ${name}`)
const file = openSync(current, 'r+')
const open = await target.open()
const end = performance.now() + seconds * 1000
const { done, verdicts, found } = runTarget(open, keptInputs(name), {
  seed,
  goOn(number, input) {
    const head = Buffer.alloc(8)
    head.writeUInt32LE(number + 1, 0)
    head.writeUInt32LE(input.length, 4)
    writeSync(file, Buffer.concat([head, input]), 0, head.length + input.length, 0)
    return performance.now() < end
  },
})
const answer: WatchedAnswer = { done, verdicts: [...verdicts], what: found?.what ?? null }
process.send?.(answer)
