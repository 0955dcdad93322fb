/** What a document says that there is, and is not: each check gives the line and what is wrong. */

import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import type { Command } from 'commander'
import { rowsOf } from '../../packages/server/src/observability/metric-rows.ts'
import { repositoryRoot, sourceFiles } from '../../scripts/source-files.ts'
import { allOptions, commandLines, unknownWord } from './command-words.ts'
import type { CodeText, Markdown } from './markdown.ts'

export interface Place {
  readonly path: string
  readonly program: Command
  readonly documents: ReadonlyMap<string, Markdown>
}

export type Wrong = readonly (readonly [line: number, what: string])[]
export type Claim = (document: Markdown, place: Place) => Wrong

const root = (path: string) => join(repositoryRoot, path)

/** Names that `pattern` finds in code and `known` does not know. */
function unknownIn(code: readonly CodeText[], pattern: RegExp, known: (...found: readonly string[]) => boolean): Wrong {
  return code.flatMap(({ line, text }) =>
    [...text.matchAll(pattern)].flatMap((found) => (known(...found) ? [] : [[line, found[0]] as const])),
  )
}

const code = ({ spans, blockLines }: Markdown) => [...spans, ...blockLines]

const commands: Claim = (document, { program }) =>
  code(document).flatMap(({ line, text }) =>
    commandLines(text).flatMap((words) => {
      const wrong = unknownWord(program, words)
      return wrong === null ? [] : [[line, `doorward ${words.join(' ')}: ${wrong}`] as const]
    }),
  )

/** Of commands that are not ours. */
const FOREIGN: Readonly<Record<string, string>> = { '--ulimit': 'docker' }

/** Options that a script of ours reads, as `parseArgs` has them, or as its usage names them. */
const ofScripts = new Set(
  sourceFiles()
    .filter(({ path }) => !path.startsWith('packages/'))
    .flatMap(({ path, text }) => [
      ...[...text.matchAll(/\b([a-z]+(?:-[a-z]+)*)'?: \{ type: '(?:string|boolean)'/g)].map(([, name]) => `--${name}`),
      ...(path.endsWith('/run.ts') ? (/usage: npm run [^`]*`/.exec(text)?.[0].match(/--[a-z][a-z-]*/g) ?? []) : []),
    ]),
)

const options: Claim = ({ spans, blockLines }, { program }) => {
  const ours = allOptions(program)
  const alone = /^(--[a-z][a-z0-9-]*)(?:[= ][^\s=]\S*)?$/g
  return [
    ...unknownIn(spans, alone, (_, name = '') => ours.has(name) || ofScripts.has(name) || name in FOREIGN),
    ...unknownIn(
      [...spans, ...blockLines].filter(({ text }) => /\bnpm (?:run|test|start)\b.* -- /.test(text)),
      /(?<=[ [])--[a-z][a-z0-9-]*/g,
      (name = '') => ofScripts.has(name) || ours.has(name),
    ),
  ]
}

const suffixes = { counter: ['_total'], info: ['_info'], gauge: [''], summary: ['', '_sum', '_count'] }
const metricNames = new Set(
  [...rowsOf.gateway, ...rowsOf.authority, ...rowsOf.sidecar].flatMap(({ name, kind }) =>
    (kind === 'histogram' ? ['', '_bucket', '_sum', '_count'] : suffixes[kind]).map((suffix) => `${name}${suffix}`),
  ),
)
/** Their variables have names of ours, too. */
const PROXIES = new Set(['nginx', 'caddy', 'haproxy', 'lua', 'yml'])

const metrics: Claim = (document) =>
  unknownIn(
    code(document).filter(({ language }) => !PROXIES.has(language)),
    /\bdoorward_\w+/g,
    (name = '') => metricNames.has(name),
  )

const scripts: Claim = (document) => {
  const known = JSON.parse(readFileSync(root('package.json'), 'utf8')) as {
    readonly scripts: Readonly<Record<string, string>>
  }
  return unknownIn(
    code(document),
    /\bnpm (?:run ([\w:-]+)|(start|test)\b)/g,
    (_, run, short) => (run ?? short ?? '') in known.scripts,
  )
}

const files: Claim = (document) =>
  unknownIn(
    code(document),
    /(?<![\w./@-])(?:packages|test|scripts|docs|examples|monitoring)\/[\w./-]*\w/g,
    (path = '') => existsSync(root(path)),
  )

/** `test/refusals/a.test.ts`: “a name as it is written there”. */
const tests: Claim = ({ prose }) =>
  [...prose.matchAll(/`(test\/[\w./-]+\.ts)`(?:\]\([^)]*\))?: “([^”]+)”/g)].flatMap(
    ({ index, 1: file = '', 2: name = '' }) => {
      const known = existsSync(root(file)) && readFileSync(root(file), 'utf8').includes(name)
      return known ? [] : [[prose.slice(0, index).split('\n').length, `${file}: ${name}`] as const]
    },
  )

const links: Claim = ({ links, anchors }, { path, documents }) =>
  links.flatMap(({ line, text }) => {
    if (/^[a-z][a-z0-9+.-]*:/.test(text)) return []
    const [file = '', anchor = ''] = decodeURI(text).split('#')
    const target = file === '' ? path : posix.normalize(posix.join(dirname(path), file))
    if (file !== '' && !existsSync(root(target))) return [[line, text] as const]
    const known = file === '' ? anchors : documents.get(target)?.anchors
    return anchor === '' || known === undefined || known.has(anchor) ? [] : [[line, text] as const]
  })

export const claims: Readonly<Record<string, Claim>> = {
  'commands, with their options': commands,
  'options that stand by themselves, and those of scripts': options,
  metrics,
  'scripts of npm': scripts,
  'files of this repository': files,
  'tests, by their names': tests,
  'targets of links': links,
}
