/** Readers of hostile bytes: a sample of what `npm run security -- fuzz` does, and everything that it found once. */

import { deepEqual, equal, match } from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fuzzTargets as brokenTargets } from './broken-targets.ts'
import { fuzzTargets, keptInputs, runTarget } from './targets/index.ts'
import { runWatched } from './watched.ts'

const SAMPLE = 1500

describe('bent inputs lead to a refusal with a code or to what they say, and to nothing else', () => {
  for (const target of fuzzTargets)
    test(`${target.name}: ${target.rule}`, async () => {
      const open = await target.open()
      const kept = keptInputs(target.name)
      const least = open.starts.length + kept.length
      const { done, verdicts, found } = runTarget(open, kept, { seed: 1, goOn: (number) => number < least + SAMPLE })
      deepEqual(found, null)
      equal(done, least + SAMPLE)
      // More than one answer: the inputs get past the first check.
      equal(verdicts.size > 5, true, [...verdicts.keys()].join(', '))
    })
})

test('the six readers that the gate is for are there', () => {
  const names = fuzzTargets.map(({ name }) => name)
  deepEqual(names, ['certificate', 'token', 'json', 'request', 'policy', 'log'])
})

describe('a fault that is planted is found, with the input that shows it', () => {
  const module = new URL('./broken-targets.ts', import.meta.url).href
  const found = async (target: string, inputSeconds: number) => {
    const run = { module, target, seed: 3, seconds: 60, inputSeconds, megabytes: 64 }
    return (await runWatched(run)).found
  }
  const shown = (input: Uint8Array | undefined) => new TextDecoder().decode(input)

  test('a throw without a code, and a text that is let in', async () => {
    for (const [name, what, sign] of [
      ['throws', /SyntaxError/, /#/],
      ['lets in', /Broken|Error: two parsers/, /"a".*"a"/],
    ] as const) {
      const target = brokenTargets.find((one) => one.name === name)
      const result = runTarget(await target!.open(), [], { seed: 3, goOn: (number) => number < 100_000 })
      match(result.found?.what ?? '', what)
      match(shown(result.found?.input), sign)
    }
  })

  test('an input that never ends, and one that fills the memory', async () => {
    const [endless, large] = await Promise.all([found('never ends', 1), found('fills the memory', 60)])
    match(endless?.what ?? '', /more than 1 s/)
    match(large?.what ?? '', /the process ended with/)
    match(shown(large?.input), /!/)
  })
})
