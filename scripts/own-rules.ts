/** The rules of style that no linter has, each on the text of one file. Judging is pure. */

import type { SourceFile } from './source-files.ts'
import { codeOnly, moduleImports } from './source-text.ts'

export interface Finding {
  readonly path: string
  /** From 1. */
  readonly line: number
  readonly rule: string
  readonly next: string
}

interface Rule {
  readonly name: string
  readonly next: string
  readonly applies: (path: string) => boolean
  /** Offsets of what breaks the rule; `code` has comments and strings blanked, and the offsets of `text`. */
  readonly find: (code: string, text: string) => readonly number[]
}

const anywhere = (): boolean => true
const inPackages = (path: string): boolean => path.startsWith('packages/')
const inTests = (path: string): boolean => path.startsWith('test/')
const within =
  (...folders: readonly string[]) =>
  (path: string): boolean =>
    folders.some((name) => path.startsWith(name))
const matches =
  (pattern: RegExp) =>
  (code: string): readonly number[] =>
    [...code.matchAll(pattern)].map((match) => match.index)

const emptyWord = /^(utils?|helpers?|common|misc|shared|managers?|services?|handlers?|base|impl)$/
const secretName = /(^|[a-z.#])(secret|password|passphrase|token|mac|hmac|kek)$/i

/** Each judges the other end by its certificate afterwards, or wants to be judged itself and sends nothing of use. */
const judgesByItself: ReadonlySet<string> = new Set([
  // Where it is no client that has to have a certificate.
  'packages/enforcement/src/wire/listener.ts',
  'examples/agents/attacks/raw-call.ts',
  'packages/sdk/src/enrolment.ts',
  'packages/server/src/apps/doctor/listeners.ts',
  'packages/server/src/apps/doctor/older-tls.ts',
  'packages/server/src/apps/doctor/public-certificates.ts',
  'packages/server/src/apps/probe-connection.ts',
  'packages/server/src/apps/probe/wire.ts',
])

export const ownRules: readonly Rule[] = [
  {
    name: 'environment-outside-config',
    next: 'take it from the configuration; only packages/server/src/config reads the environment',
    applies: (path) => inPackages(path) && !path.startsWith('packages/server/src/config/'),
    find: matches(/\bprocess\s*\.\s*env\b|\bprocess\s*\[/g),
  },
  {
    name: 'secret-comparison',
    next: 'compare secrets in constant time (core/bytes)',
    applies: inPackages,
    find: secretComparisons,
  },
  {
    name: 'clock-in-rules',
    next: 'take the time, random bytes and timers as arguments',
    applies: within('packages/core/', 'packages/enforcement/', 'packages/server/src/authority/'),
    find: matches(/\bDate\s*\.\s*now\b|\bnew Date\(\s*\)|\bperformance\s*\.\s*now\b|\bprocess\s*\.\s*hrtime\b/g),
  },
  {
    name: 'weak-random',
    next: 'use node:crypto, from a composition root',
    applies: inPackages,
    find: matches(/\bMath\s*\.\s*random\b/g),
  },
  {
    name: 'node-global-in-core',
    next: 'core has nothing of Node: take it as an argument',
    applies: within('packages/core/'),
    find: matches(/(?<![\w.$])(process|Buffer|setTimeout|setInterval|setImmediate|fetch|crypto|console)\s*[.([]/g),
  },
  {
    name: 'empty-name',
    next: 'name it after what it is about',
    applies: anywhere,
    find: matches(/\b(?:class|interface|type)\s+\w*(?:Manager|Service|Handler|Helper|Utils?|Base|Impl)\b/g),
  },
  {
    name: 'loose-type',
    next: 'parse it into a type; errors are mended, not silenced',
    applies: anywhere,
    find: matches(/\bas\s+any\b|\bas\s+unknown\s+as\b|<any>/g),
  },
  {
    name: 'silenced-error',
    next: 'mend the error',
    applies: anywhere,
    find: (_code, text) => matches(/^\s*(?:\/\/|\/\*)\s*@ts-(?:ignore|nocheck|expect-error)/gm)(text),
  },
  {
    name: 'silenced-rule',
    next: 'mend it; rules that may be silenced are named in own-rules.ts, for one line and with a reason',
    applies: anywhere,
    find: (_code, text) =>
      matches(/(?:ox|es)lint-disable(?!-next-line (?:no-control-regex|(?:typescript\/)?no-deprecated) -- \S)/g)(text),
  },
  {
    name: 'shell',
    next: 'spawn the program with its arguments: a shell reads what a caller wrote',
    applies: within('packages/', 'examples/'),
    find: (code, text) => [
      ...matches(/\bshell\s*:(?!\s*false\b)/g)(code),
      ...matches(/\bimport\s*\{[^}]*\bexec(?:Sync)?\b[^}]*\}\s*from\s*['"](?:node:)?child_process['"]/g)(text),
    ],
  },
  {
    name: 'code-from-text',
    next: 'nothing that is read is run; node:vm is no sandbox',
    applies: within('packages/', 'examples/'),
    find: (_code, text) =>
      moduleImports(text).flatMap(({ specifier }) => (/^(?:node:)?vm$/.test(specifier) ? [0] : [])),
  },
  {
    name: 'unjudged-peer',
    next: 'give it the roots that it must chain to; who judges by other means is named in own-rules.ts',
    applies: (path) => within('packages/', 'examples/')(path) && !judgesByItself.has(path),
    find: matches(/\brejectUnauthorized\s*:(?!\s*true\b)/g),
  },
  {
    name: 'not-erasable',
    next: 'Node runs the sources: no enums, namespaces, decorators or parameter properties',
    applies: anywhere,
    find: matches(/^\s*(?:export\s+)?(?:declare\s+)?(?:const\s+)?(?:enum|namespace)\s+\w+|^\s*@\w+/gm),
  },
  {
    name: 'default-export',
    next: 'export it by name',
    // node:test asks a reporter for its default export.
    applies: (path) => path !== 'test/runner/reporter.ts',
    find: matches(/\bexport\s+default\b|\bas\s+default\b/g),
  },
  {
    name: 'wildcard-export',
    next: 'list the names in the hand-written index',
    applies: anywhere,
    find: matches(/\bexport\s+(?:type\s+)?\*/g),
  },
  {
    name: 'unfinished',
    next: 'finish it or leave it out',
    applies: inPackages,
    find: (_code, text) => matches(/\b(?:TODO|FIXME|XXX)\b|not implemented/gi)(text),
  },
  {
    name: 'test-left-out',
    next: 'run it; a missing tool or folder is said with a diagnostic',
    applies: inTests,
    find: matches(/\b(?:test|it|describe|suite)\s*\.\s*(?:only|todo)\b|\bonly:\s*true/g),
  },
  {
    name: 'test-library-in-package',
    next: 'tests live in test/',
    applies: (path) => inPackages(path) && !path.startsWith('packages/sdk/src/testing/'),
    find: (_code, text) => (moduleImports(text).some((each) => each.specifier.startsWith('node:test')) ? [0] : []),
  },
]

/** Every finding in the files, in order of file and line. */
export function findings(files: readonly SourceFile[]): readonly Finding[] {
  return files.flatMap((file) => [...nameFindings(file), ...textFindings(file)])
}

function textFindings(file: SourceFile): readonly Finding[] {
  const code = codeOnly(file.text)
  return ownRules
    .filter((rule) => rule.applies(file.path))
    .flatMap(({ name, next, find }) =>
      find(code, file.text).map((at) => ({ path: file.path, line: lineOf(file.text, at), rule: name, next })),
    )
    .toSorted((a, b) => a.line - b.line)
}

/** Offsets count from the match, which may begin with blank lines; the line meant is that of its first letter. */
function lineOf(text: string, at: number): number {
  const first = at + Math.max(0, text.slice(at).search(/\S/))
  return text.slice(0, first).split('\n').length
}

function nameFindings({ path }: SourceFile): readonly Finding[] {
  const found: Finding[] = []
  const names = path.replace(/(\.test)?\.tsx?$/, '').split('/')
  if (names.some((name) => name.split('-').some((word) => emptyWord.test(word)))) {
    found.push({ path, line: 1, rule: 'empty-name', next: 'name it after what it is about' })
  }
  if (names.some((name) => !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name) && name !== 'third_party')) {
    found.push({ path, line: 1, rule: 'file-name', next: 'use kebab-case' })
  }
  return found
}

/** `===` where one side is named like a secret and the other is not a literal, `undefined` or `null`. */
function secretComparisons(code: string): readonly number[] {
  const comparison = /([\w$.#?!]+)\s*[!=]==?\s*([\w$.#?!'"`-]+)/g
  return [...code.matchAll(comparison)]
    .filter(([, left = '', right = '']) => {
      const literal = [left, right].some((side) => /^(undefined|null|true|false|-?\d.*|['"`].*)$/.test(side))
      return !literal && [left, right].some((side) => secretName.test(side))
    })
    .map((match) => match.index)
}
