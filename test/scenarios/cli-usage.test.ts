/** Words that lead to no command: help, version and usage errors, for people and for programs. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { PassThrough } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import type { Command } from 'commander'
import { cliContext } from '../../packages/server/src/cli/context.ts'
import type { CliContext } from '../../packages/server/src/cli/context.ts'
import { readEnvironment } from '../../packages/server/src/config/environment.ts'
import { version } from '../../packages/server/src/config/version.ts'
import { commandTable } from '../fixtures/command-table.ts'
import { TestDeployment } from '../fixtures/deployment.ts'

/** Every command and group, by its words, with the help that it prints. */
async function helpTexts(context: CliContext): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>()
  const collect = (command: Command, words: string) => {
    for (const child of command.commands) {
      const name = `${words} ${child.name()}`.trim()
      let help = ''
      child.configureOutput({ writeOut: (part) => void (help += part) }).outputHelp()
      texts.set(name, help)
      collect(child, name)
    }
  }
  collect(await commandTable(context), '')
  return texts
}

interface Told {
  readonly error: { readonly code: string; readonly expected?: string; readonly next?: string }
}

describe('the command line', () => {
  let system: TestDeployment
  before(async () => {
    system = await TestDeployment.prepare({ yaml: 'servers: {}\n' })
  })
  after(() => system.remove())
  const withoutConfig = (words: readonly string[]) => {
    const { command, args, env } = system.launch(words)
    return spawnSync(command, args.slice(0, -2), { cwd: system.folder, env, encoding: 'utf8' })
  }
  const run = (words: string) => system.runProcess(words === '' ? [] : words.split(' '))

  test('an id of a token that begins as an option does is an id', async () => {
    for (const words of [
      '-CpnMz9QQ0nZJ4W3lWAPjN',
      '--pnMz9QQ0nZJ4W3lWAPjN --reason x',
      '--reason x -hpnMz9QQ0nZJ4W3lWAPjN',
    ]) {
      const { stdout } = await system.run(['revoke', 'token', ...words.split(' '), '--json'])
      // There is nobody yet who could revoke: the words were understood.
      equal((JSON.parse(stdout) as Told).error.code, 'identity_missing', stdout)
    }
  })

  test('every command has help with an example', async () => {
    const { stdout, stderr } = await run('audit verify --help')
    equal(stderr, '')
    match(stdout, /--json[^]*Examples:\n {2}doorward audit verify/)
    const stream = new PassThrough()
    const context = cliContext({
      stdin: stream,
      stdout: stream,
      stderr: stream,
      environment: readEnvironment({}),
      globals: () => ({ json: false, config: 'doorward.yaml' }),
      signal: AbortSignal.timeout(60_000),
      program: [],
    })
    const texts = await helpTexts(context)
    ok(texts.size >= 19, [...texts.keys()].join(', '))
    for (const [words, help] of texts) match(help, new RegExp(`Examples?:\n {2}doorward ${words}`), words)
  })

  test('without words it shows its help; the version is the released one', async () => {
    const [bare, json, shown, shownJson] = await Promise.all(['', '--json', '--version', '--version --json'].map(run))
    ok(bare !== undefined && json !== undefined && shown !== undefined && shownJson !== undefined)
    deepEqual([bare.code, json.code, shown.code, shownJson.code], [0, 0, 0, 0])
    match(bare.stdout, /^Usage: doorward /)
    equal((JSON.parse(json.stdout) as { help: string }).help, bare.stdout)
    equal(shown.stdout, `${version}\n`)
    deepEqual(JSON.parse(shownJson.stdout), { version })
  })

  const mistakes: readonly (readonly [words: string, expected?: string])[] = [
    ['tols files', 'tools'],
    ['frobnicate'],
    ['audit verfy', 'verify'],
    ['audit tail --lnes 3', '--lines'],
    ['config'],
    ['call files'],
    ['tools files excess'],
    ['audit tail --lines many', '0 to 1000000'],
    ['audit verify --record somewhere', '--record with --checkpoints, and no --log'],
  ]
  test('a mistake in the words is a usage error with exit code 2, and as JSON nothing but JSON', async () => {
    const results = await Promise.all(mistakes.map(([words]) => run(`${words} --json`)))
    for (const [i, { code, stdout, stderr }] of results.entries()) {
      const [words, expected] = mistakes[i] ?? []
      const { error } = JSON.parse(stdout) as Told
      deepEqual([code, error.code, error.expected, stderr], [2, 'usage', expected, ''], words)
    }
  })

  test('people read it on standard error, with what may have been meant', async () => {
    const { code, stdout, stderr } = await run('tols files')
    deepEqual([code, stdout], [2, ''])
    match(stderr, /^error: unknown command 'tols'.*\n {2}expected: tools\n {2}next: doorward --help\n$/)
    const group = await run('config')
    deepEqual([group.code, group.stdout], [2, ''])
    match(group.stderr, /^Usage: doorward config /)
  })

  test('the configuration is the one that is named, however it is named', async () => {
    for (const words of [['-c', '/none.yaml'], ['-c/none.yaml'], ['--config=/none.yaml']]) {
      const { stdout } = withoutConfig(['config', 'check', '--json', ...words])
      equal((JSON.parse(stdout) as { error: { where: string } }).error.where, '/none.yaml')
    }
  })

  test('what needs a running deployment says so, and makes nothing', async () => {
    const before = await readdir(system.folder)
    const needing: readonly (readonly [string, string])[] = [
      ['workload list', 'identity_missing'],
      ['audit verify', 'state_missing'],
      ['audit tail', 'state_missing'],
      ['connect files', 'server_unknown'],
    ]
    const results = await Promise.all(needing.map(([words]) => run(`${words} --json`)))
    for (const [i, { code, stdout }] of results.entries()) {
      const { error } = JSON.parse(stdout) as Told
      deepEqual([code, error.code], [2, needing[i]?.[1]])
      ok(error.next !== undefined || error.expected !== undefined, stdout)
    }
    deepEqual(await readdir(system.folder), before)
  })
})
