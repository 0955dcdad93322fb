/** Every committed Markdown names what there is: commands, options, metrics, scripts, files, tests and targets of links. */

import { deepEqual, ok } from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { before, describe, test } from 'node:test'
import type { Command } from 'commander'
import type { CliContext } from '../../packages/server/src/cli/context.ts'
import { repositoryRoot } from '../../scripts/source-files.ts'
import { commandTable } from '../fixtures/command-table.ts'
import { commandLines } from './command-words.ts'
import { claims } from './document-claims.ts'
import { readMarkdown } from './markdown.ts'
import type { Markdown } from './markdown.ts'

/** What others have written, and what no commit holds. */
const LEFT_OUT = new Set(['node_modules', 'third_party', 'out', 'dist', '.git', '.doorward'])

function markdownFiles(folder = ''): readonly string[] {
  return readdirSync(join(repositoryRoot, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name)
    if (entry.isDirectory()) return LEFT_OUT.has(entry.name) ? [] : markdownFiles(path)
    return entry.name.endsWith('.md') ? [path] : []
  })
}

const documents: ReadonlyMap<string, Markdown> = new Map(
  markdownFiles().map((path) => [path, readMarkdown(readFileSync(join(repositoryRoot, path), 'utf8'))]),
)

describe('every document names what there is', () => {
  let program: Command
  before(async () => {
    program = await commandTable({} as CliContext)
  })

  for (const [what, wrong] of Object.entries(claims)) {
    test(what, () => {
      const found = [...documents].flatMap(([path, document]) =>
        wrong(document, { path, program, documents }).map(([line, said]) => `${path}:${line}: ${said}`),
      )
      deepEqual(found, [])
    })
  }

  test('the commands of documents are seen at all', () => {
    const lines = [...documents.values()].flatMap(({ spans, blockLines }) => [...spans, ...blockLines])
    const seen = lines.flatMap(({ text }) => commandLines(text)).length
    ok(documents.size > 150 && seen > 300, `${seen} command lines in ${documents.size} documents`)
  })

  const planted: readonly (readonly [claim: string, wrong: readonly string[], right: readonly string[]])[] = [
    [
      'commands, with their options',
      ['`doorward frobnicate`', '```\nnpx doorward audit verify \\\n  --loudly\n```', '`A=b doorward audit verfy x`'],
      ['`doorward audit verify --json`', '`doorward workload show <id>`', '`the doorward state`', '`/etc/doorward x`'],
    ],
    [
      'options that stand by themselves, and those of scripts',
      ['`--frobnicate`', '`npm run campaign -- --loudly`'],
      ['`--json`', '`npm test -- --slowest`', '`--left === 0`'],
    ],
    ['metrics', ['`doorward_frobs_total`', '`doorward_refusals`'], ['`doorward_refusals_total{code="x"}`']],
    ['scripts of npm', ['`npm run frobnicate`'], ['`npm run lint`', '`npm ci && npm test`']],
    ['files of this repository', ['`test/refusals/none.test.ts`'], ['`test/refusals/`', '`x/test/none.ts`']],
    [
      'tests, by their names',
      ['`test/architecture/boundary.test.ts`: “no such test”', '[`test/none.ts`](none.ts): “a”'],
      ['`test/architecture/documents.test.ts`: “metrics”'],
    ],
    ['targets of links', ['[a](none.md)', '[a](#none)', '[a](README.md#none)'], ['[a](README.md)', '[a](https://b.c)']],
  ]
  for (const [claim, wrong, right] of planted) {
    test(`${claim}: what is not there is found`, () => {
      const count = (text: string) =>
        claims[claim]?.(readMarkdown(text), { path: 'planted.md', program, documents }).length
      for (const text of wrong) deepEqual(count(text), 1, text)
      for (const text of right) deepEqual(count(text), 0, text)
    })
  }
})
