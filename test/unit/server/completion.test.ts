/** Completion of the words of the command line: what a real bash offers, and what the scripts of zsh and fish hold. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { readEnvironment } from '../../../packages/server/src/config/environment.ts'
import { runCommand } from '../../../packages/server/src/cli/run.ts'

async function run(...words: readonly string[]): Promise<{ readonly code: number; readonly out: string }> {
  const stdout = new PassThrough()
  const stderr = new PassThrough()
  const stdin = new PassThrough()
  const signal = new AbortController().signal
  const environment = readEnvironment({})
  const code = await runCommand(words, { stdin, stdout, stderr, environment, signal, program: [] })
  return { code, out: (stdout.read() as Buffer | null)?.toString() ?? '' }
}

/** A command line as readline breaks it: the last word is under the cursor. */
type Line = readonly string[]

describe('doorward completion', () => {
  let folder = ''
  let script = ''
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'completion-'))
    writeFileSync(join(folder, 'a b.yaml'), '')
    writeFileSync(join(folder, 'a$(touch ran).yaml'), '')
    mkdirSync(join(folder, 'other'))
    script = (await run('completion', 'bash')).out
    writeFileSync(join(folder, 'script'), script)
  })
  after(() => rmSync(folder, { recursive: true }))

  /** What bash offers for each line, from one bash for all. */
  function offered(lines: readonly Line[]): readonly (readonly string[])[] {
    const asks = lines.map((line) => {
      const words = ['doorward', ...line].map((word) => `'${word}'`).join(' ')
      return `COMP_WORDS=(${words}); COMP_CWORD=${line.length}; _doorward; printf '%s\\n' "\${COMPREPLY[@]}" '//'`
    })
    const text = ['set -u', '. ./script', ...asks].join('\n')
    const bash = spawnSync('bash', ['--norc', '--noprofile', '-s'], { cwd: folder, input: text, encoding: 'utf8' })
    deepEqual([bash.status, bash.stderr], [0, ''])
    const answers = bash.stdout.split('//\n').slice(0, -1)
    return answers.map((one) => one.split('\n').filter((word) => word !== ''))
  }

  test('a real bash completes commands, options, and what an option may be', () => {
    const cases: readonly (readonly [Line, readonly string[]])[] = [
      [['aud'], ['audit']],
      [['audit', 'ver'], ['verify']],
      [['frobnicate', 'ver'], []],
      [['--config', 'audit', 'audit', 'ver'], ['verify']],
      [['-c', 'x', '--json', 'audit', 'ver'], ['verify']],
      [['audit', 'verify', '--js'], ['--json']],
      [['policy', 'replay', '--fail'], ['--fail-on']],
      [
        ['policy', 'replay', '--fail-on', ''],
        ['gains', 'loses', 'any'],
      ],
      [['policy', 'replay', '--fail-on', '=', 'l'], ['loses']],
      [
        ['policy', 'replay', '--fail-on', '='],
        ['gains', 'loses', 'any'],
      ],
      [['policy', 'replay', '--fail-on=l'], ['--fail-on=loses']],
      [['policy', 'replay', '--fail-on', 'any', '--cand'], ['--candidate']],
      [
        ['completion', ''],
        ['bash', 'zsh', 'fish'],
      ],
      [['completion', 'zsh', ''], []],
      [['workload', '--fail'], []],
      [['agent', '--', ''], []],
    ]
    const got = offered(cases.map(([line]) => line))
    for (const [i, [line, expected]] of cases.entries()) deepEqual(got[i], expected, line.join(' '))
  })

  test('names of files are offered as they are, and nothing in them is run', () => {
    const [option, operand, none] = offered([
      ['-c', 'a'],
      ['policy', 'test', ''],
      ['audit', 'verify', ''],
    ])
    deepEqual(option?.toSorted(), ['a b.yaml', 'a$(touch ran).yaml'].toSorted())
    ok(operand?.includes('a$(touch ran).yaml') === true && operand.includes('other'))
    deepEqual(none, [])
    equal(existsSync(join(folder, 'ran')), false)
  })

  test('every command that help shows is completed, in each shell, with its options', async () => {
    const help = (JSON.parse((await run('--help', '--json')).out) as { readonly help: string }).help
    const names = [...(/\nCommands:\n([^]*?)\n\n/.exec(help)?.[1] ?? '').matchAll(/^ {2}([a-z]+)/gm)].map(
      ([, one]) => one,
    )
    ok(names.length >= 20 && names.includes('completion'), names.join())
    deepEqual(offered([['']])[0], names)
    const [zsh, fish] = await Promise.all([run('completion', 'zsh'), run('completion', 'fish')])
    for (const name of names) {
      ok(zsh.out.includes(`    'doorward ${name}')\n      below=(`), name)
      ok(fish.out.includes(`complete -c doorward -n '__doorward_at \\'doorward\\'' -a ${name} -d '`), name)
    }
  })

  test('the script of zsh is of the form that compinit loads', async () => {
    const { out } = await run('completion', 'zsh')
    match(out, /^#compdef doorward\n/)
    match(out, /\n {4}'doorward policy replay --fail-on'\) values='gains loses any' ;;\n/)
    match(out, /\n {4}'doorward policy test'\)\n {6}below=\(\)\n {6}flags=\([^\n]*\n {6}files=yes ;;\n/)
    match(out, /'verify:[^'\n]+'/)
    match(out, /compdef _doorward doorward; fi\n$/)
  })

  test('the script of fish tells options by the command that was written', async () => {
    const { out } = await run('completion', 'fish')
    const at = `complete -c doorward -n '__doorward_at \\'doorward policy replay\\''`
    ok(out.includes(`${at} -l fail-on -x -a 'gains loses any' -d '`))
    ok(out.includes(`complete -c doorward -n '__doorward_at \\'doorward policy test\\'' -F\n`))
    match(out, /\ncomplete -c doorward -f\n/)
    match(out, /\ncomplete -c doorward -s c -l config -r -F -d '/)
    match(out, /\nset -g __doorward_valued [^\n]*'doorward policy replay --fail-on'/)
  })

  test('as JSON it is one object; another shell is a usage error', async () => {
    deepEqual(JSON.parse((await run('completion', 'bash', '--json')).out), {
      name: 'bash',
      script: script.slice(0, -1),
    })
    const { code, out } = await run('completion', 'tcsh', '--json')
    equal(code, 2)
    equal((JSON.parse(out) as { error: { code: string } }).error.code, 'usage')
  })
})
