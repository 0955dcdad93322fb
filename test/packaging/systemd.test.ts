/** Units of systemd: sound, confined, and what they start is a command. */

import { deepEqual, equal, match } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { CliContext } from '../../packages/server/src/cli/context.ts'
import { repositoryRoot } from '../../scripts/source-files.ts'
import { claims } from '../architecture/document-claims.ts'
import { readMarkdown } from '../architecture/markdown.ts'
import { commandTable } from '../fixtures/command-table.ts'

/** Of 100: systemd calls 20 and less OK; what is left over comes from a network that services need and from Node.js' compiler. */
const exposure = 20
const found = spawnSync('systemd-analyze', ['--version']).status === 0
const skip = !found && 'no systemd-analyze; .ci/run installs it'
const units = globSync('deploy/systemd/*.service', { cwd: repositoryRoot }).toSorted()
const place = mkdtempSync(join(tmpdir(), 'doorward-units-'))
after(() => rmSync(place, { recursive: true, force: true }))

const textOf = (path: string): string => readFileSync(join(repositoryRoot, path), 'utf8')
const linesOf = (text: string, key: string): readonly string[] =>
  [...text.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value = '']) => value)

/** As installed: where the command is, and for templates an instance. */
function installed(path: string, text: string): string {
  const file = join(place, basename(path))
  writeFileSync(file, text.replaceAll('/usr/bin/doorward', process.execPath))
  return file.replace('@.', '@planner.')
}

function analyze(words: readonly string[]): { readonly status: number | null; readonly said: string } {
  const { status, stdout, stderr } = spawnSync('systemd-analyze', ['--no-pager', ...words], { encoding: 'utf8' })
  return { status, said: stdout + stderr }
}

describe('units of systemd', { skip }, () => {
  test('there is one for each part that serves', () => {
    deepEqual(
      units.map((path) => basename(path)),
      [
        'doorward-agent@.service',
        'doorward-authority.service',
        'doorward-gateway.service',
        'doorward-sidecar@.service',
      ],
    )
  })

  for (const path of units) {
    const text = textOf(path)

    test(`${basename(path)}: systemd finds nothing wrong, and would find a key that it does not know`, () => {
      deepEqual(analyze(['verify', '--man=no', installed(path, text)]), { status: 0, said: '' })
      const { said } = analyze(['verify', '--man=no', installed(path, text.replace('PrivateTmp=', 'PrivateTemp='))])
      match(said, /Unknown key 'PrivateTemp'/)
    })

    test(`${basename(path)}: its exposure is low, and without its confinement it would not pass`, () => {
      const judged = (content: string) => {
        const file = join(place, basename(path))
        writeFileSync(file, content)
        return analyze(['security', '--offline=true', `--threshold=${exposure}`, file])
      }
      const { status, said } = judged(text)
      equal(status, 0, said.split('\n').at(-2))
      equal(judged(text.replace(/^(?:SystemCallFilter|CapabilityBoundingSet|ProtectSystem)=.*\n/gm, '')).status, 1)
    })

    test(`${basename(path)}: what it starts is a command with options that there are, as a user that is not root`, async () => {
      const [started = ''] = linesOf(text, 'ExecStart')
      const program = await commandTable({} as CliContext)
      const document = readMarkdown(`\`${started.replace('/usr/bin/doorward', 'doorward').replaceAll(/%\w/g, 'x')}\`\n`)
      const claim = claims['commands, with their options']
      deepEqual(claim?.(document, { path: 'unit.md', program, documents: new Map() }), [])
      const [user = ''] = linesOf(text, 'User')
      match(user, /^(?:doorward-\w+|%i)$/)
      if (user !== '%i') match(textOf('deploy/systemd/doorward.sysusers'), new RegExp(`^u ${user} - `, 'm'))
      equal(linesOf(text, 'LimitCORE')[0], '0')
    })
  }
})
