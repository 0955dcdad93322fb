/** Readers with a planted fault each: what the runner has to find. */

import { utf8 } from '@doorward/core'
import { must } from './targets/target.ts'
import type { FuzzTarget } from './targets/target.ts'

function broken(name: string, judge: (text: string) => void): FuzzTarget {
  return {
    name,
    rule: 'is broken',
    open: async () => ({
      starts: [utf8('{"a":1}')],
      words: [utf8('"a":2,'), utf8('!'), utf8('#')],
      judge(input) {
        const text = new TextDecoder().decode(input)
        judge(text)
        return 'read'
      },
    }),
  }
}

/** Each begins with an input on which it does well. */
export const fuzzTargets: readonly FuzzTarget[] = [
  broken('throws', (text) => {
    if (text.includes('#')) JSON.parse('not JSON')
  }),
  broken('lets in', (text) => {
    must(!/"a":.*"a":/.test(text), 'two parsers read this differently, and it is accepted')
  }),
  broken('never ends', (text) => {
    while (text.includes('!'));
  }),
  broken('fills the memory', (text) => {
    for (const all: string[][] = []; text.includes('!');) all.push(Array.from({ length: 100_000 }, () => text.slice(1)))
  }),
]
