/** The scanner of JSON against JSON.parse and a count of members. */

import { deepEqual } from 'node:assert/strict'
import { scanJson, utf8 } from '@doorward/core'
import { isStrictJson } from '../json-oracle.ts'
import { must } from './target.ts'
import type { FuzzTarget } from './target.ts'

const starts = [
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_file","arguments":{"path":"/a b","n":[1,2.5e3]}}}',
  String.raw`{"a":"\u0041\ud83d\ude00\n","b":[null,true,false,-0,1e-2],"é":{"":[[]]}}`,
  '[{"k":1},{"k":{"k":[{"k":"k"}]}}]',
]
const words = [
  ['{', '}', '[', ']', ',', ':', '"', '"a":', '\\', String.raw`\u0061`, String.raw`\ud83d`, String.raw`\ude00`],
  ['1e400', '-0', 'true', 'null', '"__proto__":1', String.raw`"\u005f_proto__":1`, '"constructor":1'],
  ['{"a":1,"a":2}', '\ufeff', '\u2028', '[[[[[[[[', ' '],
].flat()

export const json: FuzzTarget = {
  name: 'json',
  rule: 'the scanner accepts exactly what JSON.parse accepts and no second parser can read differently, with the same value',
  open: async () => ({
    starts: starts.map(utf8),
    words: words.map(utf8),
    judge(input) {
      const scan = scanJson(input)
      must(scan.ok === isStrictJson(input), `${scan.ok ? 'accepted' : scan.code}, the reference says otherwise`)
      if (scan.ok) deepEqual(scan.value, JSON.parse(new TextDecoder().decode(input)))
      else must(scan.offset >= 0 && scan.offset <= input.length, `a fault at ${scan.offset} of ${input.length}`)
      return scan.ok ? 'accepted' : scan.code
    },
  }),
}
