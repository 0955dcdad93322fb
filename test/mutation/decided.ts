/** Changes that no test notices, and why none is needed: each was read, and none turns a denial into an allow. */

/** By source: what its line in the report has, and why. */
const decided: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  'packages/core/src/token/act-chain.ts': [
    ["`'problem'` → ", 'equivalent: what is no id has no trust domain either, and is refused by the next condition'],
  ],
  'packages/core/src/token/key-set.ts': [
    ['`{ where: kid }` → `{}`', 'a place in a message: the key set is refused with the same code'],
  ],
  'packages/core/src/token/verify.ts': [
    [
      'maxKeys: 64 }` → `{}`',
      'a bound made twice: 4 KiB bound the text, and the claims have an exact shape, refused with the same code',
    ],
    ['`!payload.ok` → `false`', 'equivalent: without a value there are no claims, refused with the same code'],
  ],
  'packages/core/src/token/compact-jws.ts': [
    ['`first <= 0` → ', 'equivalent: an empty header is no JSON, and is refused with the same code'],
    ['`!scan.ok` → `false`', 'equivalent: without a value it is no object, and is refused with the same code'],
  ],
}

/** Null where nobody has read it. */
export function decisionOn(line: string): string | null {
  const [, path = ''] = /^- (\S+?):\d+ /.exec(line) ?? []
  return decided[path]?.find(([text]) => line.includes(text))?.[1] ?? null
}
