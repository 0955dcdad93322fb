/** The JSON scanner against what a strict reader says. */

import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { scanJson, utf8 } from '@doorward/core'
import { seeded } from '../fuzz/chance.ts'
import { isStrictJson } from '../fuzz/json-oracle.ts'
import { mutate } from '../fuzz/mutate.ts'
import { Findings, shown, Tally } from './part.ts'
import type { Assignment, Part, PartReport } from './part.ts'

const suite = join(import.meta.dirname, '../../../shared/vectors/jsontestsuite')
const MAX_SEED_BYTES = 4096

const own = [
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_file","arguments":{"path":"/a b","n":[1,2.5e3]}}}',
  String.raw`{"a":"\u0041\ud83d\ude00\n","b":[null,true,false,-0,1e-2],"é":{"":[[]]}}`,
  '[{"k":1},{"k":{"k":[{"k":"k"}]}}]',
].map(utf8)
const words = [
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '"',
  '"a":',
  '\\',
  '\\u0061',
  '\\ud83d',
  '\\ude00',
  '1e400',
  '-0',
  'true',
  'null',
  '"__proto__":1',
  '"\\u005f_proto__":1',
  '"constructor":1',
  '{"a":1,"a":2}',
  '\ufeff',
  '\u2028',
  '[[[[[[[[',
  ' ',
].map(utf8)

async function run({ seed, goOn }: Assignment): Promise<PartReport> {
  const published = await publishedInputs()
  const seeds = [...own, ...published]
  const [chance, findings, codes] = [seeded(seed), new Findings(), new Tally()]
  let done = 0
  for (; goOn(done) && !findings.any; done++) {
    const input = mutate(chance.of(chance.below(2) === 0 ? own : seeds), chance, words)
    try {
      const scan = scanJson(input)
      codes.add(scan.ok ? 'accepted' : scan.code)
      if (scan.ok !== isStrictJson(input)) findings.add(`${scan.ok ? 'accepted' : scan.code}: ${shown(input)}`)
    } catch (error) {
      findings.add(`threw ${String(error)}: ${shown(input)}`)
    }
  }
  return { done, findings: findings.list, facts: { 'starting inputs': seeds.length, verdicts: String(codes) } }
}

async function publishedInputs(): Promise<readonly Uint8Array[]> {
  if (!existsSync(suite)) return []
  const names = (await readdir(suite)).filter((name) => name.endsWith('.json'))
  const files = await Promise.all(names.map((name) => readFile(join(suite, name))))
  return files.filter((file) => file.length <= MAX_SEED_BYTES).map((file) => new Uint8Array(file))
}

export const jsonScanner: Part = {
  name: 'json-scanner',
  rule: 'the scanner accepts exactly what JSON.parse accepts and no second parser can read differently; it never throws',
  count: 1_000_000,
  maximumSeconds: 300,
  run,
}
