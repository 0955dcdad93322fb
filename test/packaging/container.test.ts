/** The container file: everything that it copies is there, nothing runs as root, and nothing unnamed gets in. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { judgeRuntime } from '../../packages/server/bin/runtime-support.cjs'
import { repositoryRoot } from '../../scripts/source-files.ts'
import { isStaged } from '../../scripts/stage.ts'

interface Line {
  readonly stage: string
  readonly word: string
  readonly rest: string
}

const text = readFileSync(join(repositoryRoot, 'deploy', 'container', 'Containerfile'), 'utf8')
const lines = readLines(text)
const of = (word: string, stage?: string): readonly Line[] =>
  lines.filter((line) => line.word === word && (stage === undefined || line.stage === stage))
const root = mkdtempSync(join(tmpdir(), 'doorward-image-'))
after(() => rmSync(root, { recursive: true, force: true }))

function readLines(content: string): readonly Line[] {
  let stage = ''
  return content
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, word = '', rest = ''] = /^([A-Z]+) (.+)$/.exec(line) ?? []
      if (word === 'FROM') stage = / AS (\w+)$/.exec(rest)?.[1] ?? ''
      return { stage, word, rest }
    })
}

/** Sources and target of a COPY. */
function copied({ rest }: Line): {
  readonly from: string | null
  readonly sources: readonly string[]
  readonly to: string
} {
  const words = rest.split(' ')
  const from = words[0]?.startsWith('--from=') === true ? (words.shift() ?? '').slice('--from='.length) : null
  return { from, sources: words.slice(0, -1), to: words.at(-1) ?? '' }
}

test('every line is an instruction that is known, and none fetches from an address', () => {
  const known = new Set(['ARG', 'FROM', 'WORKDIR', 'COPY', 'RUN', 'USER', 'ENV', 'ENTRYPOINT', 'CMD'])
  deepEqual(
    lines.filter(({ word }) => !known.has(word)),
    [],
  )
  deepEqual(
    lines.filter(({ word, rest }) => word === 'RUN' && /https?:|curl|wget|npm install/.test(rest)),
    [],
  )
})

test('the base has one version, on which the command runs and which has the security release of its line', () => {
  const [, version = ''] =
    /^NODE=docker\.io\/library\/node:(\d+\.\d+\.\d+)-\w+-slim$/.exec(of('ARG')[0]?.rest ?? '') ?? []
  equal(judgeRuntime(`v${version}`).verdict, 'ok', version)
  for (const { rest } of of('FROM')) match(rest, /^(?:\$\{NODE\}|doorward) AS \w+$/)
})

test('what is copied from the checkout is in it, and in what builders are shown of it', () => {
  const shown = readFileSync(join(repositoryRoot, '.dockerignore'), 'utf8').split('\n')
  equal(shown[0], '*')
  const sources = of('COPY')
    .map(copied)
    .filter(({ from }) => from === null)
    .flatMap((one) => one.sources)
  ok(sources.length > 5)
  deepEqual(
    sources.filter((source) => !existsSync(join(repositoryRoot, source)) || !shown.includes(`!${source}`)),
    [],
  )
})

test('images run as a user that is not root, named by number, and the sidecar changes nothing of it', () => {
  deepEqual(
    of('USER').map(({ stage, rest }) => [stage, rest]),
    [['doorward', '10001:10001']],
  )
  const more = lines.filter(({ stage, word }) => stage === 'sidecar' && word !== 'FROM')
  deepEqual([...new Set(more.map(({ word }) => word))], ['COPY'])
})

test('what the image holds starts: laid out as the file says, of what was built', () => {
  ok(isStaged('server'), 'not built, or not staged since: npm run build')
  for (const { sources, to } of [...of('COPY', 'doorward'), ...of('COPY', 'sidecar')].map(copied)) {
    for (const source of sources) {
      const [from, target] = [join(repositoryRoot, source.replace('/source/', '')), join(root, to)]
      mkdirSync(dirname(target), { recursive: true })
      if (existsSync(target)) continue
      // Folders of packages by npm are not copied here: what is in them is the same.
      if (basename(from) === 'node_modules') symlinkSync(from, target)
      else cpSync(from, target, { recursive: true })
    }
  }
  const [program = '', ...args] = JSON.parse(of('ENTRYPOINT')[0]?.rest ?? '[]') as readonly string[]
  equal(program, 'node')
  const { stdout, stderr } = spawnSync(process.execPath, [...args.map((arg) => join(root, arg)), '--version'], {
    encoding: 'utf8',
  })
  const { version } = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8')) as {
    readonly version: string
  }
  equal(stdout.trim(), version, stderr)
})
